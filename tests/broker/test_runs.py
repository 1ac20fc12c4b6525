"""Runs: opening, closing, resetting while work is under way."""

import asyncio

import pytest
from tests.broker.samples import a_fit, a_monitor, admit, fitted, keys_of, lease, save

from nplmon.broker import Broker, UnknownChunk, UnknownMonitor, UnknownRun
from nplmon.broker.messages import Monitor

pytestmark = pytest.mark.anyio


async def test_the_first_chunk_opens_a_run(broker: Broker, monitor: Monitor) -> None:
    assert await broker.runs.all("muons") == []
    assert await broker.runs.latest("muons") is None
    admitted = await admit(broker)
    run = await broker.runs.get("muons", "7")
    assert (run.state, run.epoch, run.monitor_epoch, run.accepted, run.applied, run.dead) == (
        "open",
        1,
        1,
        1,
        0,
        0,
    )
    assert run.opened_at == admitted.receipt.accepted_at
    assert run.closed_at is None


async def test_runs_come_newest_first(broker: Broker, monitor: Monitor) -> None:
    for run in ("9", "10", "8"):
        await admit(broker, run=run)
        await asyncio.sleep(0.001)
    await admit(broker, "c2", run="9")
    assert [run.name for run in await broker.runs.all("muons")] == ["8", "10", "9"]
    latest = await broker.runs.latest("muons")
    assert latest is not None
    assert latest.name == "8"


async def test_unknown_runs(broker: Broker, monitor: Monitor) -> None:
    for call in (broker.runs.get, broker.runs.close, broker.runs.reset):
        with pytest.raises(UnknownRun, match="'none'"):
            await call("muons", "none")
        with pytest.raises(UnknownMonitor):
            await call("none", "7")
    for all_of in (broker.runs.all, broker.runs.latest):
        with pytest.raises(UnknownMonitor):
            await all_of("none")
    assert all(b":run:" not in key for key in await keys_of(broker))


async def test_a_closed_run_stays_closed_and_its_chunks_are_still_fitted(
    broker: Broker, monitor: Monitor
) -> None:
    await admit(broker)
    closed = await broker.runs.close("muons", "7")
    assert closed.state == "closed"
    assert closed.closed_at is not None
    assert await broker.runs.close("muons", "7") == closed
    assert (await admit(broker, "c2")).status == "run-closed"
    assert (await admit(broker, "c1")).status == "duplicate"
    one = await lease(broker)
    assert await broker.leases.finish("t1", one, a_fit(one)) == "finished"


async def test_a_reset_begins_at_zero_with_the_present_settings(broker: Broker, monitor: Monitor) -> None:
    await fitted(broker, "c1", "c2")
    fence = await broker.statistics.hold("muons", "a1", 10.0)
    await save(broker, fence, 0, 2, projection=b"p")
    await admit(broker, "c3")
    await broker.leases.hand_back("t1", await lease(broker), "boom", 1)
    await admit(broker, "c1", run="70")
    await broker.leases.hand_back("t1", await lease(broker), "boom", 1)
    await broker.runs.close("muons", "7")
    await broker.runs.close("muons", "70")
    await broker.monitors.change(a_monitor(epoch=2), statistical=True)

    before = (await broker.runs.get("muons", "7")).opened_at
    run = await broker.runs.reset("muons", "7")
    assert run.opened_at > before, "what has just begun is not stale"
    assert (run.state, run.epoch, run.monitor_epoch, run.accepted, run.applied, run.dead) == (
        "open",
        2,
        2,
        0,
        0,
        0,
    )
    assert run.closed_at is None
    assert [key for key in await keys_of(broker) if key.startswith(b"nplmon:{muons}:run:7:")] == []
    assert await broker.statistics.snapshot("muons", "7") is None
    assert [death.receipt.run for death in await broker.admission.dead("muons")] == ["70"]
    with pytest.raises(UnknownChunk):
        await broker.admission.place("muons", "7", "c1")
    again = await admit(broker, "c1", monitor_epoch=2)
    assert again.status == "accepted"
    assert (again.receipt.sequence, again.receipt.run_epoch, again.receipt.monitor_epoch) == (1, 2, 2)


