"""Leases: which trainer has which chunk, and how each chunk ends exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from redis.exceptions import ResponseError

from nplmon.broker import work
from nplmon.broker.connection import block_milliseconds, looked_at, milliseconds
from nplmon.broker.encoding import from_json, pack
from nplmon.broker.keys import GROUP, MonitorKeys
from nplmon.broker.lua import word
from nplmon.broker.messages import Death, Fit, Receipt

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection


@dataclass(frozen=True, slots=True)
class Lease:
    """One chunk in our hands, until we finish it, hand it back, or stop renewing."""

    entry: str
    """Id of the work entry, unique within its monitor."""
    receipt: Receipt
    deliveries: int
    """How often the chunk was given out, this time included."""
    payload: bytes | None
    """Events, float32 little-endian, row major; None if they are gone: hand it back with an error."""


class Leases:
    """Work of the trainers; one consumer name per process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = 0

    async def take(
        self, consumer: str, monitors: Sequence[str], *, count: int, block_seconds: float
    ) -> list[Lease]:
        """Lease up to `count` waiting chunks; wait for one if there is none.

        A monitor that does not exist is passed over. Entries of a run's older epoch are removed on the way.
        """
        if not monitors:
            await asyncio.sleep(block_seconds)
            return []
        leases = await self._look(consumer, monitors, count)
        if not leases and self._connection.one_slot and len(monitors) > 1:
            return await looked_at(lambda: self._look(consumer, monitors, count), block_seconds)
        if leases:
            return leases
        leases = await self._read(consumer, monitors, 1, block_seconds)
        for surplus in leases[count:]:
            await self.hand_back(consumer, surplus, None, surplus.deliveries)
        return leases[:count]

    async def take_over(
        self,
        consumer: str,
        monitor: str,
        *,
        idle_seconds: float,
        deliveries_limit: int,
        in_flight: AbstractSet[str],
        count: int,
    ) -> tuple[list[Lease], list[Death]]:
        """Take over chunks whose holder gave no sign for `idle_seconds`, and those handed back.

        Each take-over counts as a delivery; a chunk past the limit is buried here. Entries in `in_flight` are
        left alone: they are our own, and taking them again would count against them.
        """
        keys = MonitorKeys(monitor)
        claimed = await work.claim(
            self._connection,
            work=keys.work,
            consumer=consumer,
            idle_milliseconds=milliseconds(idle_seconds),
            count=count,
            in_flight=sorted(in_flight),
        )
        leases: list[Lease] = []
        deaths: list[Death] = []
        for entry, deliveries, body in claimed:
            receipt = from_json(body, Receipt)
            lease = Lease(entry.decode(), receipt, deliveries, None)
            if deliveries > deliveries_limit:
                # This take-over is not a try of its own.
                death = await self._death(lease, "crash", deliveries - 1, None)
                if await self._bury(consumer, lease, death):
                    deaths.append(death)
            else:
                leases += await self._fetch(lease)
        return leases, deaths

    async def renew(self, consumer: str, leases: Sequence[Lease]) -> set[str]:
        """Renew leases; call it at least every quarter of the time after which they are taken over.

        Returns
        -------
        set[str]
            Entries that are still ours. A lease that is missing was taken over: stop its work.
        """
        entries: dict[str, list[str]] = {}
        for lease in leases:
            entries.setdefault(lease.receipt.monitor, []).append(lease.entry)
        owned: set[str] = set()
        for monitor, ids in entries.items():
            found = await work.renew(
                self._connection, work=MonitorKeys(monitor).work, consumer=consumer, entries=ids
            )
            owned |= {entry.decode() for entry in found}
        return owned

    async def hand_back(
        self, consumer: str, lease: Lease, error: str | None, deliveries_limit: int
    ) -> Literal["handed back", "dead", "lost"]:
        """Give a chunk back at once, so that another takes it over.

        Parameters
        ----------
        error
            Why the fit failed: this counts as a delivery, and the last allowed one ends in the chunk's death.
            None: we only stop, and the delivery is not counted.

        Returns
        -------
        str
            "lost" if the lease was not ours any more, or the chunk of an older epoch.
        """
        if error is not None and lease.deliveries >= deliveries_limit:
            death = await self._death(lease, "exception", lease.deliveries, error)
            return "dead" if await self._bury(consumer, lease, death) else "lost"
        receipt = lease.receipt
        keys = MonitorKeys(receipt.monitor)
        run = keys.run(receipt.run)
        reply = await work.hand_back(
            self._connection,
            work=keys.work,
            run=run.hash,
            fits=run.fits,
            attempts=run.attempts,
            consumer=consumer,
            entry=lease.entry,
            epoch=receipt.run_epoch,
            sequence=receipt.sequence,
            error="" if error is None else error or "no message",
        )
        status = word(reply, "handed back", "lost", "superseded", "duplicate")
        return "handed back" if status == "handed back" else "lost"

    async def finish(
        self, consumer: str, lease: Lease, fit: Fit
    ) -> Literal["finished", "duplicate", "superseded", "lost"]:
        """Store the result of a chunk and end its work, at once and once.

        Returns
        -------
        str
            "finished"; "duplicate": there is a result already; "superseded": the run was reset or the monitor
            deleted; "lost": another holds the chunk. In the last three nothing is stored.
        """
        receipt = lease.receipt
        keys = MonitorKeys(receipt.monitor)
        run = keys.run(receipt.run)
        reply = await work.finish(
            self._connection,
            work=keys.work,
            done=keys.done,
            run=run.hash,
            fits=run.fits,
            attempts=run.attempts,
            consumer=consumer,
            entry=lease.entry,
            name=receipt.run,
            epoch=receipt.run_epoch,
            sequence=receipt.sequence,
            fit=pack(fit),
        )
        return word(reply, "finished", "duplicate", "superseded", "lost")

    async def leave(self, consumer: str, monitors: Iterable[str]) -> None:
        """Remove a consumer that ends for good; one that still holds entries stays, for the take-over."""
        for monitor in monitors:
            await work.leave(self._connection, work=MonitorKeys(monitor).work, consumer=consumer)

    async def _look(self, consumer: str, monitors: Sequence[str], count: int) -> list[Lease]:
        """Lease what waits, and do not wait for more."""
        # COUNT holds for each stream, so streams are asked one by one, each time beginning with another.
        self._turn += 1
        turn = self._turn % len(monitors)
        leases: list[Lease] = []
        for monitor in (*monitors[turn:], *monitors[:turn]):
            if len(leases) < count:
                leases += await self._read(consumer, [monitor], count - len(leases), None)
        return leases

    async def _read(
        self, consumer: str, monitors: Sequence[str], count: int, block_seconds: float | None
    ) -> list[Lease]:
        streams = [MonitorKeys(monitor).work for monitor in monitors]
        block = () if block_seconds is None else ("BLOCK", block_milliseconds(block_seconds))
        try:
            reply = await self._connection.ask(
                "XREADGROUP",
                "GROUP",
                GROUP,
                consumer,
                "COUNT",
                count,
                *block,
                "STREAMS",
                *streams,
                *">" * len(streams),
            )
        except ResponseError as error:
            # NOGROUP: the stream or its group is gone, also while we wait (an older server says UNBLOCKED).
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            return await self._heal(monitors, block_seconds)
        leases: list[Lease] = []
        for _, entries in reply or []:
            for entry, fields in entries:
                receipt = from_json(fields[b"receipt"], Receipt)
                leases += await self._fetch(Lease(entry.decode(), receipt, 1, None))
        return leases

    async def _heal(self, monitors: Sequence[str], block_seconds: float | None) -> list[Lease]:
        """Create the missing groups of monitors that exist; the caller comes back."""
        known = []
        for monitor in monitors:
            keys = MonitorKeys(monitor)
            if await work.open_group(self._connection, monitor=keys.monitor, work=keys.work):
                known.append(monitor)
        if not known and block_seconds is not None:
            await asyncio.sleep(block_seconds)
        return []

    async def _fetch(self, lease: Lease) -> list[Lease]:
        receipt = lease.receipt
        keys = MonitorKeys(receipt.monitor)
        run = keys.run(receipt.run)
        status, payload = await work.fetch(
            self._connection,
            work=keys.work,
            run=run.hash,
            fits=run.fits,
            payloads=run.payloads,
            entry=lease.entry,
            epoch=receipt.run_epoch,
            sequence=receipt.sequence,
        )
        if word(status, "live", "superseded", "duplicate") != "live":
            return []
        return [Lease(lease.entry, receipt, lease.deliveries, payload)]

    async def _death(
        self, lease: Lease, reason: Literal["crash", "exception"], deliveries: int, error: str | None
    ) -> Death:
        seconds, microseconds = await self._connection.ask("TIME")
        if error is None:
            run = MonitorKeys(lease.receipt.monitor).run(lease.receipt.run)
            before = await self._connection.ask("HGET", run.attempts, lease.receipt.sequence)
            error = "the process that fitted it ended, or gave no sign for too long"
            if before is not None:
                error += f"; an earlier attempt failed: {before.decode()}"
        return Death(
            receipt=lease.receipt,
            reason=reason,
            deliveries=deliveries,
            error=error,
            died_at=seconds + microseconds / 1e6,
        )

    async def _bury(self, consumer: str, lease: Lease, death: Death) -> bool:
        receipt = lease.receipt
        keys = MonitorKeys(receipt.monitor)
        run = keys.run(receipt.run)
        reply = await work.bury(
            self._connection,
            work=keys.work,
            done=keys.done,
            dead=keys.dead,
            run=run.hash,
            fits=run.fits,
            attempts=run.attempts,
            payloads=run.payloads,
            kept=run.kept,
            consumer=consumer,
            entry=lease.entry,
            name=receipt.run,
            chunk=receipt.chunk,
            epoch=receipt.run_epoch,
            sequence=receipt.sequence,
            death=pack(death),
        )
        return word(reply, "dead", "lost", "superseded", "duplicate") == "dead"
