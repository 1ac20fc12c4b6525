"""Toys of a trainer over a real store: between chunks, once each, and never in a chunk's way."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.aggregator.samples import HASH, KERNEL, a_monitor, admit, fits_on, sample, store_reference
from tests.trainer.work import AtWork

from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore
from nplmon.broker.messages import Monitor
from nplmon.broker.toy_messages import CalibrationOrder, CalibrationPlan, ToyCalibration
from nplmon.nplm.toy_plan import Trajectories
from nplmon.nplm.toys import replay
from nplmon.toys import core_plan
from nplmon.trainer import replaying
from nplmon.trainer.replaying import Replaying, prepared, split

Start = Callable[..., AtWork]
REAL_RUN = Replaying.run

pytestmark = pytest.mark.anyio


def an_order(toys: int = 12, **changes: Any) -> CalibrationOrder:
    plan: dict[str, Any] = {
        "source": "fixed-reference",
        "toys": toys,
        "chunks": 3,
        "events": 40.0,
        "pool_hash": "x",
        "pool_events": 500,
    } | changes
    return CalibrationOrder(
        monitor="m",
        monitor_epoch=1,
        key="k1",
        reference_hash=HASH,
        mode="shape",
        plan=CalibrationPlan(**plan),
        run_length=2.0,
        warning_run_length=2.0,
        asked_at=1.0,
    )


async def begin(broker: Broker, **changes: Any) -> CalibrationOrder:
    """Ask for a calibration; in its pool are the events of `held`."""
    await broker.pools.add(HASH, "a" * 64, held().tobytes(), events=500, limit=10_000)
    order = an_order(**changes)
    status, _ = await broker.calibrations.begin(order)
    assert status in {"begun", "resumed"}
    return order


def held() -> np.ndarray:
    return sample(500, 99)


async def now(broker: Broker) -> ToyCalibration:
    return await broker.calibrations.get("m")


async def all_toys(broker: Broker, work: AtWork, count: int) -> Trajectories:
    """Wait for all toys, and give them put together."""

    async def done() -> bool:
        return (await now(broker)).toys_done == count

    await work.until(done, f"{count} toys", 60)
    results = await broker.calibrations.results(await now(broker))
    assert results is not None
    return Trajectories.concatenate([Trajectories.from_bytes(body) for body in results])


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "LARGEST", 4)
    monkeypatch.setattr(replaying, "BATCH_SECONDS", 1000.0)  # on any machine


async def test_the_toys_of_all_batches_are_those_of_one_replay(
    broker: Broker, monitor: Monitor, start: Start, small_batches: None
) -> None:
    """A toy lost, run twice or drawn with another seed would show here, and so would events added to the pool later."""
    order = await begin(broker)
    await broker.pools.add(HASH, "b" * 64, sample(50, 98).tobytes(), events=50, limit=10_000)
    work = start()
    found = await all_toys(broker, work, 12)
    assert (await now(broker)).batches == 4
    expected = replay(fits_on(), held(), core_plan(order.plan, "shape"), 0, 12)
    assert found.numbers.tolist() == list(range(12))
    assert np.array_equal(found.log_p["t_score"], expected.log_p["t_score"])
    assert found.log_p["t_score"].shape == (12, 3, 1)
    await work.reaches(4, "nplmon_toy_batches_processed_total", monitor="m", outcome="finished")
    assert (await now(broker)).seconds_per_toy is not None


async def test_without_a_pool_the_reference_is_split(
    broker: Broker, monitor: Monitor, start: Start, small_batches: None
) -> None:
    """For all trainers in the same way: the toys of one calibration have one reference less the same events."""
    order = await begin(broker, toys=3, source="disjoint", pool_hash="", pool_events=300)
    found = await all_toys(broker, start(), 3)
    device = fits_on()[0].device
    rest, pool = split(fits_on()[0].reference, 300, 0)
    assert (len(rest.events), len(pool)) == (1700, 300)

    def prepare(reference: Any, seed: int) -> Any:
        return prepared(reference, seed, kernel=KERNEL, device=device)

    expected = replay(prepare(rest, 0), pool, core_plan(order.plan, "shape"), 0, 3, prepare=prepare)
    assert np.array_equal(found.log_p["t_score"], expected.log_p["t_score"])


async def test_two_trainers_share_them(
    broker: Broker, monitor: Monitor, start: Start, small_batches: None
) -> None:
    await begin(broker, toys=40)
    works = [start("t1"), start("t2")]
    found = await all_toys(broker, works[0], 40)
    assert found.numbers.tolist() == list(range(40))
    counts = [
        work.value("nplmon_toy_batches_processed_total", monitor="m", outcome="finished") for work in works
    ]
    assert sum(counts) == 11
    assert min(counts) > 0


async def test_a_pool_that_was_used_up_is_told(broker: Broker, monitor: Monitor, start: Start) -> None:
    await begin(broker, pool_events=700)
    work = start(deliveries_limit=1)
    await ended(broker, work, "failed")
    assert "500 of 700 events of the pool are still there" in (await now(broker)).reason


async def ended(broker: Broker, work: AtWork, state: str) -> None:
    async def so() -> bool:
        return (await now(broker)).state == state

    await work.until(so, state, 20)


async def test_toys_begin_when_no_chunk_waits(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_first_toy: list[int] = []

    def watched(self: Replaying, *arguments: Any) -> bytes:
        at_first_toy.append(work.trainer.finished)
        return REAL_RUN(self, *arguments)

    monkeypatch.setattr(Replaying, "run", watched)
    await begin(broker)
    await admit(broker, *range(1, 31))
    work = start()
    await all_toys(broker, work, 12)
    assert at_first_toy[0] == 30


async def test_a_chunk_that_comes_meanwhile_goes_first(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Toys stand still at their next step and go on after it; nothing is lost."""
    begun, fitting, go_on = threading.Event(), threading.Event(), threading.Event()
    steps: list[bool] = []

    def slow(self: Replaying, first: int, count: int, pause: Callable[[], None]) -> bytes:
        begun.set()
        while not go_on.is_set():
            pause()
            steps.append(fitting.is_set())
            time.sleep(0.005)
        return REAL_RUN(self, first, count, pause)

    def fit(*arguments: Any) -> Any:
        time.sleep(0.1)  # so that the step in hand ends
        fitting.set()
        time.sleep(0.3)
        fitting.clear()
        return real_fit(*arguments)

    from nplmon.trainer import trainer

    real_fit = trainer._timed_fit
    monkeypatch.setattr(trainer, "_timed_fit", fit)
    monkeypatch.setattr(Replaying, "run", slow)
    await begin(broker)
    work = start()
    await asyncio.to_thread(begun.wait, 20)
    await admit(broker, 1)
    await work.ended("finished")
    assert (await now(broker)).toys_done == 0
    before = len(steps)

    async def goes_on() -> bool:
        return len(steps) > before

    await work.until(goes_on, "toys go on")
    assert not any(steps)
    go_on.set()
    await all_toys(broker, work, 12)
    assert work.value("nplmon_toy_batches_processed_total", monitor="m", outcome="returned") == 0


