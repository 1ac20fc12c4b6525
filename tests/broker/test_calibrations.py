"""A calibration by toys in the store: asked for, done once in batches, reduced under the fence, void in time."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.broker.samples import a_monitor, keys_of

from nplmon.broker import Broker, EpochMoved, NoCalibration, UnknownMonitor
from nplmon.broker.messages import Monitor
from nplmon.broker.toy_messages import (
    CalibrationOrder,
    CalibrationPlan,
    ToyBatch,
    ToyCalibration,
    calibration_key,
    toys_needed,
)

pytestmark = pytest.mark.anyio

PLAN = CalibrationPlan(source="disjoint", toys=10, chunks=4, events=50.0, pool_events=300)


def an_order(toys: int = 10, **changes: Any) -> CalibrationOrder:
    plain = CalibrationOrder(
        monitor="muons",
        monitor_epoch=1,
        key="k1",
        reference_hash="ab12",
        mode="shape",
        plan=msgspec.structs.replace(PLAN, toys=toys),
        run_length=2.0,
        warning_run_length=2.0,
        asked_at=1.0,
    )
    return msgspec.structs.replace(plain, **changes)


async def take(
    broker: Broker, consumer: str = "t1", idle: float = 60.0, limit: int = 3, *in_flight: str
) -> ToyBatch | None:
    await asyncio.sleep(0.003)  # an idle time of 0 means one millisecond
    return await broker.toys.take(
        consumer, ["muons"], idle_seconds=idle, deliveries_limit=limit, in_flight=set(in_flight)
    )


async def finish(broker: Broker, batch: ToyBatch, consumer: str = "t1", size: int = 4) -> str:
    body = f"{batch.first}+{batch.count}".encode()
    return await broker.toys.finish(consumer, batch, body, seconds=0.4, size=size)


async def run_all(broker: Broker, size: int = 4) -> list[ToyBatch]:
    done = []
    while batch := await take(broker):
        assert await finish(broker, batch, size=size) == "finished"
        done.append(batch)
    return done


async def hold(broker: Broker, holder: str = "a1") -> int:
    fence = await broker.statistics.hold("muons", holder, 60.0)
    assert fence is not None
    return fence


async def completed(broker: Broker, body: bytes = b"reduced", **changes: Any) -> ToyCalibration:
    await broker.calibrations.begin(an_order(**changes))
    await run_all(broker)
    now = await broker.calibrations.get("muons")
    fence = await hold(broker)
    assert (
        await broker.calibrations.complete(now, body, holder="a1", fence=fence, disagreement="") == "complete"
    )
    return await broker.calibrations.get("muons")


async def test_the_first_toy_alone_sizes_the_batches_of_the_others(broker: Broker, monitor: Monitor) -> None:
    """Each toy is in one batch: a gap or an overlap would bias the quantiles."""
    begun, now = await broker.calibrations.begin(an_order())
    assert (begun, now.state, now.batches, now.seconds_per_toy) == ("begun", "running", 0, None)
    batches = await run_all(broker, size=4)
    assert [(one.batch, one.first, one.count) for one in batches] == [
        (0, 0, 1),
        (1, 1, 4),
        (2, 5, 4),
        (3, 9, 1),
    ]
    now = await broker.calibrations.get("muons")
    assert (now.batches, now.batches_done, now.toys_done) == (4, 4, 10)
    assert now.seconds_per_toy == 0.4
    assert await broker.calibrations.results(now) == [b"0+1", b"1+4", b"5+4", b"9+1"]


@pytest.mark.parametrize(("toys", "size", "batches"), [(1, 5, 1), (2, 5, 2), (6, 5, 2), (7, 5, 3)])
async def test_any_number_of_toys_is_divided(
    broker: Broker, monitor: Monitor, toys: int, size: int, batches: int
) -> None:
    await broker.calibrations.begin(an_order(toys=toys))
    done = await run_all(broker, size)
    now = await broker.calibrations.get("muons")
    assert (len(done), now.batches, now.toys_done) == (batches, batches, toys)


async def test_batches_are_not_so_many_that_the_store_stands_still(broker: Broker, monitor: Monitor) -> None:
    await broker.calibrations.begin(an_order(toys=100_000))
    first = await take(broker)
    assert first is not None
    assert await finish(broker, first, size=1) == "finished"
    assert (await broker.calibrations.get("muons")).batches == 20_001
    second = await take(broker)
    assert second is not None
    assert (second.first, second.count) == (1, 5)


async def test_asked_for_again_it_is_the_same_one(broker: Broker, monitor: Monitor) -> None:
    await broker.calibrations.begin(an_order())
    await run_all(broker)
    again, now = await broker.calibrations.begin(an_order(asked_at=9.0))
    assert (again, now.toys_done, now.asked_at) == ("running", 10, 1.0)
    fence = await hold(broker)
    await broker.calibrations.complete(now, b"r", holder="a1", fence=fence, disagreement="")
    again, now = await broker.calibrations.begin(an_order())
    assert (again, now.state) == ("complete", "complete")


async def test_another_key_replaces_it_and_late_results_are_superseded(
    broker: Broker, monitor: Monitor
) -> None:
    """A late result under a new plan would be a toy of another experiment."""
    await broker.calibrations.begin(an_order())
    late = await take(broker)
    assert late is not None
    begun, now = await broker.calibrations.begin(an_order(key="k2", toys=3))
    assert (begun, now.key, now.toys_done, now.generation) == ("begun", "k2", 0, 2)
    assert not await broker.toys.renew("t1", late)
    assert await finish(broker, late) == "superseded"
    assert await broker.toys.hand_back("t1", late, "x", 1) == "superseded"
    assert (await broker.calibrations.get("muons")).state == "running"
    assert len(await run_all(broker, size=1)) == 3


async def test_an_unknown_or_changed_monitor_is_told(broker: Broker, monitor: Monitor) -> None:
    with pytest.raises(UnknownMonitor):
        await broker.calibrations.begin(an_order(monitor="electrons"))
    with pytest.raises(EpochMoved, match="at epoch 1"):
        await broker.calibrations.begin(an_order(monitor_epoch=2))
    with pytest.raises(NoCalibration, match="closed form"):
        await broker.calibrations.get("muons")
    with pytest.raises(UnknownMonitor):
        await broker.calibrations.cancel("electrons")


async def test_a_batch_is_taken_over_once_and_finished_once(broker: Broker, monitor: Monitor) -> None:
    await broker.calibrations.begin(an_order())
    dead = await take(broker, "t1")
    assert dead is not None
    assert await take(broker, "t2") is None
    assert await take(broker, "t1", 0.0, 3, dead.entry) is None
    taken = await take(broker, "t2", idle=0.0)
    assert taken is not None
    assert (taken.entry, taken.deliveries) == (dead.entry, 2)
    assert not await broker.toys.renew("t1", dead)
    assert await broker.toys.renew("t2", taken)
    assert await finish(broker, dead, "t1") == "lost"
    assert await finish(broker, taken, "t2") == "finished"
    # Repeated by the connection, because the reply was lost.
    assert await finish(broker, taken, "t2") == "duplicate"
    assert (await broker.calibrations.get("muons")).toys_done == 1


async def test_a_batch_handed_back_is_given_out_at_once(broker: Broker, monitor: Monitor) -> None:
    await broker.calibrations.begin(an_order())
    first = await take(broker)
    assert first is not None
    assert await broker.toys.hand_back("t1", first, None, 3) == "handed back"
    again = await take(broker, "t2")
    assert again is not None
    assert again.deliveries == 1
    assert await broker.toys.hand_back("t2", again, "a bad day", 3) == "handed back"
    third = await take(broker)
    assert third is not None
    assert third.deliveries == 2


async def test_a_batch_that_fails_too_often_ends_the_calibration(broker: Broker, monitor: Monitor) -> None:
    await broker.calibrations.begin(an_order())
    for deliveries in (1, 2, 3):
        batch = await take(broker)
        assert batch is not None
        assert batch.deliveries == deliveries
        ended = await broker.toys.hand_back("t1", batch, "ValueError: a bad day", 3)
    assert ended == "failed"
    now = await broker.calibrations.get("muons")
    assert (now.state, now.reason) == ("failed", "toy 1 of 10: ValueError: a bad day")
    assert now.ended_at is not None
    assert await take(broker) is None


async def test_a_batch_that_kills_its_trainers_ends_the_calibration(broker: Broker, monitor: Monitor) -> None:
    await broker.calibrations.begin(an_order())
    batch = await take(broker)
    assert batch is not None
    assert await broker.toys.hand_back("t1", batch, "a bad day", 3) == "handed back"
    assert await take(broker, idle=0.0) is not None
    assert await take(broker, idle=0.0) is not None
    assert await take(broker, idle=0.0) is None
    now = await broker.calibrations.get("muons")
    assert now.state == "failed"
    assert "after 3 tries: the process that ran it ended" in now.reason
    assert now.reason.endswith("an earlier attempt failed: a bad day")


async def test_a_failed_one_goes_on_where_it_was(broker: Broker, monitor: Monitor) -> None:
    await broker.calibrations.begin(an_order())
    for _ in range(3):
        batch = await take(broker)
        assert batch is not None
        if batch.batch < 2:
            await finish(broker, batch)
    assert await broker.toys.hand_back("t1", batch, "a bad day", 1) == "failed"
    begun, now = await broker.calibrations.begin(an_order())
    assert (begun, now.state, now.reason, now.toys_done) == ("resumed", "running", "", 5)
    assert [(one.batch, one.first) for one in await run_all(broker)] == [(2, 5), (3, 9)]
    assert (await broker.calibrations.get("muons")).toys_done == 10


async def test_a_first_toy_that_failed_is_tried_again(broker: Broker, monitor: Monitor) -> None:
    await broker.calibrations.begin(an_order())
    batch = await take(broker)
    assert batch is not None
    await broker.toys.hand_back("t1", batch, "a bad day", 1)
    assert (await broker.calibrations.begin(an_order()))[0] == "resumed"
    assert [one.count for one in await run_all(broker)] == [1, 4, 4, 1]


async def test_cancelled_it_leaves_nothing_but_its_record(broker: Broker, monitor: Monitor) -> None:
    await broker.calibrations.begin(an_order())
    late = await take(broker)
    assert late is not None
    assert (await broker.calibrations.cancel("muons")).state == "cancelled"
    assert await finish(broker, late) == "superseded"
    assert await take(broker) is None
    assert [key for key in await keys_of(broker) if b"toys" in key or b":batches" in key] == []
    assert (await broker.calibrations.begin(an_order()))[0] == "begun"


async def test_the_whole_road_to_what_the_aggregator_reads(broker: Broker, monitor: Monitor) -> None:
    assert await broker.calibrations.current(monitor) is None
    done = await completed(broker, b"x" * 20_000_000)
    assert (done.state, done.toys_done) == ("complete", 10)
    stored = await broker.calibrations.current(monitor)
    assert stored is not None
    assert stored.calibration == done
    assert stored.body == b"x" * 20_000_000
    assert [key for key in await keys_of(broker) if b"toys" in key or b":batches" in key] == []
    assert await broker.calibrations.current(msgspec.structs.replace(monitor, epoch=2)) is None


async def test_only_the_holder_of_the_monitor_completes_it(broker: Broker, monitor: Monitor) -> None:
    """Two aggregators that reduce at once must not write into each other's result."""
    await broker.calibrations.begin(an_order())
    fence = await hold(broker)
    now = await broker.calibrations.get("muons")
    complete = broker.calibrations.complete
    assert await complete(now, b"r", holder="a1", fence=fence, disagreement="") == "unfinished"
    await run_all(broker)
    assert await complete(now, b"r", holder="a2", fence=fence, disagreement="") == "fenced"
    assert await complete(now, b"r", holder="a1", fence=fence - 1, disagreement="") == "fenced"
    old = msgspec.structs.replace(now, generation=0)
    assert await complete(old, b"r", holder="a1", fence=fence, disagreement="") == "superseded"
    assert await complete(now, b"r", holder="a1", fence=fence, disagreement="n") == "complete"
    assert (await broker.calibrations.get("muons")).disagreement == "n"


