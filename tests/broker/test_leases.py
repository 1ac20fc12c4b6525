"""Leases: one holder, one end for each chunk, whoever dies on the way."""

import asyncio
import time

import pytest
from tests.broker.samples import a_fit, a_monitor, admit, keys_of, lease, python, save

from nplmon.broker import Broker, Lease
from nplmon.broker.embedded import EmbeddedStore
from nplmon.broker.messages import Death, Monitor

pytestmark = pytest.mark.anyio


async def take_over(broker: Broker, consumer: str = "t2", **changes) -> tuple[list[Lease], list[Death]]:
    wanted = {"idle_seconds": 0.0, "deliveries_limit": 3, "in_flight": set(), "count": 10} | changes
    await asyncio.sleep(0.003)  # the least idle time is 1 ms
    return await broker.leases.take_over(consumer, "muons", **wanted)


async def test_chunks_are_leased_in_order_each_once(broker: Broker, monitor: Monitor) -> None:
    for i in range(5):
        await admit(broker, f"c{i}")
    first = await broker.leases.take("t1", ["muons"], count=2, block_seconds=0.1)
    rest = await broker.leases.take("t2", ["muons"], count=10, block_seconds=0.1)
    assert [one.receipt.chunk for one in first + rest] == [f"c{i}" for i in range(5)]
    assert {one.deliveries for one in first + rest} == {1}
    assert first[0].payload == b"c0"
    assert await broker.leases.take("t3", ["muons"], count=1, block_seconds=0.01) == []


async def test_a_waiting_trainer_gets_a_chunk_at_once(broker: Broker, monitor: Monitor) -> None:
    waiting = asyncio.create_task(broker.leases.take("t1", ["muons"], count=1, block_seconds=10.0))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await admit(broker)
    assert len(await waiting) == 1
    assert time.monotonic() - began < 2.0


async def test_never_more_leases_than_slots_over_many_monitors(broker: Broker, monitor: Monitor) -> None:
    """COUNT of XREADGROUP holds for each stream; a surplus would be held without being worked on."""
    names = ["muons", "electrons", "photons"]
    for name in names[1:]:
        await broker.monitors.create(a_monitor(name))
    for name in names:
        for i in range(2):
            await admit(broker, f"c{i}", monitor=name)
    seen = []
    for _ in range(3):
        leases = await broker.leases.take("t1", names, count=2, block_seconds=0.1)
        assert len(leases) == 2
        seen += [(one.receipt.monitor, one.receipt.chunk) for one in leases]
    assert len(set(seen)) == 6
    waiting = asyncio.create_task(broker.leases.take("t1", names, count=1, block_seconds=2.0))
    await asyncio.sleep(0.1)
    await admit(broker, "c9", monitor="photons")
    assert [one.receipt.monitor for one in await waiting] == ["photons"]


async def test_a_busy_monitor_does_not_starve_another(broker: Broker, monitor: Monitor) -> None:
    await broker.monitors.create(a_monitor("electrons"))
    for i in range(4):
        await admit(broker, f"c{i}")
        await admit(broker, f"c{i}", monitor="electrons")
    seen = set()
    for _ in range(2):
        (one,) = await broker.leases.take("t1", ["muons", "electrons"], count=1, block_seconds=0.1)
        seen.add(one.receipt.monitor)
    assert seen == {"muons", "electrons"}


async def test_monitors_that_do_not_exist_are_passed_over(broker: Broker, monitor: Monitor) -> None:
    await admit(broker)
    leases = []
    for _ in range(2):
        leases += await broker.leases.take("t1", ["none", "muons"], count=1, block_seconds=0.05)
    assert [one.receipt.chunk for one in leases] == ["c1"]
    assert await keys_of(broker, "none") == []
    assert await broker.leases.take("t1", [], count=1, block_seconds=0.01) == []


async def test_finish_ends_a_chunk_once(broker: Broker, monitor: Monitor) -> None:
    await admit(broker)
    one = await lease(broker)
    assert await broker.leases.finish("t1", one, a_fit(one, 1.0)) == "finished"
    assert await broker.leases.finish("t1", one, a_fit(one, 2.0)) == "duplicate"
    assert await broker.leases.finish("t2", one, a_fit(one, 3.0)) == "duplicate"
    assert await broker.statistics.fits("muons", "7", 0, 10) == [a_fit(one, 1.0)]
    backlog = await broker.admission.backlog("muons")
    assert (backlog.waiting, backlog.leased) == (0, 0)


async def test_finish_after_the_result_was_applied_and_dropped_is_a_duplicate(
    broker: Broker, monitor: Monitor
) -> None:
    await admit(broker)
    one = await lease(broker)
    await broker.leases.finish("t1", one, a_fit(one))
    fence = await broker.statistics.hold("muons", "a1", 10.0)
    await save(broker, fence, 0, 1, drop_fits=[1])
    assert await broker.leases.finish("t1", one, a_fit(one)) == "duplicate"
    assert await broker.statistics.fits("muons", "7", 0, 10) == []


