"""Statistics: one fenced writer, all or nothing, in order."""

import asyncio
import contextlib

import pytest
from tests.broker.samples import a_fit, a_line, a_monitor, a_snapshot, admit, fitted, keys_of, lease, save

from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore
from nplmon.broker.messages import Fit, Monitor

pytestmark = pytest.mark.anyio


async def held(broker: Broker, holder: str = "a1", seconds: float = 10.0) -> int:
    fence = await broker.statistics.hold("muons", holder, seconds)
    assert fence is not None
    return fence


async def test_one_aggregator_holds_a_monitor(broker: Broker, monitor: Monitor) -> None:
    fence = await held(broker)
    assert await held(broker) == fence
    assert await broker.statistics.hold("muons", "a2", 10.0) is None
    await broker.statistics.release("muons", "a2")
    assert await broker.statistics.hold("muons", "a2", 10.0) is None
    await broker.statistics.release("muons", "a1")
    assert await held(broker, "a2") > fence
    assert await broker.statistics.hold("none", "a1", 10.0) is None
    assert await keys_of(broker, "none") == []


async def test_a_hold_expires_unless_it_is_renewed(broker: Broker, monitor: Monitor) -> None:
    fence = await held(broker, "a1", 0.15)
    for _ in range(3):
        await asyncio.sleep(0.08)
        assert await held(broker, "a1", 0.15) == fence
    await asyncio.sleep(0.25)
    assert await held(broker, "a2") > fence
    assert await save(broker, fence, 0, 0) == "fenced"


async def test_a_holder_with_spaces_in_its_name_is_still_itself(broker: Broker, monitor: Monitor) -> None:
    fence = await held(broker, "a host 12")
    assert await held(broker, "a host 12") == fence
    assert await broker.statistics.hold("muons", "a host", 10.0) is None
    await broker.statistics.release("muons", "a host")
    assert await held(broker, "a host 12") == fence


async def test_results_come_in_order_up_to_the_first_gap(broker: Broker, monitor: Monitor) -> None:
    for i in range(1, 6):
        await admit(broker, f"c{i}")
    leases = await broker.leases.take("t1", ["muons"], count=5, block_seconds=0.1)
    for i in (0, 1, 3, 4):
        await broker.leases.finish("t1", leases[i], a_fit(leases[i], float(i)))
    sequences = [result.receipt.sequence for result in await broker.statistics.fits("muons", "7", 0, 10)]
    assert sequences == [1, 2]
    assert await broker.statistics.fits("muons", "7", 2, 10) == []
    assert len(await broker.statistics.fits("muons", "7", 0, 1)) == 1
    assert await broker.statistics.fits("muons", "7", 0, 0) == []
    assert await broker.leases.hand_back("t1", leases[2], "boom", 1) == "dead"
    results = await broker.statistics.fits("muons", "7", 0, 10)
    assert [type(result).__name__ for result in results] == ["Fit", "Fit", "Death", "Fit", "Fit"]
    assert results[3] == a_fit(leases[3], 3.0)
    models = await broker.statistics.models("muons", "7", 4)
    assert [model.receipt.sequence for model in models] == [1, 2, 4]
    assert all(isinstance(model, Fit) for model in models)


async def test_a_save_advances_everything_together(broker: Broker, monitor: Monitor) -> None:
    await fitted(broker, "c1", "c2", "c3")
    fence = await held(broker)
    assert await save(broker, fence, 0, 2, drop_payloads=[1], drop_fits=[2]) == "saved"
    run = await broker.runs.get("muons", "7")
    assert (run.accepted, run.applied, run.dead) == (3, 2, 0)
    assert await broker.statistics.state("muons", "7") == b"state 2"
    assert await broker.statistics.snapshot("muons", "7") == a_snapshot(2)
    assert await broker.statistics.history("muons", "7", 0, 10) == [a_line(1), a_line(2)]
    assert await broker.statistics.history("muons", "7", 1, 10) == [a_line(2)]
    assert await broker.statistics.history("muons", "7", 0, 1) == [a_line(1)]
    assert await broker.statistics.history("muons", "7", 0, 0) == []
    assert await broker.statistics.history_length("muons", "7") == 2
    assert await broker.statistics.projection("muons", "7") is None
    payloads = [await broker.statistics.payload("muons", "7", i) for i in (1, 2, 3)]
    assert payloads == [None, b"c2", b"c3"]
    assert [fit.receipt.sequence for fit in await broker.statistics.models("muons", "7", 9)] == [1, 3]

    assert await save(broker, fence, 2, 3, projection=b"p", snapshot=a_snapshot(3, dead=1)) == "saved"
    run = await broker.runs.get("muons", "7")
    assert (run.applied, run.dead) == (2, 1)
    assert await save(broker, fence, 3, 3, history=[], drop_payloads=[]) == "saved"
    assert await broker.statistics.projection("muons", "7") == b"p"
    assert await broker.statistics.history_length("muons", "7") == 3


