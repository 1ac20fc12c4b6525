"""Batches of toys: which trainer has which, and how each ends exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Literal

from nplmon.broker import toys, work
from nplmon.broker.connection import milliseconds
from nplmon.broker.encoding import from_json
from nplmon.broker.keys import MonitorKeys
from nplmon.broker.lua import word
from nplmon.broker.toy_messages import CalibrationOrder, ToyBatch

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection

_ENDED = "the process that ran it ended, or gave no sign for too long"


class ToyBatches:
    """Work of trainers that have no chunk; the consumer name is that of their chunks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = 0

    async def take(
        self,
        consumer: str,
        monitors: Sequence[str],
        *,
        idle_seconds: float,
        deliveries_limit: int,
        in_flight: AbstractSet[str],
    ) -> ToyBatch | None:
        """Lease one batch of any of these monitors, beginning with another one each time; do not wait for one.

        A batch whose holder gave no sign for `idle_seconds`, or that was handed back, comes first. One that was given
        out more often than `deliveries_limit` ends its calibration here.
        """
        self._turn += 1
        turn = self._turn % max(1, len(monitors))
        for monitor in (*monitors[turn:], *monitors[:turn]):
            keys = MonitorKeys(monitor)
            found = await toys.take(
                self._connection,
                calibration=keys.calibration,
                toys=keys.toys,
                consumer=consumer,
                idle_milliseconds=milliseconds(idle_seconds),
                in_flight=sorted(in_flight),
            )
            if not found:
                continue
            entry, generation, batch, first, count, deliveries, order = found
            taken = ToyBatch(
                entry=entry.decode(),
                generation=int(generation),
                batch=int(batch),
                first=int(first),
                count=int(count),
                deliveries=deliveries,
                order=from_json(order, CalibrationOrder),
            )
            if deliveries <= deliveries_limit:
                return taken
            # This take-over is not a try of its own.
            await self._fail(consumer, taken, f"after {deliveries - 1} tries: {_ENDED}", crashed=True)
        return None

    async def renew(self, consumer: str, batch: ToyBatch) -> bool:
        """Renew the lease of a batch; False if it was taken over, or its calibration ended: stop its work."""
        keys = MonitorKeys(batch.order.monitor)
        return bool(
            await work.renew(self._connection, work=keys.toys, consumer=consumer, entries=[batch.entry])
        )

    async def finish(
        self, consumer: str, batch: ToyBatch, result: bytes, *, seconds: float, size: int
    ) -> Literal["finished", "duplicate", "superseded", "lost"]:
        """Store the result of a batch and end its work, at once and once.

        Parameters
        ----------
        seconds
            What one toy took.
        size
            How many toys a batch shall have from now on; used after the first toy.

        Returns
        -------
        str
            "finished"; "duplicate": there is a result already; "superseded": the calibration was cancelled, replaced,
            failed or is void; "lost": another holds the batch. In the last three nothing is stored.
        """
        keys = MonitorKeys(batch.order.monitor)
        reply = await toys.finish(
            self._connection,
            calibration=keys.calibration,
            toys=keys.toys,
            batches=keys.toy_batches,
            done=keys.done,
            consumer=consumer,
            entry=batch.entry,
            generation=batch.generation,
            batch=batch.batch,
            count=batch.count,
            size=size,
            seconds=seconds,
            result=result,
        )
        return word(reply, "finished", "duplicate", "superseded", "lost")

    async def hand_back(
        self, consumer: str, batch: ToyBatch, error: str | None, deliveries_limit: int
    ) -> Literal["handed back", "failed", "superseded", "lost"]:
        """Give a batch back at once, so that another takes it over.

        Parameters
        ----------
        error
            Why it failed: this counts as a delivery, and the last allowed one ends the calibration as failed.
            None: we only stop, and the delivery is not counted.
        """
        if error is not None and batch.deliveries >= deliveries_limit:
            return await self._fail(consumer, batch, error, crashed=False)
        keys = MonitorKeys(batch.order.monitor)
        reply = await toys.hand_back(
            self._connection,
            calibration=keys.calibration,
            toys=keys.toys,
            consumer=consumer,
            entry=batch.entry,
            generation=batch.generation,
            error="" if error is None else error or "no message",
        )
        return word(reply, "handed back", "superseded", "lost")

    async def leave(self, consumer: str, monitors: Iterable[str]) -> None:
        """Remove a consumer that ends for good; one that still holds a batch stays, for the take-over."""
        for monitor in monitors:
            await work.leave(self._connection, work=MonitorKeys(monitor).toys, consumer=consumer)

    async def _fail(
        self, consumer: str, batch: ToyBatch, why: str, *, crashed: bool
    ) -> Literal["failed", "superseded", "lost"]:
        keys = MonitorKeys(batch.order.monitor)
        last = batch.first + batch.count
        named = f"toy {last}" if batch.count == 1 else f"toys {batch.first + 1} to {last}"
        reply = await toys.fail(
            self._connection,
            calibration=keys.calibration,
            toys=keys.toys,
            done=keys.done,
            consumer=consumer,
            entry=batch.entry,
            generation=batch.generation,
            crashed=int(crashed),
            reason=f"{named} of {batch.order.plan.toys}: {why}",
        )
        return word(reply, "failed", "superseded", "lost")
