"""A real embedded store with a small reference, and trainers at work on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.aggregator.samples import a_monitor, store_reference
from tests.trainer.work import AtWork

from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore
from nplmon.broker.messages import Monitor
from nplmon.trainer import toys, trainer


@pytest.fixture
async def broker(store: EmbeddedStore) -> AsyncIterator[Broker]:
    broker = Broker.connect(store.url)
    await broker.connection.ask("FLUSHALL")
    await store_reference(broker)
    yield broker
    await broker.close()


@pytest.fixture
async def monitor(broker: Broker) -> Monitor:
    """Create the monitor `m`."""
    made = a_monitor()
    await broker.monitors.create(made)
    return made


@pytest.fixture
async def start(
    broker: Broker, store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., AtWork]]:
    """Give a function that starts a trainer of this name with these settings; all are stopped afterwards."""
    monkeypatch.setattr(trainer, "BLOCK_SECONDS", 0.05)
    monkeypatch.setattr(trainer, "STORE_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(toys, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(toys, "STORE_RETRY_SECONDS", 0.05)
    started: list[AtWork] = []

    def begin(name: str = "t1", **settings: object) -> AtWork:
        started.append(AtWork(name, store.url, tmp_path, {"lease_seconds": 1.0} | settings))
        return started[-1]

    yield begin
    for one in started:
        await one.stop()


@pytest.fixture(autouse=True)
def _no_key_leaks(no_key_leaks: None) -> None:
    """In each test of this room."""
