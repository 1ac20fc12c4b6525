"""Admission: each status, exactly one receipt per chunk, and the place of a chunk on its way."""

import asyncio

import pytest
from tests.broker.samples import a_fit, a_line, a_monitor, admit, fitted, keys_of, lease, save

from nplmon.broker import Backlog, Broker, PayloadLost, UnknownChunk
from nplmon.broker.messages import Monitor

pytestmark = pytest.mark.anyio


async def test_an_accepted_chunk_has_a_receipt_with_a_number_and_a_time(
    broker: Broker, monitor: Monitor
) -> None:
    first, second = await admit(broker, "c1"), await admit(broker, "c2", exposure=None, source_time=12.5)
    assert (first.status, first.backlog, second.backlog) == ("accepted", 1, 2)
    assert first.receipt is not None
    assert second.receipt is not None
    assert (first.receipt.sequence, second.receipt.sequence) == (1, 2)
    assert first.receipt.accepted_at < second.receipt.accepted_at
    assert (first.receipt.exposure, first.receipt.source_time, first.receipt.events) == (1.5, None, 3)
    assert (second.receipt.exposure, second.receipt.source_time) == (None, 12.5)
    assert await broker.statistics.payload("muons", "7", 2) == b"c2"


async def test_a_repeated_chunk_gets_the_first_receipt(broker: Broker, monitor: Monitor) -> None:
    first = await admit(broker)
    again = await admit(broker, exposure=9.9)
    assert again.status == "duplicate"
    assert again.receipt == first.receipt
    assert (await broker.runs.get("muons", "7")).accepted == 1


async def test_an_id_with_other_content_is_a_conflict(broker: Broker, monitor: Monitor) -> None:
    first = await admit(broker)
    other = await admit(broker, payload=b"other")
    assert (other.status, other.receipt) == ("conflict", first.receipt)
    assert await broker.statistics.payload("muons", "7", 1) == b"c1"


async def test_the_same_id_in_another_run_is_another_chunk(broker: Broker, monitor: Monitor) -> None:
    await admit(broker)
    assert (await admit(broker, run="8", payload=b"other")).status == "accepted"


async def test_a_full_backlog_refuses_new_chunks_only(broker: Broker, monitor: Monitor) -> None:
    await admit(broker, "c1", backlog_limit=1)
    full = await admit(broker, "c2", backlog_limit=1)
    assert (full.status, full.receipt, full.backlog) == ("full", None, 1)
    assert (await admit(broker, "c1", backlog_limit=1)).status == "duplicate"
    assert await broker.statistics.payload("muons", "7", 2) is None


async def test_results_that_nobody_applies_fill_the_backlog_too(broker: Broker, monitor: Monitor) -> None:
    """Without an aggregator the store would otherwise grow without end."""
    await fitted(broker, "c1", "c2")
    full = await admit(broker, "c3", backlog_limit=2)
    assert (full.status, full.backlog) == ("full", 2)
    fence = await broker.statistics.hold("muons", "a1", 10.0)
    await save(broker, fence, 0, 2)
    assert (await admit(broker, "c3", backlog_limit=2)).status == "accepted"


async def test_unknown_monitors_and_moved_epochs_store_nothing(broker: Broker, monitor: Monitor) -> None:
    assert (await admit(broker, monitor="none")).status == "unknown-monitor"
    assert await keys_of(broker, "none") == []
    await broker.monitors.change(a_monitor(epoch=2), statistical=True)
    before = await keys_of(broker)
    assert (await admit(broker)).status == "epoch-moved"
    assert await keys_of(broker) == before
    assert (await admit(broker, monitor_epoch=2)).status == "accepted"


async def test_two_producers_at_once_enter_each_chunk_once(broker: Broker, monitor: Monitor) -> None:
    answers = await asyncio.gather(*(admit(broker, f"c{i % 20}") for i in range(60)))
    assert sorted(a.receipt.sequence for a in answers if a.status == "accepted") == list(range(1, 21))
    assert sum(a.status == "duplicate" for a in answers) == 40
    assert len({(a.receipt.chunk, a.receipt.sequence) for a in answers}) == 20
    assert (await broker.admission.backlog("muons")).waiting == 20


