"""The vigil over the monitors of one aggregator: what must be seen and said also while no chunk comes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from nplmon.aggregator.standing import Standing, standing
from nplmon.broker import NoCalibration, StoreFull, StoreUnreachable, UnknownMonitor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nplmon.aggregator.metrics import AggregatorMetrics
    from nplmon.broker import Broker
    from nplmon.broker.messages import Monitor, Run, Snapshot
    from nplmon.broker.toy_messages import CalibrationState

log = structlog.get_logger()


class Vigil:
    """Looks at each held monitor about once a second.

    Parameters
    ----------
    holder:
        The name of the aggregator.
    saved:
        What was saved last, by monitor; followed, not copied.
    """

    def __init__(
        self, broker: Broker, holder: str, metrics: AggregatorMetrics, saved: Mapping[str, Snapshot]
    ) -> None:
        self._broker = broker
        self._holder = holder
        self._metrics = metrics
        self._saved = saved

    async def keep(self, held: Mapping[str, int], every: float) -> None:
        """Look at all held monitors, again and again until cancelled; beside the renewals, which must not wait for it.

        Parameters
        ----------
        held:
            The fences of the monitors that are held, by name; followed, not copied.
        every:
            The pause between two rounds, in s.
        """
        while True:
            for monitor, fence in list(held.items()):
                try:
                    await self.look(monitor, fence)
                except (StoreUnreachable, StoreFull) as error:
                    log.warning("monitor not looked at", monitor=monitor, error=str(error))
                except Exception as error:  # one that cannot be looked at must not hide the others
                    log.exception("monitor not looked at", monitor=monitor, error=str(error))
                if monitor not in held:  # dropped while it was looked at
                    self._metrics.forget(monitor)
                    self._metrics.standing.forget(monitor)
            await asyncio.sleep(every)

    async def look(self, monitor: str, fence: int) -> None:
        """Export the level of its pool and how it stands; write into its journal where it turns stale or fresh.

        Parameters
        ----------
        monitor, fence:
            The monitor and the right to write for it.
        """
        try:
            settings = await self._broker.monitors.get(monitor)
            run = await self._broker.runs.latest(monitor)
        except UnknownMonitor:
            return  # deleted meanwhile
        await self._show_pool(settings)
        test, calibration = await self._broker.alarms.test(monitor), await self._calibration(monitor)
        # Looked at last: a chunk applied meanwhile must not be missed, or its run would be called stale.
        now = standing(
            settings, run, self._saved.get(monitor), test=test, calibration=calibration, now=time.time()
        )
        self._metrics.standing.show(monitor, now)
        if run is not None and now.run_open:
            await self._turn(settings, run, now, fence)

    async def _show_pool(self, monitor: Monitor) -> None:
        """Also between chunks: an alert on the level must end when the pool is refilled."""
        pool = await self._broker.pools.get(monitor.reference_hash)
        position = await self._broker.pools.position(monitor.name, monitor.reference_hash)
        left = pool.first + pool.events - max(position, pool.first)
        self._metrics.show_pool(monitor.name, left if pool.segments else None)

    async def _calibration(self, monitor: str) -> CalibrationState | None:
        try:
            return (await self._broker.calibrations.get(monitor)).state
        except (NoCalibration, UnknownMonitor):
            return None

    async def _turn(self, monitor: Monitor, run: Run, now: Standing, fence: int) -> None:
        text = (
            f"no chunk entered the statistic for {now.stale_after:g} s"
            if now.stale
            else f"chunks enter the statistic again, {run.applied} so far"
        )
        written = await self._broker.staleness.turn(
            monitor.name,
            run.name,
            epoch=run.epoch,
            stale=now.stale,
            text=text,
            holder=self._holder,
            fence=fence,
        )
        if written:
            log.warning("stale" if now.stale else "fresh", monitor=monitor.name, run=run.name, text=text)
