"""A store with something of everything in it, and an empty one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis import Redis
from tests.broker.samples import a_fit, a_monitor, a_reference, admit, lease, save
from tests.broker.test_calibrations import an_order, take
from tests.broker.test_workers import a_worker

from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    """Give a second store."""
    store = EmbeddedStore(tmp_path_factory.mktemp("other"))
    store.start()
    yield store
    store.stop()


@pytest.fixture
def empty(other: EmbeddedStore) -> Iterator[Redis]:
    """Give a client of the second store, emptied."""
    with Redis.from_url(other.url, protocol=2) as redis:
        redis.flushall()
        yield redis


@pytest.fixture
def source(store: EmbeddedStore) -> Iterator[Any]:
    """Give a client of the common store."""
    with Redis.from_url(store.url, protocol=2) as redis:
        yield redis


@pytest.fixture
async def full(store: EmbeddedStore) -> AsyncIterator[Broker]:
    """Give a broker on a store with chunks waiting, leased, handed back, finished, dead, applied, and toys."""
    broker = Broker.connect(store.url)
    await broker.connection.ask("FLUSHALL")
    await broker.references.put(a_reference(), bytes(range(256)) * 1000)
    await broker.references.put_basis("ab12", "k", b"basis")
    await broker.pools.add("ab12", "ef", b"1234", events=1, limit=9)
    await broker.monitors.create(a_monitor())
    await broker.monitors.create(a_monitor("electrons"))
    for i in range(1, 9):
        assert (await admit(broker, f"c{i}", payload=bytes([i]) * 1000 * i)).status == "accepted"
    one, two, three, _four, five = [await lease(broker) for _ in range(5)]
    assert await broker.leases.finish("t1", one, a_fit(one)) == "finished"
    assert await broker.leases.hand_back("t1", two, "boom", 1) == "dead"
    assert await broker.leases.hand_back("t1", three, None, 1) == "handed back"
    await broker.leases.take_over(
        "t2", "muons", idle_seconds=9.0, deliveries_limit=3, in_flight=set(), count=1
    )
    assert await broker.leases.finish("t1", five, a_fit(five)) == "finished"
    fence = await broker.statistics.hold("muons", "a1", 9.0)
    assert await save(broker, fence, 0, 1) == "saved"
    await broker.workers.beat(a_worker("t1"), 9.0)
    await broker.alarms.begin_test("muons", seconds=99.0, who="me", comment="")
    await broker.calibrations.begin(an_order(toys=2))
    assert await take(broker) is not None
    yield broker
    await broker.close()