async def test_the_toys_of_a_killed_trainer_are_taken_over_once(
    broker: Broker, monitor: Monitor, start: Start, small_batches: None
) -> None:
    await begin(broker)
    batch = await broker.toys.take("killed", ["m"], idle_seconds=60, deliveries_limit=3, in_flight=set())
    assert batch is not None
    works = [start("t1"), start("t2")]
    found = await all_toys(broker, works[0], 12)
    assert found.numbers.tolist() == list(range(12))
    assert (await now(broker)).batches_done == 4
    assert await broker.toys.finish("killed", batch, b"late", seconds=1.0, size=1) == "duplicate"


async def test_slow_toys_are_no_dead_trainer(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(self: Replaying, *arguments: Any) -> bytes:
        time.sleep(1.5)  # more than the lease
        return REAL_RUN(self, *arguments)

    monkeypatch.setattr(Replaying, "run", slow)
    await begin(broker, toys=1)
    works = [start("t1"), start("t2")]
    await all_toys(broker, works[0], 1)
    outcomes = [
        work.value("nplmon_toy_batches_processed_total", monitor="m", outcome=outcome)
        for work in works
        for outcome in ("finished", "duplicate", "lost", "failed")
    ]
    assert sum(outcomes) == 1


async def test_toys_that_fail_too_often_end_the_calibration_and_chunks_go_on(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> bytes:
        raise RuntimeError("a bad day")

    monkeypatch.setattr(Replaying, "run", broken)
    await begin(broker)
    work = start(deliveries_limit=2)
    await ended(broker, work, "failed")
    assert (await now(broker)).reason == "toy 1 of 12: RuntimeError: a bad day"
    await work.reaches(2, "nplmon_toy_batches_processed_total", monitor="m", outcome="failed")
    await admit(broker, 1)
    await work.ended("finished")
    monkeypatch.setattr(Replaying, "run", REAL_RUN)
    await begin(broker)
    await all_toys(broker, work, 12)


async def test_stopped_it_hands_its_toys_back(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def endless(self: Replaying, first: int, count: int, pause: Callable[[], None]) -> bytes:
        begun.set()
        while True:
            pause()
            time.sleep(0.01)

    monkeypatch.setattr(Replaying, "run", endless)
    await begin(broker)
    work = start()
    await asyncio.to_thread(begun.wait, 20)
    await work.stop()
    assert work.value("nplmon_toy_batches_processed_total", monitor="m", outcome="returned") == 1
    batch = await broker.toys.take("t2", ["m"], idle_seconds=60, deliveries_limit=3, in_flight=set())
    assert batch is not None
    assert batch.deliveries == 1


async def test_cancelled_toys_end_within_a_renewal(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def endless(self: Replaying, first: int, count: int, pause: Callable[[], None]) -> bytes:
        begun.set()
        while True:
            pause()
            time.sleep(0.01)

    monkeypatch.setattr(Replaying, "run", endless)
    await begin(broker)
    work = start()
    await asyncio.to_thread(begun.wait, 20)
    await broker.calibrations.cancel("m")
    await work.reaches(1, "nplmon_toy_batches_processed_total", monitor="m", outcome="superseded")
    monkeypatch.setattr(Replaying, "run", REAL_RUN)
    await begin(broker)
    await all_toys(broker, work, 12)


async def test_a_store_that_is_away_for_a_while(tmp_path: Path, start: Start, small_batches: None) -> None:
    """A restart of the store in the middle of a batch costs nothing: the result waits for it."""
    store = EmbeddedStore(tmp_path / "store")
    store.start()
    broker = Broker.connect(store.url)
    await store_reference(broker)
    await broker.monitors.create(a_monitor())
    begun, go_on = threading.Event(), threading.Event()

    def stuck(self: Replaying, *arguments: Any) -> bytes:
        begun.set()
        go_on.wait(20)
        return REAL_RUN(self, *arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Replaying, "run", stuck)
        work = AtWork("t1", store.url, tmp_path, {"lease_seconds": 1.0, "deliveries_limit": 1})
        try:
            await begin(broker)
            await asyncio.to_thread(begun.wait, 20)
            await asyncio.to_thread(store.stop)
            go_on.set()
            await asyncio.sleep(0.5)
            await asyncio.to_thread(store.start)
            found = await all_toys(broker, work, 12)
            assert found.numbers.tolist() == list(range(12))
            assert work.value("nplmon_toy_batches_processed_total", monitor="m", outcome="failed") == 0
        finally:
            go_on.set()
            await work.stop()
            await broker.close()
            store.stop()
