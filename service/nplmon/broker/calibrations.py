"""Calibrations by toys: asked for, followed, ended, and read by those who use them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nplmon.broker import toys
from nplmon.broker.encoding import from_json, to_json
from nplmon.broker.errors import EpochMoved, NoCalibration, UnknownMonitor
from nplmon.broker.keys import MonitorKeys
from nplmon.broker.lua import word
from nplmon.broker.pieces import PIECE_BYTES
from nplmon.broker.toy_messages import FORMAT, CalibrationOrder, ToyCalibration, toys_needed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nplmon.broker.connection import Connection
    from nplmon.broker.messages import Monitor
    from nplmon.broker.toy_messages import CalibrationState

_AT_ONCE = 16
"""Batches read in one command."""

Begun = Literal["begun", "resumed", "running", "complete"]
Reduced = Literal["complete", "failed", "fenced", "superseded", "unfinished"]


@dataclass(frozen=True, slots=True)
class StoredCalibration:
    """A complete calibration as it is stored."""

    calibration: ToyCalibration
    body: bytes
    """What the toys were reduced to."""


class Calibrations:
    """The calibration by toys of each monitor; one at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(self, order: CalibrationOrder) -> tuple[Begun, ToyCalibration]:
        """Begin a calibration, or go on with the one that is there if it is of the same key.

        Returns
        -------
        str
            "begun"; "resumed": it had failed, and what was missing is queued again; "running", "complete": nothing
            was changed. Another key replaces the present calibration.

        Raises
        ------
        UnknownMonitor
            If there is no such monitor.
        EpochMoved
            If somebody else changed it meanwhile.
        """
        keys = MonitorKeys(order.monitor)
        status, epoch = await toys.begin(
            self._connection,
            monitor=keys.monitor,
            calibration=keys.calibration,
            toys=keys.toys,
            batches=keys.toy_batches,
            result=keys.toy_result,
            done=keys.done,
            epoch=order.monitor_epoch,
            key=order.key,
            wanted=order.plan.toys,
            order=to_json(order),
        )
        if status == b"unknown-monitor":
            raise UnknownMonitor(order.monitor)
        if status == b"moved":
            raise EpochMoved(order.monitor, epoch)
        begun: Begun = word(status, "begun", "resumed", "running", "complete")
        return begun, await self.get(order.monitor)

    async def get(self, monitor: str) -> ToyCalibration:
        """Give the calibration as it is now.

        Raises
        ------
        UnknownMonitor
            If there is no such monitor.
        NoCalibration
            If nobody asked for one.
        """
        keys = MonitorKeys(monitor)
        fields = await self._connection.ask("HGETALL", keys.calibration)
        if not fields:
            known = await self._connection.ask("EXISTS", keys.monitor)
            raise NoCalibration(monitor) if known else UnknownMonitor(monitor)
        return _calibration(fields)

    async def cancel(self, monitor: str) -> ToyCalibration:
        """End a calibration, whatever its state, and drop its results: the statistics use the closed form.

        Raises
        ------
        UnknownMonitor
            If there is no such monitor.
        NoCalibration
            If nobody asked for one.
        """
        keys = MonitorKeys(monitor)
        await toys.cancel(
            self._connection,
            calibration=keys.calibration,
            toys=keys.toys,
            batches=keys.toy_batches,
            result=keys.toy_result,
            done=keys.done,
        )
        return await self.get(monitor)

    async def results(self, calibration: ToyCalibration) -> list[bytes] | None:
        """Give the results of all batches in order; None if one is missing, as after a cancellation."""
        key = MonitorKeys(calibration.monitor).toy_batches
        found: list[bytes] = []
        for i in range(0, calibration.batches, _AT_ONCE):
            wanted = range(i, min(i + _AT_ONCE, calibration.batches))
            found += [body for body in await self._connection.ask("HMGET", key, *wanted) if body is not None]
        return found if len(found) == calibration.batches else None

    async def complete(
        self, calibration: ToyCalibration, body: bytes, *, holder: str, fence: int, disagreement: str
    ) -> Reduced:
        """Store what the batches were reduced to, and drop them.

        Parameters
        ----------
        holder, fence
            The right to write the monitor's statistics.
        disagreement
            Where toys and closed form disagree; "" where they agree.

        Returns
        -------
        str
            "complete"; "fenced": another aggregator holds the monitor; "superseded": the calibration ended
            otherwise meanwhile; "unfinished": a result is missing, or another wrote at the same time.
        """
        keys = MonitorKeys(calibration.monitor)
        view = memoryview(body)
        parts = [view[i : i + PIECE_BYTES] for i in range(0, len(view), PIECE_BYTES)]
        for number, part in enumerate(parts):
            reply = await toys.store_piece(
                self._connection,
                aggregator=keys.aggregator,
                calibration=keys.calibration,
                result=keys.toy_result,
                holder=holder,
                fence=fence,
                generation=calibration.generation,
                piece=number,
                body=bytes(part),
            )
            refused: Literal["stored", "fenced", "superseded", "unfinished"] = word(
                reply, "stored", "fenced", "superseded", "unfinished"
            )
            if refused != "stored":
                return refused
        reply = await toys.complete(
            self._connection,
            aggregator=keys.aggregator,
            calibration=keys.calibration,
            toys=keys.toys,
            batches=keys.toy_batches,
            result=keys.toy_result,
            holder=holder,
            fence=fence,
            generation=calibration.generation,
            pieces=len(parts),
            digest=hashlib.sha256(body).hexdigest(),
            disagreement=disagreement,
        )
        status: Literal[Reduced, "torn"] = word(
            reply, "complete", "fenced", "superseded", "unfinished", "torn"
        )
        return "unfinished" if status == "torn" else status

    async def give_up(self, calibration: ToyCalibration, reason: str, *, holder: str, fence: int) -> Reduced:
        """Let a calibration fail whose results cannot be reduced; asked for again, it is reduced again."""
        keys = MonitorKeys(calibration.monitor)
        reply = await toys.give_up(
            self._connection,
            aggregator=keys.aggregator,
            calibration=keys.calibration,
            result=keys.toy_result,
            holder=holder,
            fence=fence,
            generation=calibration.generation,
            reason=reason,
        )
        return word(reply, "failed", "fenced", "superseded", "unfinished")

    async def current(self, monitor: Monitor) -> StoredCalibration | None:
        """Give the complete calibration of a monitor at its epoch, None if there is none.

        A calibration that ended meanwhile, or is of another epoch, is never given.
        """
        try:
            found = await self.get(monitor.name)
        except (NoCalibration, UnknownMonitor):
            return None
        if found.state != "complete" or found.monitor_epoch != monitor.epoch:
            return None
        keys = MonitorKeys(monitor.name)
        pieces, digest = await self._connection.ask("HMGET", keys.calibration, "pieces", "digest")
        parts = [await self._connection.ask("HGET", keys.toy_result, i) for i in range(int(pieces or 0))]
        body = b"".join(part or b"" for part in parts)
        # Another was made between the commands: it is there at the next look.
        if digest is None or hashlib.sha256(body).hexdigest() != digest.decode():
            return None
        return StoredCalibration(found, body)