async def test_a_reset_repeated_by_the_connection_drops_nothing(broker: Broker, monitor: Monitor) -> None:
    """A reply that is lost makes the connection send the command again, after a chunk has come in between."""
    await admit(broker)
    ask = broker.connection.ask

    sent = []

    async def ask_twice(command: str, *arguments: str | float | bytes | memoryview) -> object:
        reply = await ask(command, *arguments)
        if command == "EVALSHA" and not sent:
            sent.append(command)
            await admit(broker, "c2")
            reply = await ask(command, *arguments)
        return reply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broker.connection, "ask", ask_twice)
        run = await broker.runs.reset("muons", "7")
    assert sent
    assert (run.epoch, run.accepted) == (2, 1)


async def test_a_late_finish_after_a_reset_is_superseded_and_leaves_nothing(
    broker: Broker, monitor: Monitor
) -> None:
    await admit(broker)
    held = await lease(broker)
    await broker.runs.reset("muons", "7")
    before = await keys_of(broker)
    assert await broker.leases.finish("t1", held, a_fit(held)) == "superseded"
    assert await keys_of(broker) == before
    assert await broker.statistics.fits("muons", "7", 0, 10) == []
    backlog = await broker.admission.backlog("muons")
    assert (backlog.waiting, backlog.leased) == (0, 0)


async def test_entries_of_the_old_epoch_are_removed_on_the_way(broker: Broker, monitor: Monitor) -> None:
    """Waiting, leased or handed back: none of them may give the new epoch's events under an old number."""
    for chunk in ("c1", "c2", "c3"):
        await admit(broker, chunk)
    held, back = await lease(broker), await lease(broker)
    await broker.leases.hand_back("t1", back, None, 3)
    await broker.runs.reset("muons", "7")
    for chunk in ("d1", "d2", "d3"):
        await admit(broker, chunk)
    taken_over = await broker.leases.take_over(
        "t2", "muons", idle_seconds=0.0, deliveries_limit=3, in_flight=set(), count=10
    )
    assert taken_over == ([], [])
    leases = await broker.leases.take("t2", ["muons"], count=10, block_seconds=0.1)
    assert [(one.receipt.chunk, one.payload) for one in leases] == [
        ("d1", b"d1"),
        ("d2", b"d2"),
        ("d3", b"d3"),
    ]
    assert await broker.leases.finish("t1", held, a_fit(held)) == "superseded"
    assert (await broker.admission.backlog("muons")).leased == 3


async def test_a_late_save_or_death_after_a_reset_is_superseded(broker: Broker, monitor: Monitor) -> None:
    await fitted(broker, "c1")
    await admit(broker, "c2")
    held = await lease(broker)
    fence = await broker.statistics.hold("muons", "a1", 10.0)
    await broker.runs.reset("muons", "7")
    before = await keys_of(broker)
    assert await save(broker, fence, 0, 1) == "superseded"
    assert await broker.leases.hand_back("t1", held, "boom", 1) == "lost"
    assert await keys_of(broker) == before
    assert await broker.admission.dead("muons") == []


@pytest.mark.parametrize("closed", ["before the last save", "after it"])
async def test_a_closed_run_keeps_no_events_once_all_are_applied(
    broker: Broker, monitor: Monitor, closed: str
) -> None:
    await fitted(broker, "c1", "c2", "c3")
    fence = await broker.statistics.hold("muons", "a1", 10.0)
    assert fence is not None
    assert await save(broker, fence, 0, 2, drop_payloads=[]) == "saved"
    if closed == "before the last save":
        await broker.runs.close("muons", "7")
        assert [await broker.statistics.payload("muons", "7", i) for i in (1, 3)] == [b"c1", b"c3"]
    assert await save(broker, fence, 2, 3, drop_payloads=[]) == "saved"
    if closed == "after it":
        assert await broker.statistics.payload("muons", "7", 1) == b"c1"
        await broker.runs.close("muons", "7")
    assert b"nplmon:{muons}:run:7:payloads" not in await keys_of(broker)
    assert await broker.statistics.history_length("muons", "7") == 3