async def test_only_the_holder_finishes(broker: Broker, monitor: Monitor) -> None:
    await admit(broker)
    one = await lease(broker, "t1")
    (taken,), _ = await take_over(broker, "t2")
    assert taken.entry == one.entry
    assert await broker.leases.finish("t1", one, a_fit(one)) == "lost"
    assert await broker.statistics.fits("muons", "7", 0, 10) == []
    assert await broker.leases.finish("t2", taken, a_fit(taken)) == "finished"


async def test_of_two_trainers_racing_on_one_entry_one_finishes(broker: Broker, monitor: Monitor) -> None:
    for i in range(30):
        await admit(broker, f"c{i}")
        old = await lease(broker, "t1")
        answers = await asyncio.gather(
            broker.leases.finish("t1", old, a_fit(old, 1.0)),
            race_for_it(broker),
            race_for_it(broker),
        )
        assert answers.count("finished") == 1, answers
    results = await broker.statistics.fits("muons", "7", 0, 100)
    assert [result.receipt.sequence for result in results] == list(range(1, 31))
    assert (await broker.admission.backlog("muons")).leased == 0


async def race_for_it(broker: Broker) -> str:
    leases, _ = await broker.leases.take_over(
        "t2", "muons", idle_seconds=0.0, deliveries_limit=100, in_flight=set(), count=1
    )
    return await broker.leases.finish("t2", leases[0], a_fit(leases[0], 2.0)) if leases else "nothing"


async def test_renewed_leases_are_not_taken_over(broker: Broker, monitor: Monitor) -> None:
    await admit(broker, "c1")
    await admit(broker, "c2")
    kept, neglected = await lease(broker), await lease(broker)
    await asyncio.sleep(0.06)
    assert await broker.leases.renew("t1", [kept]) == {kept.entry}
    leases, _ = await take_over(broker, idle_seconds=0.05)
    assert [one.entry for one in leases] == [neglected.entry]
    assert await broker.leases.renew("t1", [kept, neglected]) == {kept.entry}
    leases, _ = await take_over(broker, "t3")
    assert leases[0].entry == kept.entry
    assert leases[0].deliveries == 2, "a renewal must not count as a delivery"


async def test_our_own_work_is_neither_taken_nor_counted(broker: Broker, monitor: Monitor) -> None:
    for i in range(4):
        await admit(broker, f"c{i}")
    leases = await broker.leases.take("t1", ["muons"], count=4, block_seconds=0.1)
    mine = {one.entry for one in leases[:3]}
    for _ in range(3):
        taken, deaths = await take_over(broker, "t1", in_flight=mine, count=1, deliveries_limit=100)
        assert [one.entry for one in taken] == [leases[3].entry]
        assert deaths == []
    (again, *_), _ = await take_over(broker, "t2", deliveries_limit=100)
    assert (again.entry, again.deliveries) == (leases[0].entry, 2)


async def test_small_take_overs_reach_every_idle_entry(broker: Broker, monitor: Monitor) -> None:
    for i in range(40):
        await admit(broker, f"c{i}")
    held = await broker.leases.take("t1", ["muons"], count=40, block_seconds=0.1)
    mine = {one.entry for one in held[:10]}
    reached = set()
    for _ in range(30):
        leases, _ = await take_over(broker, "t1", count=1, in_flight=mine | reached)
        reached |= {one.entry for one in leases}
    assert len(reached) == 30


async def test_deliveries_grow_and_the_limit_ends_in_a_death(broker: Broker, monitor: Monitor) -> None:
    await admit(broker, "c1")
    await lease(broker)
    for deliveries in (2, 3):
        (one,), deaths = await take_over(broker)
        assert (one.deliveries, one.payload, deaths) == (deliveries, b"c1", [])
    leases, (death,) = await take_over(broker)
    assert leases == []
    assert (death.reason, death.deliveries, death.receipt) == ("crash", 3, one.receipt)
    assert "gave no sign" in death.error
    assert await broker.statistics.fits("muons", "7", 0, 10) == [death]
    assert await broker.admission.dead("muons") == [death]
    assert await broker.leases.finish("t2", one, a_fit(one)) == "duplicate"
    assert await take_over(broker) == ([], [])
    assert abs(death.died_at - time.time()) < 60.0


