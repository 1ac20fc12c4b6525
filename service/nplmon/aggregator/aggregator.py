"""The loop of one aggregator: holds monitors, applies results in order, saves."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from nplmon.aggregator.calibrating import Calibrating
from nplmon.aggregator.evidence import Fresh
from nplmon.aggregator.judge import Judge
from nplmon.aggregator.ledger import Ledger
from nplmon.aggregator.state import SavedState
from nplmon.aggregator.threshold_store import ThresholdStore
from nplmon.aggregator.vigil import Vigil
from nplmon.broker import (
    BrokerError,
    StoredOtherwise,
    StoreFull,
    StoreUnreachable,
    UnknownMonitor,
    UnknownRun,
)
from nplmon.broker.messages import Fit
from nplmon.nplm.errors import StateError
from nplmon.pool import pool_events
from nplmon.tolerated import templates_of

if TYPE_CHECKING:
    from nplmon.aggregator.metrics import AggregatorMetrics
    from nplmon.broker import Broker
    from nplmon.broker.messages import Run, Snapshot
    from nplmon.notifier import NotifierThread
    from nplmon.prepared import PreparedReferences
    from nplmon.settings import Settings

HOLD_SECONDS = 5.0
"""A monitor whose aggregator gives no sign for this long is free for another."""
BLOCK_SECONDS = 1.0
"""How long to wait for news; also how soon a new monitor is seen and a stop is heard."""
STORE_RETRY_SECONDS = 0.5
BATCH = 32
"""Results applied per save: under load the state is written once for many chunks."""

log = structlog.get_logger()


class Aggregator:
    """Applies the results of all monitors that it holds.

    Parameters
    ----------
    name:
        Unique among all aggregators: who holds a monitor.
    notifier:
        Is kept watching over the monitors that are held.
    """

    def __init__(
        self,
        name: str,
        broker: Broker,
        prepared: PreparedReferences,
        settings: Settings,
        metrics: AggregatorMetrics,
        notifier: NotifierThread,
    ) -> None:
        self.name = name
        self.applied = 0
        self._broker = broker
        self._prepared = prepared
        self._settings = settings
        self._metrics = metrics
        self._notifier = notifier
        self._thresholds = ThresholdStore(broker)
        self._calibrating = Calibrating(broker, name, metrics.calibration)
        self._fences: dict[str, int] = {}
        self._ledgers: dict[tuple[str, str], Ledger] = {}
        self._cursors: dict[str, str] = {}
        self._shown: dict[str, Snapshot] = {}
        """What is exported, by monitor."""
        self._vigil = Vigil(broker, name, metrics, self._shown)
        self._warned: set[tuple[str, str, int, str]] = set()
        """What was warned about in the log: monitor, run, epoch, what; once each."""

    @property
    def monitors(self) -> int:
        """The number of monitors held."""
        return len(self._fences)

    def progress(self) -> tuple[int, int]:
        """Give the number of chunks applied so far and of monitors held now."""
        return self.applied, self.monitors

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        await self._notifier.start()
        holding = asyncio.create_task(self._keep_holding(stop))
        watching = asyncio.create_task(self._vigil.keep(self._fences, BLOCK_SECONDS))
        try:
            while not stop.is_set():
                try:
                    cursors = dict(self._cursors)
                    await self._broker.statistics.wait_done(cursors, BLOCK_SECONDS)
                    # Not those of monitors dropped meanwhile.
                    self._cursors |= {name: cursors[name] for name in cursors.keys() & self._cursors.keys()}
                    # All monitors, not only those with news: a wake-up may have been missed.
                    for monitor, fence in list(self._fences.items()):
                        await self._advance(monitor)
                        await self._calibrating.advance(monitor, fence)
                    if not self._fences:
                        await asyncio.sleep(0.1)
                except (StoreUnreachable, StoreFull) as error:
                    self._metrics.store_errors.inc()
                    log.warning("waiting for the store", error=str(error))
                    await asyncio.sleep(STORE_RETRY_SECONDS)
        finally:
            holding.cancel()
            watching.cancel()
            await asyncio.gather(holding, watching, return_exceptions=True)
            await self._thresholds.close()
            await self._calibrating.close()
            await self._notifier.close()
            try:
                for monitor in list(self._fences):
                    await self._broker.statistics.release(monitor, self.name)
            except BrokerError as error:
                log.warning("monitors not released; they are free after the hold expires", error=str(error))

    async def _keep_holding(self, stop: asyncio.Event) -> None:
        """Hold monitors and renew, while computations run in their threads."""
        while not stop.is_set():
            try:
                names = await self._broker.monitors.names()
                for name in names:
                    fence = await self._broker.statistics.hold(name, self.name, HOLD_SECONDS)
                    if fence is None:
                        self._drop(name)
                    elif self._fences.get(name) != fence:
                        self._drop(name)
                        # Before anything is applied: an old snapshot could hide a new one, and an alarm be missed.
                        await self._broker.notifications.begin(name)
                        await self._show_saved(name)
                        self._fences[name] = fence
                        self._cursors[name] = "0-0"
                        self._metrics.announce(name)
                        log.info("monitor held", monitor=name, fence=fence)
                for name in set(self._fences) - set(names):
                    self._drop(name)
                self._notifier.keep(self._fences)
            except (StoreUnreachable, StoreFull) as error:
                log.warning("holds not renewed", error=str(error))
            except Exception as error:  # without this task nothing would be saved any more, silently
                log.exception("holds not renewed", error=str(error))
            await asyncio.sleep(BLOCK_SECONDS)

    def _drop(self, monitor: str) -> None:
        if self._fences.pop(monitor, None) is not None:
            log.info("monitor no longer held", monitor=monitor)
        self._cursors.pop(monitor, None)
        for key in [key for key in self._ledgers if key[0] == monitor]:
            del self._ledgers[key]
        self._calibrating.drop(monitor)
        self._warned = {one for one in self._warned if one[0] != monitor}
        self._hide(monitor)
        self._metrics.standing.forget(monitor)

    def _show(self, snapshot: Snapshot) -> None:
        self._metrics.show(snapshot)
        self._shown[snapshot.monitor] = snapshot

    def _hide(self, monitor: str) -> None:
        self._metrics.forget(monitor)
        self._shown.pop(monitor, None)

    async def _show_saved(self, monitor: str) -> None:
        try:
            run = await self._broker.runs.latest(monitor)
            snapshot = None if run is None else await self._broker.statistics.snapshot(monitor, run.name)
        except (UnknownMonitor, UnknownRun):
            return  # deleted meanwhile
        except StoredOtherwise as error:  # must not keep us from holding this monitor and all others
            log.warning("nothing to show", monitor=monitor, error=str(error))
            return
        if snapshot is not None:
            self._show(snapshot)

    async def _advance(self, monitor: str) -> None:
        """Apply what is ready in all runs of one monitor."""
        behind = 0
        try:
            runs = await self._broker.runs.all(monitor)
        except UnknownMonitor:
            self._drop(monitor)
            return
        for newest, run in enumerate(runs):
            if not newest and not run.applied + run.dead and monitor in self._shown:
                # A run just opened or reset: the alarm of another must not look like its own.
                self._hide(monitor)
            waiting = run.accepted - run.applied - run.dead
            behind += waiting
            if not waiting:
                if run.state == "closed":
                    self._ledgers.pop((monitor, run.name), None)
                continue
            try:
                behind -= await self._apply(monitor, run, live=newest == 0)
            except (StoreUnreachable, StoreFull):
                raise
            except Exception as error:  # one run that cannot go on must not stop the others
                self._ledgers.pop((monitor, run.name), None)
                if await self._superseded(run):
                    log.info("run reset or deleted meanwhile", monitor=monitor, run=run.name)
                    continue
                self._metrics.failures.labels(monitor, "exception").inc()
                log.exception("run not advanced", monitor=monitor, run=run.name, error=str(error))
                await asyncio.sleep(STORE_RETRY_SECONDS)
        if monitor in self._fences:
            self._metrics.unapplied.labels(monitor).set(behind)

    async def _superseded(self, run: Run) -> bool:
        try:
            return (await self._broker.runs.get(run.monitor, run.name)).epoch != run.epoch
        except (UnknownMonitor, UnknownRun):
            return True

    async def _apply(self, monitor: str, run: Run, *, live: bool) -> int:
        """Apply up to a batch of results; give how many."""
        statistics = self._broker.statistics
        fence = self._fences.get(monitor)
        if fence is None:
            return 0
        results = await statistics.fits(monitor, run.name, run.applied + run.dead, BATCH)
        if not results:
            return 0
        ledger = await self._ledger(monitor, run, fence)
        first = ledger.first_expected(results)
        if ledger.judge is None and first is not None:
            ledger.judge = await self._judge(ledger, first)
            if ledger.judge is None:
                return 0  # it is being computed; the results stay where they are until then
        wanted = [result.receipt.sequence for result in results if isinstance(result, Fit)]
        payloads = await self._payloads(monitor, run.name, wanted)
        if lost := [sequence for sequence in wanted if sequence not in payloads]:
            raise LookupError(f"the events of chunk number {lost[0]} are not in the store: reset the run")
        previous, level = ledger.sequence, ledger.alarm.level
        fresh, position, begin = await self._fresh(monitor, run, ledger.asked(results))
        page = await asyncio.to_thread(ledger.apply, results, payloads, time.time(), fresh)
        outcome = await statistics.save(
            monitor,
            run.name,
            holder=self.name,
            fence=fence,
            run_epoch=run.epoch,
            previous=previous,
            snapshot=page.snapshot,
            state=page.state,
            history=page.history,
            projection=page.projection,
            drop_payloads=page.drop_payloads,
            drop_fits=page.drop_fits,
            pool=(position, begin + page.pool_used if page.pool_used else position),
            journal=page.journal,
        )
        if outcome != "saved":
            # The ledger in memory is ahead of what is stored: it is read again.
            self._ledgers.pop((monitor, run.name), None)
            self._metrics.failures.labels(monitor, outcome).inc()
            log.warning("statistic not saved", monitor=monitor, run=run.name, outcome=outcome)
            return 0
        self.applied += len(page.history)
        self._metrics.count(monitor, page)
        if live:
            self._show(page.snapshot)
        self._warn(page.snapshot)
        for entry in page.history:
            if entry.alarm != level:
                level = entry.alarm
                log.warning("alarm", monitor=monitor, run=run.name, level=level, chunk=entry.chunk)
        return len(page.history)

    def _warn(self, snapshot: Snapshot) -> None:
        """Log once in a run what a shifter must act on: a budget used up, a pool run empty."""
        run = snapshot.monitor, snapshot.run, snapshot.run_epoch
        for what, true, remedy in (
            (
                "exposure budget used up",
                snapshot.exposure_ratio > snapshot.exposure_budget,
                "use a larger reference",
            ),
            ("pool empty", snapshot.pool_left == 0, "refill it: nplmon pool add, or nplmon pool feed"),
        ):
            if true and (*run, what) not in self._warned:
                self._warned.add((*run, what))
                log.warning(what, monitor=snapshot.monitor, run=snapshot.run, remedy=remedy)

    async def _ledger(self, monitor: str, run: Run, fence: int) -> Ledger:
        """Give the run's ledger, read from what is saved where it is not in memory.

        Raises
        ------
        StateError
            If what is saved does not lead to where the run is.
        """
        known = self._ledgers.get((monitor, run.name))
        if known is not None and (known.epoch, known.sequence) == (run.epoch, run.applied + run.dead):
            return known
        settings = await self._broker.monitors.at(monitor, run.monitor_epoch)
        prepared = await self._prepared.get(settings)
        templates = await templates_of(self._broker, settings, [width.basis for width in prepared.widths])
        ledger = await asyncio.to_thread(
            Ledger,
            settings,
            run,
            prepared,
            event_cap=self._settings.aggregation_events,
            exposure_budget=self._settings.exposure_budget,
            templates=templates,
        )
        stored = await self._broker.statistics.state(monitor, run.name)
        if stored is not None and run.applied + run.dead > 0:
            saved = SavedState.from_bytes(stored)
            payloads = await self._payloads(monitor, run.name, saved.kept)
            await asyncio.to_thread(ledger.restore, saved, payloads)
            log.info("run restored", monitor=monitor, run=run.name, sequence=ledger.sequence)
        if ledger.sequence != run.applied + run.dead:
            raise StateError(
                f"the saved state ends at chunk number {ledger.sequence}, the run at {run.applied + run.dead}"
            )
        # One begun before the monitor was deleted and made again may have other settings.
        if self._fences.get(monitor) == fence:
            self._ledgers[monitor, run.name] = ledger
        return ledger

    async def _fresh(self, monitor: str, run: Run, count: int) -> tuple[Fresh, int, int]:
        """Give unused events of the pool, the monitor's stored position in it, and where these events begin."""
        settings = await self._broker.monitors.at(monitor, run.monitor_epoch)
        pool = await self._broker.pools.get(settings.reference_hash)
        position = await self._broker.pools.position(monitor, settings.reference_hash)
        # Of what was dropped before the monitor was there, it has no use.
        begin = max(position, pool.first)
        left = pool.first + pool.events - begin
        events = await pool_events(self._broker, settings, pool, begin, min(count, left))
        return Fresh(events=events, left=left, pooled=bool(pool.segments)), position, begin

    async def _judge(self, ledger: Ledger, first: float) -> Judge | None:
        """Give what a run is judged by, None while it is computed; a run keeps the toys that it began with."""
        closed = await self._thresholds.get(ledger.monitor, ledger.prepared, first)
        if closed is None:
            return None
        if ledger.began_with == "":
            return Judge(closed=closed, reason=await self._calibrating.reason(ledger.monitor, later=True))
        found = await self._calibrating.current(ledger.monitor)
        if found is None:
            reason = await self._calibrating.reason(ledger.monitor, later=False)
            if ledger.began_with:
                reason = "the toys that the run began with are gone"
            return Judge(closed=closed, reason=reason)
        toys, events = found
        if ledger.began_with and toys.key != ledger.began_with:
            return Judge(closed=closed, reason="the toys that the run began with were replaced by others")
        return Judge(closed=closed, toys=toys, events=events)

    async def _payloads(self, monitor: str, run: str, sequences: list[int]) -> dict[int, bytes]:
        found = {}
        for sequence in sequences:
            payload = await self._broker.statistics.payload(monitor, run, sequence)
            if payload is not None:
                found[sequence] = payload
        return found
