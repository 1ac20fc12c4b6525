"""An aggregator at work in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from nplmon.aggregator.aggregator import Aggregator
from nplmon.aggregator.metrics import AggregatorMetrics
from nplmon.broker import Broker
from nplmon.notifier import NotifierThread
from nplmon.prepared import PreparedReferences
from nplmon.settings import Settings


class AtWork:
    """An aggregator and its loop, with a connection and a registry of its own."""

    def __init__(self, name: str, url: str, cache: Path, settings: dict[str, Any]) -> None:
        self.broker = Broker.connect(url)
        self.registry = CollectorRegistry()
        said = Settings(**settings)
        self.aggregator = Aggregator(
            name,
            self.broker,
            PreparedReferences(self.broker, cache, name),
            said,
            AggregatorMetrics(self.registry),
            NotifierThread(url, said, self.registry),
        )
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self.aggregator.run(self._stopping))

    async def stop(self) -> None:
        """Stop it as SIGTERM does; raises what ended it, if that came before."""
        if self._task.cancelled():
            return  # killed
        self._stopping.set()
        await asyncio.wait_for(self._task, 10)
        await self.broker.close()

    async def kill(self) -> None:
        """End it without a last word: its hold stays."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self.broker.close()

    async def until(self, true: Callable[[], Awaitable[object]], what: str, seconds: float = 60) -> None:
        """Wait for something to become true; fail if it does not, or if the loop ends."""
        deadline = time.monotonic() + seconds
        while not await true():
            assert not self._task.done(), self._task
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            await asyncio.sleep(0.01)

    async def applied(self, count: int, monitor: str = "m", run: str = "a") -> None:
        """Wait until so many chunks of a run are applied or dead."""

        async def enough() -> bool:
            one = await self.broker.runs.get(monitor, run)
            return one.applied + one.dead >= count

        await self.until(enough, f"{count} applied in {run}")

    def value(self, name: str, **labels: str) -> float | None:
        """Give an exported value, None where there is none."""
        return self.registry.get_sample_value(name, labels)