async def test_a_chunk_is_found_all_along_its_way(broker: Broker, monitor: Monitor) -> None:
    receipt = (await admit(broker)).receipt
    assert await broker.admission.place("muons", "7", "c1") == ("queued", receipt, None)
    one = await lease(broker)
    assert await broker.admission.place("muons", "7", "c1") == ("leased", receipt, None)
    await broker.leases.hand_back("t1", one, None, 3)
    assert await broker.admission.place("muons", "7", "c1") == ("queued", receipt, None)
    (one,), _ = await broker.leases.take_over(
        "t1", "muons", idle_seconds=1.0, deliveries_limit=3, in_flight=set(), count=1
    )
    await broker.leases.finish("t1", one, a_fit(one))
    assert await broker.admission.place("muons", "7", "c1") == ("fitted", receipt, None)
    fence = await broker.statistics.hold("muons", "a1", 10.0)
    await save(broker, fence, 0, 1, drop_fits=[1])
    assert await broker.admission.place("muons", "7", "c1") == ("applied", receipt, a_line(1))


async def test_unknown_chunks(broker: Broker, monitor: Monitor) -> None:
    await admit(broker)
    for run, chunk in (("7", "none"), ("8", "c1")):
        with pytest.raises(UnknownChunk, match=chunk):
            await broker.admission.place("muons", run, chunk)
        with pytest.raises(UnknownChunk):
            await broker.admission.replay("muons", run, chunk, 10)


async def test_the_backlog_tells_waiting_from_leased(broker: Broker, monitor: Monitor) -> None:
    assert await broker.admission.backlog("muons") == Backlog(0, 0, None)
    assert await broker.admission.backlog("none") == Backlog(0, 0, None)
    first = (await admit(broker, "c1")).receipt
    await admit(broker, "c2")
    await admit(broker, "c3")
    one, _ = await lease(broker), await lease(broker)
    assert await broker.admission.backlog("muons") == Backlog(1, 2, first.accepted_at)
    await broker.leases.hand_back("t1", one, None, 3)
    assert await broker.admission.backlog("muons") == Backlog(2, 1, first.accepted_at)


async def test_a_dead_chunk_is_replayed_at_the_end(broker: Broker, monitor: Monitor) -> None:
    await admit(broker, "c1")
    await admit(broker, "c2")
    assert await broker.leases.hand_back("t1", await lease(broker), "boom", 1) == "dead"
    state, receipt, entry = await broker.admission.place("muons", "7", "c1")
    assert (state, receipt.sequence, entry) == ("dead", 1, None)
    fence = await broker.statistics.hold("muons", "a1", 10.0)
    await save(broker, fence, 0, 1, drop_payloads=[1], drop_fits=[1])

    again = await broker.admission.replay("muons", "7", "c1", 10)
    assert again.status == "accepted"
    assert again.receipt is not None
    assert again.receipt.sequence == 3
    assert (again.receipt.digest, again.receipt.exposure) == (receipt.digest, receipt.exposure)
    assert await broker.admission.dead("muons") == []
    assert (await broker.admission.place("muons", "7", "c1"))[:2] == ("queued", again.receipt)
    repeated = await broker.admission.replay("muons", "7", "c1", 10)
    assert (repeated.status, repeated.receipt) == ("duplicate", again.receipt)
    assert (await lease(broker)).receipt.chunk == "c2"
    one = await lease(broker)
    assert (one.receipt, one.payload, one.deliveries) == (again.receipt, b"c1", 1)
    assert await broker.leases.finish("t1", one, a_fit(one)) == "finished"


async def test_a_replay_may_die_again(broker: Broker, monitor: Monitor) -> None:
    await admit(broker)
    for sequence in (1, 2):
        assert await broker.leases.hand_back("t1", await lease(broker), "boom", 1) == "dead"
        (death,) = await broker.admission.dead("muons")
        assert death.receipt.sequence == sequence
        await broker.admission.replay("muons", "7", "c1", 10)
    assert len(await broker.statistics.fits("muons", "7", 0, 10)) == 2


async def test_a_replay_is_refused_like_an_admission(broker: Broker, monitor: Monitor) -> None:
    await admit(broker, "c1")
    await admit(broker, "c2")
    await broker.leases.hand_back("t1", await lease(broker), "boom", 1)
    assert (await broker.admission.replay("muons", "7", "c1", 1)).status == "full"
    await broker.connection.ask("DEL", "nplmon:{muons}:run:7:kept")
    with pytest.raises(PayloadLost, match="new id"):
        await broker.admission.replay("muons", "7", "c1", 10)
    await broker.runs.close("muons", "7")
    assert (await broker.admission.replay("muons", "7", "c1", 10)).status == "run-closed"
    assert len(await broker.admission.dead("muons")) == 1