async def test_a_save_from_another_state_changes_nothing(broker: Broker, monitor: Monitor) -> None:
    await fitted(broker, "c1", "c2")
    fence = await held(broker)
    assert await save(broker, fence, 0, 1) == "saved"

    async def everything() -> list[object]:
        dump = [await broker.connection.ask("DUMP", key) for key in await keys_of(broker)]
        return [await keys_of(broker), dump]

    before = await everything()
    assert await save(broker, fence, 0, 1) == "moved"
    assert await save(broker, fence, 0, 2) == "moved"
    assert await save(broker, fence + 1, 1, 2) == "fenced"
    assert await save(broker, fence, 1, 2, holder="a2") == "fenced"
    assert await save(broker, fence, 1, 2, run_epoch=2) == "superseded"
    assert await everything() == before
    assert await save(broker, fence, 1, 2) == "saved"


async def test_of_two_savers_one_wins(broker: Broker, monitor: Monitor) -> None:
    await fitted(broker, "c1")
    fence = await held(broker)
    answers = await asyncio.gather(*(save(broker, fence, 0, 1, state=b"%d" % i) for i in range(4)))
    assert sorted(answers) == ["moved", "moved", "moved", "saved"]
    assert await broker.statistics.state("muons", "7") == b"%d" % answers.index("saved")
    assert await broker.statistics.history_length("muons", "7") == 1


async def test_a_history_with_a_gap_is_refused_before_it_is_sent(broker: Broker, monitor: Monitor) -> None:
    fence = await held(broker)
    with pytest.raises(ValueError, match="must lead from 1 to 2"):
        await save(broker, fence, 0, 2, history=[a_line(2)])


async def test_a_save_drops_thousands_at_once(broker: Broker, monitor: Monitor) -> None:
    await admit(broker)
    for i in range(1, 12_001, 1000):
        pairs = [x for n in range(i, i + 1000) for x in (n, "e")]
        await broker.connection.ask("HSET", "nplmon:{muons}:run:7:payloads", *pairs)
    fence = await held(broker)
    assert await save(broker, fence, 0, 0, drop_payloads=range(1, 12_001)) == "saved"
    assert await broker.connection.ask("HLEN", "nplmon:{muons}:run:7:payloads") == 0


async def test_the_aggregator_wakes_for_all_news_and_misses_none(broker: Broker, monitor: Monitor) -> None:
    await broker.monitors.create(a_monitor("electrons"))
    cursors = {"muons": "0-0", "electrons": "0-0"}
    assert await broker.statistics.wait_done(cursors, 0.01) == []
    waiting = asyncio.create_task(broker.statistics.wait_done(cursors, 10.0))
    await asyncio.sleep(0.05)
    await fitted(broker, "c1")
    assert await waiting == ["muons"]
    assert cursors["electrons"] == "0-0"
    assert await broker.statistics.wait_done(cursors, 0.01) == []
    await admit(broker, "c2")
    await broker.leases.hand_back("t1", await lease(broker), "boom", 1)
    assert await broker.statistics.wait_done(cursors, 0.01) == ["muons"]
    await broker.runs.close("muons", "7")
    assert await broker.statistics.wait_done(cursors, 0.01) == ["muons"]
    await broker.runs.reset("muons", "7")
    assert await broker.statistics.wait_done(cursors, 0.01) == ["muons"]
    assert await broker.statistics.wait_done(cursors, 0.01) == []
    assert await broker.statistics.wait_done({}, 0.01) == []


async def test_updates_name_the_runs_and_end_with_the_monitor(broker: Broker, monitor: Monitor) -> None:
    await fitted(broker, "c1")
    fence = await held(broker)
    seen: list[str] = []

    async def listen() -> None:
        seen.extend([run async for run in broker.statistics.updates("muons")])

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.1)
    await save(broker, fence, 0, 1)
    await broker.runs.reset("muons", "7")
    await broker.monitors.delete("muons")
    await asyncio.wait_for(listening, 5.0)
    assert seen == ["7", "7"]


async def test_updates_end_when_the_broker_is_closed(
    store: EmbeddedStore, broker: Broker, monitor: Monitor
) -> None:
    other = Broker.connect(store.url)
    listening = asyncio.create_task(anext(other.statistics.updates("muons")))
    await asyncio.sleep(0.05)
    await other.close()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(listening, 5.0)


async def test_a_listener_may_leave_at_any_time(broker: Broker, monitor: Monitor) -> None:
    updates = broker.statistics.updates("muons")
    first = asyncio.create_task(anext(updates))
    await asyncio.sleep(0.05)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    assert await broker.connection.ask("PUBLISH", "nplmon:{muons}:updates", "7") == 0


async def test_the_position_in_the_pool_moves_with_the_statistic_or_not_at_all(
    broker: Broker, monitor: Monitor
) -> None:
    """Another run has used the events meanwhile: nothing of the page is saved, or they would count twice."""
    await fitted(broker, "c1", "c2")
    fence = await held(broker)
    assert await save(broker, fence, 0, 1, pool=(0, 40)) == "saved"
    assert await broker.pools.position("muons", "ab12") == 40
    assert await save(broker, fence, 1, 2, pool=(30, 70)) == "moved"
    assert await broker.statistics.state("muons", "7") == b"state 1"
    assert await broker.pools.position("muons", "ab12") == 40
    assert await save(broker, fence, 1, 2, pool=(40, 90)) == "saved"
    assert await save(broker, fence, 2, 2, pool=(40, 90)) == "moved"
    assert await broker.pools.position("muons", "ab12") == 90
    await broker.monitors.delete("muons")
    assert await keys_of(broker) == [b"nplmon:{muons}:pool"]  # what was used stays used
