"""Where calibrations in closed form are kept: in memory, in the store for all aggregators, or computed now."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

import structlog

from nplmon.aggregator import thresholds
from nplmon.broker.messages import run_lengths
from nplmon.nplm.calibration import Calibration

if TYPE_CHECKING:
    from nplmon.broker import Broker
    from nplmon.broker.messages import Monitor
    from nplmon.prepared import Prepared

PATIENCE_SECONDS = 0.1
"""How long one look waits for a computation: meanwhile the runs of other monitors stand still."""
KEPT = 64
"""Calibrations in memory."""

log = structlog.get_logger()


class ThresholdStore:
    """Gives the calibration in closed form of each monitor.

    The first one stored under a name stays, so that all aggregators judge by the same numbers, bit for bit.

    Parameters
    ----------
    broker:
        Where they are stored, beside the reference's eigenbases.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._memory: OrderedDict[str, Calibration] = OrderedDict()
        self._making: dict[str, asyncio.Task[Calibration]] = {}
        self._one_at_a_time = asyncio.Semaphore()

    async def get(self, monitor: Monitor, prepared: Prepared, expected: float) -> Calibration | None:
        """Give the calibration of runs whose first chunk has this expected count, None while it is computed.

        Raises
        ------
        StoreUnreachable
            If the store gives no answer.
        """
        size = thresholds.typical(expected)
        name = thresholds.name_of(prepared, monitor.mode, size, run_lengths(monitor))
        if name not in self._memory:
            if name not in self._making:
                self._making[name] = asyncio.create_task(self._made(name, monitor, prepared, size))
            task = self._making[name]
            await asyncio.wait([task], timeout=PATIENCE_SECONDS)
            if not task.done():
                return None
            # What failed is begun anew at the next look.
            self._making.pop(name, None)
            self._memory[name] = task.result()
        self._memory.move_to_end(name)
        while len(self._memory) > KEPT:
            self._memory.popitem(last=False)
        return self._memory[name]

    async def close(self) -> None:
        """Leave what is being computed; the next aggregator begins it anew."""
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _made(self, name: str, monitor: Monitor, prepared: Prepared, size: float) -> Calibration:
        references, reference = self._broker.references, monitor.reference_hash
        async with self._one_at_a_time:
            stored = await references.levels(reference, name)
            if stored is None:
                began = time.monotonic()
                made = await asyncio.to_thread(
                    thresholds.closed_form, prepared, monitor.mode, size, run_lengths(monitor)
                )
                seconds = round(time.monotonic() - began, 2)
                log.info(
                    "thresholds computed", monitor=monitor.name, run_length=made.run_length, seconds=seconds
                )
                await references.put_levels(reference, name, made.to_bytes())
                stored = await references.levels(reference, name)
                if stored is None:
                    return made
            # From the bytes, also where they were made here: every process works with the same numbers.
            return await asyncio.to_thread(Calibration.from_bytes, stored)