async def test_results_that_cannot_be_reduced_are_kept(broker: Broker, monitor: Monitor) -> None:
    await broker.calibrations.begin(an_order())
    await run_all(broker)
    now = await broker.calibrations.get("muons")
    fence = await hold(broker)
    assert await broker.calibrations.give_up(now, "not finite", holder="a1", fence=fence) == "failed"
    assert (await broker.calibrations.get("muons")).reason == "not finite"
    begun, now = await broker.calibrations.begin(an_order())
    assert (begun, now.batches_done, await take(broker)) == ("resumed", 4, None)
    assert await broker.calibrations.results(now) is not None


async def test_a_new_epoch_makes_it_void_at_once(broker: Broker, monitor: Monitor) -> None:
    """Between the change and the next look of an aggregator no statistic may use the old toys."""
    await completed(broker)
    await broker.monitors.change(msgspec.structs.replace(monitor, description="x"), statistical=False)
    assert (await broker.calibrations.get("muons")).state == "complete"
    changed = a_monitor(epoch=2)
    await broker.monitors.change(changed, statistical=True)
    now = await broker.calibrations.get("muons")
    assert (now.state, now.reason) == (
        "void",
        "the monitor was changed and is at epoch 2; calibrate it again",
    )
    assert await broker.calibrations.current(monitor) is None
    assert await broker.calibrations.current(changed) is None


