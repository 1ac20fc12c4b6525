"""Real stores for the whole session, emptied before each test: the Valkey of the wheel, and Redis 7."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.broker.samples import a_monitor
from tests.security.servers import redis_7

from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore
from nplmon.broker.messages import Monitor


@pytest.fixture(scope="session", params=["valkey", "redis-7"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedStore]:
    """Start each of both; without Redis its tests are skipped on a desk, and fail in CI."""
    binary = redis_7(tmp_path_factory.mktemp("redis")) if request.param == "redis-7" else None
    store = EmbeddedStore(tmp_path_factory.mktemp(request.param), binary=binary)
    store.start()
    yield store
    store.stop()


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
