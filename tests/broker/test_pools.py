"""Pools: appended to once each, read from any place, shortened at the head."""

import asyncio

import pytest
from tests.broker.samples import a_reference, keys_of

from nplmon.broker import Broker, PoolFull, StoreUnreachable, UnknownReference, pieces
from nplmon.broker.messages import Monitor

pytestmark = pytest.mark.anyio

ROW = 4


async def fill(broker: Broker, name: str, events: int, limit: int = 1000) -> bool:
    """Add a segment of rows that name it and their place."""
    body = b"".join(f"{name}{i:03d}".encode() for i in range(events))
    return await broker.pools.add("ab12", name.encode().hex(), body, events=events, limit=limit)


@pytest.fixture
async def reference(broker: Broker) -> None:
    await broker.references.put(a_reference(), b"events")


@pytest.mark.usefixtures("reference")
async def test_events_come_from_any_place_over_pieces_and_segments(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 7)  # no piece ends with an event
    assert await fill(broker, "a", 5)
    assert await fill(broker, "b", 3)
    pool = await broker.pools.get("ab12")
    assert (pool.first, pool.events, [s.first for s in pool.segments]) == (0, 8, [0, 5])
    whole = b"a000a001a002a003a004b000b001b002"
    for first in range(9):
        for count in range(10):
            found = await broker.pools.read(pool, first, count, ROW)
            assert found == whole[first * ROW : (first + count) * ROW]


@pytest.mark.usefixtures("reference")
async def test_the_same_content_is_there_once_also_from_two_at_a_time(broker: Broker) -> None:
    added = await asyncio.gather(*(fill(broker, "a", 5) for _ in range(4)))
    assert sorted(added) == [False, False, False, True]
    assert (await broker.pools.get("ab12")).events == 5
    assert len(await broker.connection.ask("KEYS", "*:piece:*")) == 2  # with the reference's own


@pytest.mark.usefixtures("reference")
async def test_a_pool_is_refused_what_does_not_fit_and_nothing_leaks(broker: Broker) -> None:
    await fill(broker, "a", 5)
    with pytest.raises(PoolFull, match="5 events and room for 7: 3 more"):
        await fill(broker, "b", 3, limit=7)
    both = await asyncio.gather(
        fill(broker, "b", 3, limit=8), fill(broker, "c", 3, limit=8), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in both) == ["PoolFull", "bool"]
    assert len(await broker.connection.ask("KEYS", "*:piece:*")) == 3


async def test_there_is_no_pool_without_a_reference(broker: Broker) -> None:
    with pytest.raises(UnknownReference):
        await fill(broker, "a", 5)
    assert await broker.connection.ask("KEYS", "*") == []
    assert (await broker.pools.get("ab12")).hash == ""


@pytest.mark.usefixtures("reference")
async def test_places_stay_when_used_segments_are_dropped(broker: Broker) -> None:
    """A position counts from the first event ever: a pool numbered anew would give used events again."""
    for name in "abc":
        await fill(broker, name, 4)
    before = await broker.pools.get("ab12")
    assert await broker.pools.trim("ab12", 7) == 1
    after = await broker.pools.get("ab12")
    assert (after.first, after.events, len(after.segments)) == (4, 8, 2)
    assert after.hash != before.hash
    assert await broker.pools.read(after, 6, 3, ROW) == b"b002b003c000"
    with pytest.raises(StoreUnreachable, match="not in the store"):
        await broker.pools.read(before, 0, 1, ROW)
    # The last one stays, for it says where the next begins.
    assert await broker.pools.trim("ab12", 1000) == 1
    assert not await fill(broker, "a", 4)
    assert await fill(broker, "d", 4)
    assert [s.first for s in (await broker.pools.get("ab12")).segments] == [8, 12]


async def test_a_monitor_has_used_nothing_at_first(broker: Broker, monitor: Monitor) -> None:
    assert await broker.pools.position(monitor.name, "ab12") == 0
    await broker.monitors.delete(monitor.name)
    assert await keys_of(broker) == []