async def test_a_new_epoch_supersedes_what_is_under_way(broker: Broker, monitor: Monitor) -> None:
    await broker.calibrations.begin(an_order())
    late = await take(broker)
    assert late is not None
    await broker.monitors.change(a_monitor(epoch=2), statistical=True)
    assert await finish(broker, late) == "superseded"
    assert (await broker.calibrations.begin(an_order(monitor_epoch=2)))[0] == "begun"


async def test_results_of_another_format_are_never_used(broker: Broker, monitor: Monitor) -> None:
    """An upgrade must neither misread them nor stop the aggregator at them."""
    await completed(broker, format=0)
    now = await broker.calibrations.get("muons")
    assert (now.state, now.reason) == ("void", "its results are of format 0, not 1; calibrate it again")
    assert await broker.calibrations.current(monitor) is None


async def test_a_deleted_monitor_takes_it_along(broker: Broker, monitor: Monitor) -> None:
    await broker.calibrations.begin(an_order())
    late = await take(broker)
    assert late is not None
    await broker.monitors.delete("muons")
    assert await keys_of(broker) == []
    assert await finish(broker, late) == "superseded"
    assert await keys_of(broker) == []


async def test_its_end_wakes_the_aggregator(broker: Broker, monitor: Monitor) -> None:
    await broker.calibrations.begin(an_order(toys=1))
    cursors = {"muons": "0-0"}
    assert await broker.statistics.wait_done(cursors, 0.01) == []
    await run_all(broker)
    assert await broker.statistics.wait_done(cursors, 1.0) == ["muons"]


