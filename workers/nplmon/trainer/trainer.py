"""One trainer: leases chunks one at a time, fits them, keeps its leases alive meanwhile, and runs toys in between."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import numpy as np
import structlog

from nplmon.broker import BrokerError, StoreFull, StoreUnreachable, UnknownMonitor
from nplmon.broker.messages import Fit, WidthFit, expected_events
from nplmon.nplm.kernel import KernelModel, fitting_precision
from nplmon.nplm.kernel_fit import KernelFit
from nplmon.trainer.toys import ToyWork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import torch
    from numpy.typing import NDArray

    from nplmon.broker import Broker, Lease
    from nplmon.broker.messages import Monitor
    from nplmon.prepared import Prepared, PreparedReferences
    from nplmon.settings import Settings
    from nplmon.trainer.metrics import TrainerMetrics

BLOCK_SECONDS = 1.0
"""How long a read waits for work; also how soon a new monitor is seen and a stop is heard."""
STORE_RETRY_SECONDS = 0.5
KEPT = 4
"""References kept on the device."""

log = structlog.get_logger()


class Trainer:
    """The loop of one trainer.

    Parameters
    ----------
    name:
        Consumer name, unique among all trainers.
    device:
        Where fits run.
    """

    def __init__(
        self,
        name: str,
        broker: Broker,
        prepared: PreparedReferences,
        device: torch.device,
        settings: Settings,
        metrics: TrainerMetrics,
    ) -> None:
        self.name = name
        self.finished = 0
        self._broker = broker
        self._prepared = prepared
        self._device = device
        self._settings = settings
        self._metrics = metrics
        self._held: dict[str, Lease] = {}
        self._lost: set[str] = set()
        self._ending: set[str] = set()
        """Entries whose end is being said: it may be there before the answer, which is no lost lease."""
        self._references: dict[str, tuple[KernelModel, ...]] = {}
        self._next_take_over = 0.0
        self._stop = asyncio.Event()
        self._toys = ToyWork(name, broker, self._models, device, settings, metrics)

    def progress(self) -> tuple[int, int]:
        """Give the number of chunks finished so far and of monitors held: none, a trainer works for all."""
        return self.finished, 0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; the chunk in hand is finished first."""
        self._stop = stop
        renewals = asyncio.create_task(self._renew_leases())
        toys = asyncio.create_task(self._toys.run(stop))
        names: Sequence[str] = ()
        try:
            while not stop.is_set():
                try:
                    names = self._toys.monitors = await self._broker.monitors.names()
                    for lease in await self._leases(names):
                        self._toys.wait()
                        self._metrics.announce(lease.receipt.monitor)
                        await self._end(lease)
                except (StoreUnreachable, StoreFull) as error:
                    self._metrics.store_errors.inc()
                    log.warning("waiting for the store", error=str(error))
                    await asyncio.sleep(STORE_RETRY_SECONDS)
        finally:
            renewals.cancel()
            self._toys.wait()
            await asyncio.gather(renewals, toys, return_exceptions=True)
            try:
                await self._broker.leases.leave(self.name, names)
                await self._broker.toys.leave(self.name, names)
            except BrokerError as error:
                log.warning("left without saying so", error=str(error))

    async def _leases(self, names: Sequence[str]) -> list[Lease]:
        """Give the next chunk: now and then an abandoned one, else a waiting one."""
        lease_seconds = self._settings.lease_seconds
        if time.monotonic() >= self._next_take_over:
            # Spread, so that a fleet of trainers does not look at the same moment.
            self._next_take_over = time.monotonic() + lease_seconds / 4 * random.uniform(0.75, 1.25)  # noqa: S311
            for name in names:
                leases, deaths = await self._broker.leases.take_over(
                    self.name,
                    name,
                    idle_seconds=lease_seconds,
                    deliveries_limit=self._settings.deliveries_limit,
                    in_flight=self._held.keys(),
                    count=1,
                )
                for death in deaths:
                    self._metrics.dead_letters.labels(name, death.reason).inc()
                    log.error(
                        "chunk given up", monitor=name, run=death.receipt.run, chunk=death.receipt.chunk
                    )
                if leases:
                    self._metrics.redeliveries.labels(name).inc(len(leases))
                    self._next_take_over = 0.0  # there may be more
                    return leases
        leases = await self._broker.leases.take(self.name, names, count=1, block_seconds=0.0)
        if not leases:
            self._toys.go()
            leases = await self._broker.leases.take(self.name, names, count=1, block_seconds=BLOCK_SECONDS)
        return leases

    async def _end(self, lease: Lease) -> None:
        """Fit one chunk with all kernel widths and store the result, or hand the chunk back with what went wrong."""
        receipt = lease.receipt
        line = log.bind(
            monitor=receipt.monitor, run=receipt.run, chunk=receipt.chunk, sequence=receipt.sequence
        )
        self._held[lease.entry] = lease
        try:
            outcome = await self._outcome(lease, line)
            if outcome == "finished":
                self.finished += 1
            else:
                line.warning("chunk not finished here", outcome=outcome)
            self._metrics.chunks.labels(receipt.monitor, outcome).inc()
        finally:
            self._held.pop(lease.entry, None)
            self._lost.discard(lease.entry)
            self._ending.discard(lease.entry)

    async def _outcome(self, lease: Lease, line: structlog.typing.FilteringBoundLogger) -> str:
        limit = self._settings.deliveries_limit
        try:
            fit = await self._fit(lease)
        except (StoreUnreachable, StoreFull) as error:
            # Not the chunk's fault: this delivery does not count.
            line.warning("fit waits for the store", error=str(error))
            answer = await self._answered(
                lease, lambda: self._broker.leases.hand_back(self.name, lease, None, limit)
            )
            self._next_take_over = 0.0
            return "returned" if answer == "handed back" else "lost"
        except UnknownMonitor:
            return "superseded"  # deleted meanwhile; its entries went with it
        except Exception as error:  # noqa: BLE001 (whatever is wrong with this chunk, the others must go on)
            message = f"{type(error).__name__}: {error}"
            line.exception("fit failed", error=message, deliveries=lease.deliveries)
            answer = await self._answered(
                lease, lambda: self._broker.leases.hand_back(self.name, lease, message, limit)
            )
            self._next_take_over = 0.0
            if answer == "dead":
                self._metrics.dead_letters.labels(lease.receipt.monitor, "exception").inc()
            return "failed"
        return await self._answered(lease, lambda: self._broker.leases.finish(self.name, lease, fit))

    async def _answered(self, lease: Lease, say: Callable[[], Awaitable[str]]) -> str:
        """Say how a chunk ended here, waiting for the store as long as the lease is ours and nobody stops us."""
        while lease.entry not in self._lost:
            self._ending.add(lease.entry)
            try:
                return await say()
            except (StoreUnreachable, StoreFull) as error:
                self._metrics.store_errors.inc()
                log.warning("a chunk waits for the store", chunk=lease.receipt.chunk, error=str(error))
                if self._stop.is_set():
                    break  # the store may never come back; another trainer will fit the chunk again
                self._ending.discard(lease.entry)  # until the next try a lease that goes to another is lost
                await asyncio.sleep(STORE_RETRY_SECONDS)
        return "lost"

    async def _fit(self, lease: Lease) -> Fit:
        receipt = lease.receipt
        if lease.payload is None:
            raise LookupError("the events of this chunk are not in the store")
        # Read each time: a monitor deleted and made again begins at the same epoch with other settings.
        monitor = await self._broker.monitors.at(receipt.monitor, receipt.monitor_epoch)
        models = await self._models(monitor)
        events = np.frombuffer(lease.payload, dtype="<f4").reshape(receipt.events, len(monitor.features))
        fitted, seconds = await asyncio.to_thread(
            _timed_fit, models, events, expected_events(monitor, receipt)
        )
        self._metrics.fit_duration.labels(monitor.name).observe(seconds)
        return Fit(
            receipt=receipt,
            widths=tuple(_message(one) for one in fitted),
            fit_seconds=seconds,
            trainer=self.name,
            device=str(self._device),
            finished_at=time.time(),
        )

    async def _models(self, monitor: Monitor) -> tuple[KernelModel, ...]:
        """Give the model of each kernel width, on the device."""
        prepared = await self._prepared.get(monitor)
        if prepared.key not in self._references:
            while len(self._references) >= KEPT:
                self._references.pop(next(iter(self._references)))
            self._references[prepared.key] = await asyncio.to_thread(_on_device, prepared, self._device)
        return self._references[prepared.key]

    async def _renew_leases(self) -> None:
        """Renew while fits run in their threads: a slow fit is not a dead trainer."""
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 4)
            held = list(self._held.values())
            if not held:
                continue
            try:
                owned = await self._broker.leases.renew(self.name, held)
            except BrokerError as error:
                log.warning("leases not renewed", error=str(error))
                continue
            except Exception as error:  # without this task every slow fit would be taken for a dead trainer
                log.exception("leases not renewed", error=str(error))
                continue
            for lease in held:
                if lease.entry in self._held.keys() - self._ending and lease.entry not in owned:
                    self._lost.add(lease.entry)
                    log.warning("lease lost", monitor=lease.receipt.monitor, chunk=lease.receipt.chunk)


def _on_device(prepared: Prepared, device: torch.device) -> tuple[KernelModel, ...]:
    # All widths share the device.
    precision = fitting_precision(sum(width.features.size for width in prepared.widths), device)
    return tuple(
        KernelModel(prepared.reference, width.basis, width.features, device=device, precision=precision)
        for width in prepared.widths
    )


def _timed_fit(
    models: tuple[KernelModel, ...], events: NDArray[np.float32], expected: float
) -> tuple[list[KernelFit], float]:
    start = time.perf_counter()
    fitted = [model.fit(events, expected) for model in models]
    return fitted, time.perf_counter() - start


def _message(fitted: KernelFit) -> WidthFit:
    return WidthFit(
        coefficients=fitted.coefficients.astype("<f8").tobytes(),
        score=fitted.score.astype("<f8").tobytes(),
        t_chunk=fitted.statistic,
        iterations=fitted.iterations,
        decrement=fitted.resolution,
    )
