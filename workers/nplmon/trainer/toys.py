"""The toys of a trainer: batches of calibrations, run while no chunk waits."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import structlog

from nplmon.broker import BrokerError, StoreFull, StoreUnreachable, UnknownMonitor
from nplmon.pool import pool_events
from nplmon.trainer.replaying import Replaying

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from nplmon.broker import Broker
    from nplmon.broker.messages import Monitor
    from nplmon.broker.toy_messages import CalibrationOrder, ToyBatch
    from nplmon.nplm.kernel import KernelModel
    from nplmon.settings import Settings
    from nplmon.trainer.metrics import TrainerMetrics

LOOK_SECONDS = 1.0
"""How often a trainer without chunks looks for toys."""
STORE_RETRY_SECONDS = 0.5
GATE_SECONDS = 0.05
"""How soon toys that wait for a chunk hear that they shall end."""

log = structlog.get_logger()


class _Left(Exception):  # noqa: N818 (an error is named after what is wrong)
    """The batch shall not go on here."""


class ToyWork:
    """Runs toys between the chunks of one trainer.

    The toys run in a thread of their own, one batch at a time, and stand still while a chunk is fitted: a chunk waits
    for one toy at most.

    Parameters
    ----------
    name:
        Consumer name, that of the trainer.
    models:
        Gives the models of a monitor, one for each kernel width, on the device.
    device:
        Where toys run.
    """

    def __init__(
        self,
        name: str,
        broker: Broker,
        models: Callable[[Monitor], Awaitable[Sequence[KernelModel]]],
        device: torch.device,
        settings: Settings,
        metrics: TrainerMetrics,
    ) -> None:
        self.monitors: Sequence[str] = ()
        """Monitors whose toys are run."""
        self._name = name
        self._broker = broker
        self._models = models
        self._device = device
        self._settings = settings
        self._metrics = metrics
        self._idle = asyncio.Event()
        self._gate = threading.Event()
        self._replaying: tuple[str, Replaying] | None = None

    def go(self) -> None:
        """Let toys run: no chunk waits."""
        self._gate.set()
        self._idle.set()

    def wait(self) -> None:
        """Let toys stand still: a chunk is to be fitted."""
        self._gate.clear()
        self._idle.clear()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; the batch in hand is then handed back."""
        ending = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                if not self._idle.is_set():
                    idle = asyncio.create_task(self._idle.wait())
                    await asyncio.wait([idle, ending], return_when=asyncio.FIRST_COMPLETED)
                    idle.cancel()
                    continue
                try:
                    batch = await self._take()
                    if batch is not None:
                        await self._end(batch, ending)
                        continue
                except (StoreUnreachable, StoreFull):
                    pass  # the trainer says so
                except Exception as error:  # without this task toys would wait for ever, silently
                    log.exception("toys not run", error=str(error))
                await asyncio.wait([ending], timeout=LOOK_SECONDS)
        finally:
            ending.cancel()

    async def _take(self) -> ToyBatch | None:
        return await self._broker.toys.take(
            self._name,
            self.monitors,
            idle_seconds=self._settings.lease_seconds,
            deliveries_limit=self._settings.deliveries_limit,
            in_flight=set(),  # one at a time
        )

    async def _end(self, batch: ToyBatch, ending: asyncio.Task[bool]) -> None:
        """Run one batch and store the result, or hand it back with what went wrong."""
        order = batch.order
        self._metrics.announce(order.monitor)
        line = log.bind(monitor=order.monitor, key=order.key, toys=f"{batch.first}+{batch.count}")
        left = threading.Event()
        renewing = asyncio.create_task(self._renew(batch, left))
        stopping = asyncio.create_task(_set_after(ending, left))
        try:
            outcome = await self._outcome(batch, left, line)
        finally:
            renewing.cancel()
            stopping.cancel()
        if outcome != "finished":
            line.warning("toys not finished here", outcome=outcome)
        self._metrics.toy_batches.labels(order.monitor, outcome).inc()

    async def _outcome(
        self, batch: ToyBatch, left: threading.Event, line: structlog.typing.FilteringBoundLogger
    ) -> str:
        toys, limit = self._broker.toys, self._settings.deliveries_limit

        def pause() -> None:
            while not self._gate.wait(GATE_SECONDS):
                if left.is_set():
                    break
            if left.is_set():
                raise _Left

        begun = time.perf_counter()
        try:
            replaying = await self._replay_of(batch.order)
            size, seconds = batch.count, 0.0
            if batch.batch == 0:
                result, seconds, size = await asyncio.to_thread(replaying.time, pause)
            else:
                result = await asyncio.to_thread(replaying.run, batch.first, batch.count, pause)
        except UnknownMonitor:
            return "superseded"  # deleted meanwhile; its toys went with it
        except (_Left, StoreUnreachable, StoreFull):
            # Not the fault of the toys: this delivery does not count.
            answer = await self._answered(lambda: toys.hand_back(self._name, batch, None, limit), left)
            return "returned" if answer == "handed back" else answer
        except Exception as error:  # noqa: BLE001 (whatever is wrong with these toys, chunks must go on)
            message = f"{type(error).__name__}: {error}"
            line.exception("toys failed", error=message, deliveries=batch.deliveries)
            await self._answered(lambda: toys.hand_back(self._name, batch, message, limit), left)
            return "failed"
        self._metrics.toy_duration.labels(batch.order.monitor).observe(time.perf_counter() - begun)
        return await self._answered(
            lambda: toys.finish(self._name, batch, result, seconds=seconds, size=size), left
        )

    async def _answered(self, say: Callable[[], Awaitable[str]], left: threading.Event) -> str:
        """Say how a batch ended here, waiting for the store as long as the lease is ours and nobody stops us."""
        while True:
            try:
                return await say()
            except (StoreUnreachable, StoreFull) as error:
                self._metrics.store_errors.inc()
                log.warning("toys wait for the store", error=str(error))
                if left.is_set():
                    return "lost"  # the store may never come back; another trainer will run the toys again
                await asyncio.sleep(STORE_RETRY_SECONDS)

    async def _renew(self, batch: ToyBatch, left: threading.Event) -> None:
        """Renew while toys run in their thread, or wait there for chunks."""
        while not left.is_set():
            await asyncio.sleep(self._settings.lease_seconds / 4)
            try:
                if not await self._broker.toys.renew(self._name, batch):
                    left.set()
            except BrokerError as error:
                log.warning("toys not renewed", error=str(error))

    async def _replay_of(self, order: CalibrationOrder) -> Replaying:
        """Give the toys of a calibration; the first time reference and pool are read."""
        if self._replaying is None or self._replaying[0] != order.key:
            self._replaying = None
            monitor = await self._broker.monitors.at(order.monitor, order.monitor_epoch)
            models = await self._models(monitor)
            pool = await self._pool(order, monitor) if order.plan.pool_hash else None
            replaying = await asyncio.to_thread(
                Replaying.of, order, models, pool, monitor.kernel, self._device
            )
            self._replaying = (order.key, replaying)
        return self._replaying[1]

    async def _pool(self, order: CalibrationOrder, monitor: Monitor) -> NDArray[np.float32]:
        """Read the events of the pool that were there when the calibration was asked for."""
        plan = order.plan
        pool = await self._broker.pools.get(order.reference_hash)
        events = await pool_events(self._broker, monitor, pool, plan.pool_first, plan.pool_events)
        if len(events) != plan.pool_events:
            raise LookupError(
                f"{len(events)} of {plan.pool_events} events of the pool are still there, the others were used up: "
                "cancel the calibration and ask for a new one"
            )
        return events


async def _set_after(ending: asyncio.Task[bool], left: threading.Event) -> None:
    await asyncio.wait([ending])
    left.set()