def test_the_key_depends_on_all_that_moves_a_toy() -> None:
    plain = a_monitor()
    kernel = msgspec.structs.replace(plain.kernel, centres=9)

    def key(
        plan: CalibrationPlan = PLAN, run_lengths: tuple[float, float] = (100.0, 10.0), **changes: Any
    ) -> str:
        return calibration_key(msgspec.structs.replace(plain, **changes), plan, run_lengths)

    changes: list[dict[str, Any]] = [
        {"reference_hash": "cd34"},
        {"features": ("eta", "pt")},
        {"mode": "rate", "rate": 1.0},
        {"kernel": kernel},
        {"run_lengths": (100.0, 11.0)},
    ]
    plans: list[dict[str, Any]] = [
        {"toys": 11},
        {"chunks": 5},
        {"events": 51.0},
        {"seed": 1},
        {"source": "fixed-reference"},
        {"statistics": ("t_agg",)},
        {"pool_hash": "ef56"},
        {"pool_first": 1},
        {"pool_events": 301},
    ]
    changed = [key(**one) for one in changes]
    changed += [key(msgspec.structs.replace(PLAN, **one)) for one in plans]
    assert len({key(), *changed}) == 1 + len(changed)
    assert key(description="x") == key()


def test_ten_toys_for_each_chunk_of_the_run_length() -> None:
    assert [toys_needed(length) for length in (2.0, 2.01, 1000.0)] == [20, 21, 10_000]