def _calibration(fields: Mapping[bytes, bytes]) -> ToyCalibration:
    order = from_json(fields[b"order"], CalibrationOrder)
    seconds, ended_at = fields.get(b"seconds"), fields.get(b"ended_at")
    state: CalibrationState = word(fields[b"state"], "running", "complete", "failed", "cancelled", "void")
    reason = fields.get(b"reason", b"").decode()
    if order.format != FORMAT and state != "cancelled":
        # After an upgrade; nobody reads its results any more.
        state, reason = "void", f"its results are of format {order.format}, not {FORMAT}; calibrate it again"
    return ToyCalibration(
        monitor=order.monitor,
        state=state,
        reason=reason,
        monitor_epoch=order.monitor_epoch,
        key=order.key,
        reference_hash=order.reference_hash,
        mode=order.mode,
        plan=order.plan,
        toys_needed=toys_needed(order.run_length),
        toys_done=int(fields[b"toys_done"]),
        run_length=order.run_length,
        warning_run_length=order.warning_run_length,
        batches=int(fields[b"batches"]),
        batches_done=int(fields[b"batches_done"]),
        seconds_per_toy=None if seconds is None else float(seconds),
        generation=int(fields[b"generation"]),
        asked_at=order.asked_at,
        ended_at=None if ended_at is None else float(ended_at),
        note=order.note,
        disagreement=fields.get(b"disagreement", b"").decode(),
    )
