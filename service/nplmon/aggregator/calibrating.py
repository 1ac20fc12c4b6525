"""Calibrations by toys of the monitors of one aggregator: followed, reduced when all toys are there, and given out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from nplmon.broker import NoCalibration, StoreFull, StoreUnreachable, UnknownMonitor
from nplmon.nplm.calibration import Calibration
from nplmon.nplm.toy_plan import Trajectories
from nplmon.toys import core_plan

if TYPE_CHECKING:
    from nplmon.aggregator.calibration_metrics import CalibrationMetrics
    from nplmon.broker import Broker
    from nplmon.broker.messages import Monitor
    from nplmon.broker.toy_messages import ToyCalibration

log = structlog.get_logger()


class Calibrating:
    """The calibrations of the monitors that one aggregator holds.

    Parameters
    ----------
    holder:
        The name of the aggregator.
    """

    def __init__(self, broker: Broker, holder: str, metrics: CalibrationMetrics) -> None:
        self._broker = broker
        self._holder = holder
        self._metrics = metrics
        self._reducing: dict[str, asyncio.Task[None]] = {}
        self._read: dict[str, tuple[str, int, Calibration]] = {}
        """Key, generation and calibration that was read last, by monitor."""

    async def advance(self, monitor: str, fence: int) -> None:
        """Look at a monitor's calibration: show how far it is, and reduce it when all batches are done.

        The reduction goes on beside the chunks, for it may take seconds.
        """
        try:
            calibration = await self._broker.calibrations.get(monitor)
        except (NoCalibration, UnknownMonitor):
            self.drop(monitor)
            return
        self._metrics.show(calibration)
        done = calibration.state == "running" and 0 < calibration.batches == calibration.batches_done
        present = self._reducing.get(monitor)
        if done and (present is None or present.done()):
            self._reducing[monitor] = asyncio.create_task(self._reduce(calibration, fence))

    async def current(self, monitor: Monitor) -> tuple[Calibration, float] | None:
        """Give the complete calibration of a monitor at its epoch, and the expected count of its toys' chunks.

        Without one it is None: the closed form holds.
        """
        try:
            now = await self._broker.calibrations.get(monitor.name)
        except (NoCalibration, UnknownMonitor):
            return None
        if now.state != "complete" or now.monitor_epoch != monitor.epoch:
            return None
        known = self._read.get(monitor.name)
        if known is not None and known[:2] == (now.key, now.generation):
            return known[2], now.plan.events
        stored = await self._broker.calibrations.current(monitor)
        if stored is None:
            return None
        read = await asyncio.to_thread(Calibration.from_bytes, stored.body)
        self._read[monitor.name] = (stored.calibration.key, stored.calibration.generation, read)
        return read, stored.calibration.plan.events

    async def reason(self, monitor: Monitor, *, later: bool) -> str:
        """Say why a run is not judged by toys, "" where nobody asked for any.

        Parameters
        ----------
        monitor:
            The monitor at the run's epoch.
        later:
            Whether the run began without toys, so that a complete calibration is for those that follow.
        """
        try:
            now = await self._broker.calibrations.get(monitor.name)
        except (NoCalibration, UnknownMonitor):
            return ""
        unfinished = "the toys were not complete when the run began"
        if now.state == "complete" and now.monitor_epoch == monitor.epoch:
            return unfinished if later else ""
        if now.state == "running":
            return unfinished
        why = f": {now.reason}" if now.reason else ""
        return f"the calibration by toys is {now.state}{why}"

    def drop(self, monitor: str) -> None:
        """Leave a monitor that is deleted, or held by another aggregator now."""
        self._metrics.forget(monitor)
        self._read.pop(monitor, None)
        if (task := self._reducing.pop(monitor, None)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Leave all; what is being reduced is reduced again by the next aggregator."""
        tasks = list(self._reducing.values())
        for monitor in list(self._reducing):
            self.drop(monitor)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _reduce(self, calibration: ToyCalibration, fence: int) -> None:
        line = log.bind(monitor=calibration.monitor, key=calibration.key, toys=calibration.plan.toys)
        calibrations = self._broker.calibrations
        try:
            results = await calibrations.results(calibration)
            if results is None:
                return  # it ended meanwhile
            try:
                made = await asyncio.to_thread(reduced, calibration, results)
            except Exception as error:  # noqa: BLE001 (whatever is wrong with these toys, the monitor must go on)
                reason = f"the toys cannot be reduced: {type(error).__name__}: {error}"
                line.exception("calibration failed", error=reason)
                await calibrations.give_up(calibration, reason, holder=self._holder, fence=fence)
                return
            outcome = await calibrations.complete(
                calibration,
                made.to_bytes(),
                holder=self._holder,
                fence=fence,
                disagreement="; ".join(made.warnings),
            )
            line.info("calibration reduced", outcome=outcome, warnings=len(made.warnings))
        except (StoreUnreachable, StoreFull) as error:
            line.warning("a calibration waits for the store", error=str(error))


def reduced(calibration: ToyCalibration, results: list[bytes]) -> Calibration:
    """Reduce the results of all batches.

    Raises
    ------
    StateError
        If a result is damaged.
    ValueError
        If they are not those of the plan, or not enough.
    """
    plan = calibration.plan
    return Calibration.from_trajectories(
        [Trajectories.from_bytes(body) for body in results],
        plan=core_plan(plan, calibration.mode),
        run_length=calibration.run_length,
        warning_run_length=calibration.warning_run_length,
        pool=plan.pool_events if plan.source == "fixed-reference" else None,
        key=calibration.key,
    )
