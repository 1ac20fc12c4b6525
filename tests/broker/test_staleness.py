"""Stale and fresh take turns in the journal of an open run."""

import pytest
from tests.broker.samples import admit

from nplmon.broker import Broker
from nplmon.broker.messages import Monitor

pytestmark = pytest.mark.anyio


async def test_each_turn_is_written_once(broker: Broker, monitor: Monitor) -> None:
    await admit(broker, "c1")
    fence = await broker.statistics.hold("muons", "a1", 10.0)
    assert fence is not None

    async def turn(kind: str, epoch: int = 1, holder: str = "a1", fence: int = fence) -> bool:
        return await broker.staleness.turn(
            "muons", "7", epoch=epoch, stale=kind == "stale", text="why", holder=holder, fence=fence
        )

    # It is fresh from the beginning.
    assert not await turn("fresh")
    assert not await turn("stale", holder="a2")
    assert not await turn("stale", fence=fence + 1)
    assert not await turn("stale", epoch=2)
    assert not await broker.staleness.is_stale("muons", "7")
    assert [await turn("stale"), await turn("stale")] == [True, False]
    assert await broker.staleness.is_stale("muons", "7")
    assert [await turn("fresh"), await turn("fresh"), await turn("stale")] == [True, False, True]
    await broker.runs.close("muons", "7")
    assert not await turn("fresh")
    assert await broker.staleness.is_stale("muons", "7")
    entries = await broker.journal.entries("muons")
    assert [entry.kind for entry in entries] == ["run-opened", "stale", "fresh", "stale", "run-closed"]
    assert (entries[1].run, entries[1].text) == ("7", "why")
    # Another epoch begins fresh.
    await broker.runs.reset("muons", "7")
    assert not await broker.staleness.is_stale("muons", "7")
    assert not await turn("fresh", epoch=2)
    assert await turn("stale", epoch=2)