async def test_a_failed_fit_is_tried_again_and_dies_at_the_limit(broker: Broker, monitor: Monitor) -> None:
    await admit(broker)
    one = await lease(broker, "t1")
    assert await broker.leases.hand_back("t1", one, "singular matrix", 3) == "handed back"
    assert await broker.leases.hand_back("t1", one, "singular matrix", 3) == "lost"
    (one,), _ = await take_over(broker, "t1", idle_seconds=3600.0)
    assert one.deliveries == 2
    assert await broker.leases.hand_back("t1", one, "singular matrix", 3) == "handed back"
    (one,), _ = await take_over(broker, "t2", idle_seconds=3600.0)
    assert await broker.leases.hand_back("t2", one, "singular again", 3) == "dead"
    (death,) = await broker.admission.dead("muons")
    assert (death.reason, death.deliveries, death.error) == ("exception", 3, "singular again")
    assert await broker.statistics.fits("muons", "7", 0, 10) == [death]
    assert await broker.leases.hand_back("t2", one, "late", 3) == "lost"


async def test_a_crash_after_a_failure_tells_both(broker: Broker, monitor: Monitor) -> None:
    await admit(broker)
    await broker.leases.hand_back("t1", await lease(broker), "singular matrix", 2)
    await take_over(broker, "t1", deliveries_limit=2)
    _, (death,) = await take_over(broker, "t2", deliveries_limit=2)
    assert death.reason == "crash"
    assert death.error.endswith("an earlier attempt failed: singular matrix")
    assert b"nplmon:{muons}:run:7:attempts" not in await keys_of(broker)


async def test_a_graceful_hand_back_is_no_delivery(broker: Broker, monitor: Monitor) -> None:
    await admit(broker)
    one = await lease(broker, "t1")
    for _ in range(5):
        assert await broker.leases.hand_back("t1", one, None, 1) == "handed back"
        assert await broker.leases.renew("t1", [one]) == set()
        assert await broker.leases.finish("t1", one, a_fit(one)) == "lost"
        (one,), deaths = await take_over(broker, "t1", idle_seconds=3600.0, deliveries_limit=1)
        assert (one.deliveries, deaths) == (1, [])
    assert await broker.leases.finish("t1", one, a_fit(one)) == "finished"


async def test_a_chunk_without_events_ends_in_a_death(broker: Broker, monitor: Monitor) -> None:
    await admit(broker)
    await broker.connection.ask("DEL", "nplmon:{muons}:run:7:payloads")
    one = await lease(broker)
    assert one.payload is None
    for answer in ("handed back", "handed back", "dead"):
        assert await broker.leases.hand_back("t1", one, "the events are gone", 3) == answer
        leases, _ = await take_over(broker, "t1", idle_seconds=3600.0)
        if leases:
            (one,) = leases
            assert one.payload is None
    assert [death.error for death in await broker.admission.dead("muons")] == ["the events are gone"]


async def test_an_entry_whose_place_is_taken_is_removed(broker: Broker, monitor: Monitor) -> None:
    await admit(broker)
    one = await lease(broker)
    fields = ["run", "7", "sequence", "1", "epoch", "1", "receipt"]
    (body,) = await broker.connection.ask("HVALS", "nplmon:{muons}:run:7:receipts")
    await broker.leases.finish("t1", one, a_fit(one))
    await broker.connection.ask("XADD", "nplmon:{muons}:work", "*", *fields, body)
    assert await broker.leases.take("t1", ["muons"], count=1, block_seconds=0.01) == []
    assert await broker.connection.ask("XLEN", "nplmon:{muons}:work") == 0


async def test_a_consumer_leaves_only_with_empty_hands(broker: Broker, monitor: Monitor) -> None:
    async def consumers() -> int:
        return len(await broker.connection.ask("XINFO CONSUMERS", "nplmon:{muons}:work", "trainers"))

    await admit(broker)
    one = await lease(broker)
    await broker.leases.leave("t1", ["muons", "none"])
    assert await consumers() == 1
    await broker.leases.finish("t1", one, a_fit(one))
    await broker.leases.leave("t1", ["muons", "none"])
    assert await consumers() == 0


TRAINER = """
import asyncio, sys
from nplmon.broker import Broker
async def main():
    broker = Broker.connect(sys.argv[1])
    leases = await broker.leases.take("killed", ["muons"], count=1, block_seconds=5.0)
    print(leases[0].entry, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_the_chunk_of_a_killed_trainer_is_finished_by_another(
    store: EmbeddedStore, broker: Broker, monitor: Monitor
) -> None:
    await admit(broker)
    with python(TRAINER, store.url) as trainer:
        entry = (await asyncio.to_thread(trainer.stdout.readline)).strip()
        trainer.kill()
    await asyncio.sleep(0.1)
    (one,), _ = await take_over(broker, "t2", idle_seconds=0.05)
    assert (one.entry, one.deliveries) == (entry, 2)
    assert await broker.leases.finish("t2", one, a_fit(one)) == "finished"
