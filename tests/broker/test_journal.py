"""The journal: written with what it tells of, once, and gone with its monitor."""

import asyncio
import time

import msgspec
import pytest
from tests.broker.samples import a_monitor, admit, fitted, keys_of, lease, save

from nplmon.broker import Broker
from nplmon.broker.alarm_messages import JournalEntry
from nplmon.broker.messages import Monitor

pytestmark = pytest.mark.anyio


async def kinds(broker: Broker) -> list[str]:
    return [entry.kind for entry in await broker.journal.entries("muons")]


async def test_runs_are_opened_closed_and_reset_once_each(broker: Broker, monitor: Monitor) -> None:
    before = time.time()
    await admit(broker, "c1")
    await admit(broker, "c1")
    await admit(broker, "c2")
    assert await kinds(broker) == ["run-opened"]
    await broker.runs.close("muons", "7")
    await broker.runs.close("muons", "7")
    await broker.runs.reset("muons", "7")
    opened, closed, reset = await broker.journal.entries("muons")
    assert [one.kind for one in (opened, closed, reset)] == ["run-opened", "run-closed", "run-reset"]
    assert {one.run for one in (opened, closed, reset)} == {"7"}
    assert reset.text == "epoch 2"
    assert before - 0.002 <= opened.at <= closed.at <= reset.at <= time.time()
    assert await broker.journal.latest("muons", 2) == [reset, closed]
    assert await broker.journal.entries("muons", opened.id) == [closed, reset]
    assert await broker.journal.entries("muons", reset.id) == []


async def test_alarms_are_journaled_with_the_state_that_raised_them(broker: Broker, monitor: Monitor) -> None:
    await fitted(broker, "c1", "c2")
    fence = await broker.statistics.hold("muons", "a1", 10.0)
    assert fence is not None
    risen = JournalEntry(
        kind="alarm", run="7", level="alarm", sequence=1, chunk="c1", text="t = 9 >= 8: ütter"
    )
    assert await save(broker, fence, 0, 1, journal=[risen]) == "saved"
    assert await save(broker, fence, 0, 1, journal=[risen]) == "moved"
    assert await save(broker, fence + 1, 1, 2, journal=[risen]) == "fenced"
    entries = await broker.journal.entries("muons")
    assert [entry.kind for entry in entries] == ["run-opened", "alarm"]
    assert msgspec.structs.replace(entries[1], id="", at=0.0) == risen


async def test_changes_and_replays_are_journaled(broker: Broker, monitor: Monitor) -> None:
    await broker.monitors.change(a_monitor(description="new"), statistical=False)
    await broker.monitors.change(a_monitor(description="new"), statistical=False)
    await admit(broker, "c1")
    one = await lease(broker)
    assert await broker.leases.hand_back("t1", one, "boom", 1) == "dead"
    assert (await broker.admission.replay("muons", "7", "c1", 10)).status == "accepted"
    assert (await broker.admission.replay("muons", "7", "c1", 10)).status == "duplicate"
    changed, _, replayed = await broker.journal.entries("muons")
    assert (changed.kind, changed.text) == ("monitor-changed", "epoch 1")
    assert (replayed.kind, replayed.chunk, replayed.sequence) == ("dead-replayed", "c1", 2)


async def test_an_entry_sent_again_is_written_once(broker: Broker, monitor: Monitor) -> None:
    entry = JournalEntry(kind="stale", run="7", text="nothing for 600 s")
    assert await broker.journal.append("muons", entry)
    assert not await broker.journal.append("muons", entry)
    assert await kinds(broker) == ["stale"]
    assert not await broker.journal.append("none", entry)
    assert await keys_of(broker, "none") == []


async def test_it_forgets_the_oldest(broker: Broker, monitor: Monitor) -> None:
    for i in range(10_200):
        await broker.connection.ask(
            "XADD", "nplmon:{muons}:journal", f"{i + 1}-0", "entry", '{"kind":"fresh"}'
        )
    await broker.journal.append("muons", JournalEntry(kind="stale"))
    entries = await broker.journal.entries("muons", count=20_000)
    assert entries[-1].kind == "stale"
    assert 10_000 <= len(entries) < 10_200


async def test_it_goes_with_its_monitor(broker: Broker, monitor: Monitor) -> None:
    await fitted(broker, "c1")
    await broker.alarms.begin_test("muons", seconds=60.0, who="me", comment="")
    await broker.monitors.delete("muons")
    assert await keys_of(broker) == []


async def test_every_entry_wakes_the_readers_of_the_monitor(broker: Broker, monitor: Monitor) -> None:
    heard: list[str] = []
    updates = broker.statistics.updates("muons")

    async def hear() -> None:
        heard.append(await anext(updates))

    listening = asyncio.create_task(hear())
    await asyncio.sleep(0.2)
    await admit(broker)
    await listening
    for act, run in (
        (broker.runs.close("muons", "7"), "7"),
        (broker.alarms.begin_test("muons", seconds=60.0, who="me", comment=""), "*"),
        (broker.alarms.end_test("muons", who="me"), "*"),
        (broker.monitors.change(a_monitor(description="new"), statistical=False), "*"),
        (broker.journal.append("muons", JournalEntry(kind="stale")), "*"),
    ):
        await act
        assert await anext(updates) == run
    assert heard == ["7"]
    await updates.aclose()
