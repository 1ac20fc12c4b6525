"""A real embedded store for the whole session, emptied before each test."""

from collections.abc import AsyncIterator

import pytest
from tests.broker.samples import a_monitor

from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore
from nplmon.broker.messages import Monitor


@pytest.fixture
async def broker(store: EmbeddedStore) -> AsyncIterator[Broker]:
    broker = Broker.connect(store.url)
    await broker.connection.ask("FLUSHALL")
    yield broker
    await broker.close()


@pytest.fixture
async def monitor(broker: Broker) -> Monitor:
    """Create the monitor `muons`."""
    made = a_monitor()
    await broker.monitors.create(made)
    return made


@pytest.fixture(autouse=True)
def _no_key_leaks(no_key_leaks: None) -> None:
    """In each test of this room."""
