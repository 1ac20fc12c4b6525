"""A trainer at work in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import torch
from prometheus_client import CollectorRegistry

from nplmon.broker import Broker
from nplmon.prepared import PreparedReferences
from nplmon.settings import Settings
from nplmon.trainer.metrics import TrainerMetrics
from nplmon.trainer.trainer import Trainer


class AtWork:
    """A trainer and its loop, with a connection and a registry of its own."""

    def __init__(self, name: str, url: str, cache: Path, settings: dict[str, Any]) -> None:
        self.broker = Broker.connect(url)
        self.registry = CollectorRegistry()
        self.trainer = Trainer(
            name,
            self.broker,
            PreparedReferences(self.broker, cache, name),
            torch.device("cpu"),
            Settings(**settings),
            TrainerMetrics(self.registry, "cpu"),
        )
        self.stopping = asyncio.Event()
        self._task = asyncio.create_task(self.trainer.run(self.stopping))

    async def stop(self) -> None:
        """Stop it as SIGTERM does; raises what ended it, if that came before."""
        self.stopping.set()
        await asyncio.wait_for(self._task, 10)
        await self.broker.close()

    async def until(self, true: Callable[[], Awaitable[object]], what: str, seconds: float = 10) -> None:
        """Wait for something to become true; fail if it does not, or if the loop ends."""
        deadline = time.monotonic() + seconds
        while not await true():
            assert not self._task.done(), self._task
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            await asyncio.sleep(0.01)

    async def reaches(self, count: float, name: str, **labels: str) -> None:
        """Wait until a counter has this value."""

        async def enough() -> bool:
            return self.value(name, **labels) >= count

        await self.until(enough, f"{name} {labels} {count}")
        assert self.value(name, **labels) == count

    async def ended(self, outcome: str, count: float = 1) -> None:
        """Wait until so many chunks of `m` ended in this way."""
        await self.reaches(count, "nplmon_chunks_processed_total", monitor="m", outcome=outcome)

    def value(self, name: str, **labels: str) -> float:
        """Give an exported value, 0 where there is none."""
        return self.registry.get_sample_value(name, labels) or 0.0
