"""A real embedded store and an aggregator at work on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.aggregator.samples import a_monitor, closed_form, store_reference
from tests.aggregator.work import AtWork

from nplmon.aggregator import aggregator, threshold_store
from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore
from nplmon.broker.messages import Monitor


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
    broker: Broker,
    store: EmbeddedStore,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Callable[..., Awaitable[AtWork]]]:
    """Give a function that starts an aggregator of this name with these settings; all are stopped afterwards."""
    monkeypatch.setattr(aggregator, "BLOCK_SECONDS", 0.02)
    monkeypatch.setattr(aggregator, "STORE_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(threshold_store.thresholds, "closed_form", closed_form)
    started: list[AtWork] = []

    async def begin(name: str = "a1", **settings: object) -> AtWork:
        started.append(AtWork(name, store.url, tmp_path_factory.getbasetemp() / "cache", settings))
        return started[-1]

    yield begin
    for one in started:
        await one.stop()


@pytest.fixture(autouse=True)
def _no_key_leaks(no_key_leaks: None) -> None:
    """In each test of this room."""
