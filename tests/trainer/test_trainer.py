"""A trainer over a real store: from the lease to the result, and what may go wrong between."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from tests.aggregator.samples import (
    EVENTS,
    a_monitor,
    admit,
    chunk,
    fits_on,
    store_reference,
)
from tests.trainer.work import AtWork

from nplmon import prepared
from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore
from nplmon.broker.messages import Death, Fit, Monitor
from nplmon.trainer import trainer

Start = Callable[..., AtWork]
TimedFit = Callable[..., Any]

pytestmark = pytest.mark.anyio
REAL_FIT: TimedFit = trainer._timed_fit


async def results(broker: Broker, count: int = 10) -> list[Fit | Death]:
    return await broker.statistics.fits("m", "a", 0, count)


async def left_in_stream(broker: Broker) -> int:
    return int(await broker.connection.ask("XLEN", "nplmon:{m}:work"))


def breaking_on(sequence: int) -> TimedFit:
    """Give a fit that fails on the events of one chunk."""

    def fit(reference: Any, events: np.ndarray, expected: float) -> Any:
        if np.array_equal(events, chunk(sequence)):
            raise RuntimeError("a bad day")
        return REAL_FIT(reference, events, expected)

    return fit


async def test_from_lease_to_result(broker: Broker, monitor: Monitor, start: Start) -> None:
    work = start()
    await admit(broker, 1)
    await work.ended("finished")
    (fit,) = await results(broker)
    assert isinstance(fit, Fit)
    (model,), (width,) = fits_on(), fit.widths
    expected = model.fit(chunk(1), float(EVENTS))
    assert width.t_chunk == expected.statistic
    assert np.array_equal(np.frombuffer(width.coefficients), expected.coefficients)
    assert np.array_equal(np.frombuffer(width.score), expected.score)
    assert (fit.receipt.sequence, fit.trainer, fit.device) == (1, "t1", "cpu")
    assert fit.fit_seconds > 0
    assert await left_in_stream(broker) == 0
    assert work.trainer.finished == 1
    assert work.value("nplmon_fit_duration_seconds_count", monitor="m") == 1


async def test_two_trainers_share_a_queue(broker: Broker, monitor: Monitor, start: Start) -> None:
    works = [start("t1"), start("t2")]
    await admit(broker, *range(1, 21))

    async def all_finished() -> bool:
        return sum(work.trainer.finished for work in works) >= 20

    await works[0].until(all_finished, "twenty fits")
    assert sum(work.trainer.finished for work in works) == 20
    assert len(await results(broker, 21)) == 20
    assert await left_in_stream(broker) == 0


async def test_a_slow_fit_keeps_its_lease(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fit takes three times the time after which a silent holder loses its chunk, and another waits for it."""
    calls: list[float] = []

    def slow(*arguments: Any) -> Any:
        calls.append(time.monotonic())
        time.sleep(3)
        return REAL_FIT(*arguments)

    monkeypatch.setattr(trainer, "_timed_fit", slow)
    works = [start("t1"), start("t2")]
    await admit(broker, 1)

    async def finished() -> bool:
        return any(work.trainer.finished for work in works)

    await works[0].until(finished, "the fit")
    assert len(calls) == 1
    assert sum(work.trainer.finished for work in works) == 1
    assert [work.value("nplmon_redeliveries_total", monitor="m") for work in works] == [0, 0]


async def test_a_bad_chunk_dies_alone(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_timed_fit", breaking_on(2))
    work = start()
    await admit(broker, 1, 2, 3)
    await work.ended("finished", 2)
    await work.reaches(1, "nplmon_dead_letters_total", monitor="m", reason="exception")
    assert work.value("nplmon_chunks_processed_total", monitor="m", outcome="failed") == 3
    found = await results(broker)
    assert [type(one) for one in found] == [Fit, Death, Fit]
    (death,) = await broker.admission.dead("m")
    assert (death.receipt.chunk, death.deliveries, death.reason) == ("c2", 3, "exception")
    assert death.error == "RuntimeError: a bad day"
    assert await left_in_stream(broker) == 0


async def test_a_chunk_that_fails_once_is_fitted(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = breaking_on(1)

    def once(*arguments: Any) -> Any:
        monkeypatch.setattr(trainer, "_timed_fit", REAL_FIT)
        return broken(*arguments)

    monkeypatch.setattr(trainer, "_timed_fit", once)
    work = start()
    await admit(broker, 1)
    await work.ended("finished")
    assert work.value("nplmon_redeliveries_total", monitor="m") == 1
    assert await broker.admission.dead("m") == []


async def test_a_chunk_without_its_events_dies(broker: Broker, monitor: Monitor, start: Start) -> None:
    await admit(broker, 1, 2)
    await broker.connection.ask("HDEL", "nplmon:{m}:run:a:payloads", 1)
    work = start()
    await work.ended("finished")
    await work.reaches(1, "nplmon_dead_letters_total", monitor="m", reason="exception")
    death, fit = await results(broker)
    assert isinstance(death, Death)
    assert "the events of this chunk are not in the store" in death.error
    assert isinstance(fit, Fit)


async def test_mode_rate_needs_an_exposure(broker: Broker, start: Start) -> None:
    await broker.monitors.create(a_monitor(mode="rate", rate=100.0))
    await admit(broker, 1)
    await admit(broker, 2, exposure=0.5)
    work = start()
    await work.ended("finished")
    await work.reaches(1, "nplmon_dead_letters_total", monitor="m", reason="exception")
    death, fit = await results(broker)
    assert isinstance(death, Death)
    assert "needs a rate, and each chunk an exposure" in death.error
    assert isinstance(fit, Fit)
    assert fit.widths[0].t_chunk == fits_on()[0].fit(chunk(2), 50.0).statistic


async def test_a_chunk_whose_holders_ended_dies_of_crashes(
    broker: Broker, monitor: Monitor, start: Start
) -> None:
    """Two take it and give no sign any more; the third take-over finds it past the limit."""
    await admit(broker, 1)
    assert await broker.leases.take("gone1", ["m"], count=1, block_seconds=1.0)
    await asyncio.sleep(0.06)
    taken, _ = await broker.leases.take_over(
        "gone2", "m", idle_seconds=0.05, deliveries_limit=2, in_flight=set(), count=1
    )
    assert taken
    work = start(deliveries_limit=2)
    await work.reaches(1, "nplmon_dead_letters_total", monitor="m", reason="crash")
    (death,) = await results(broker)
    assert isinstance(death, Death)
    assert (death.reason, death.deliveries) == ("crash", 2)


async def test_what_another_took_over_is_not_finished_here(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def stuck(*arguments: Any) -> Any:
        go_on.wait(10)
        return REAL_FIT(*arguments)

    monkeypatch.setattr(trainer, "_timed_fit", stuck)
    work = start(lease_seconds=60)
    await admit(broker, 1)

    async def leased() -> bool:
        return (await broker.admission.place("m", "a", "c1"))[0] == "leased"

    await work.until(leased, "the lease")
    await asyncio.sleep(0.06)
    ((other,), _) = await broker.leases.take_over(
        "other", "m", idle_seconds=0.05, deliveries_limit=3, in_flight=set(), count=1
    )
    go_on.set()
    await work.ended("lost")
    assert await results(broker) == []
    assert other.deliveries == 2


async def test_an_end_that_is_not_answered_yet_is_no_lost_lease(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The renewal runs between the end of a chunk in the store and its answer here."""
    with structlog.testing.capture_logs() as lines:
        work = start(lease_seconds=1)
        finish = work.broker.leases.finish

        async def slowly_answered(*arguments: Any) -> str:
            answer = await finish(*arguments)
            await asyncio.sleep(0.6)
            return answer

        monkeypatch.setattr(work.broker.leases, "finish", slowly_answered)
        await admit(broker, 1)
        await work.ended("finished")
    assert "lease lost" not in [line["event"] for line in lines]


@pytest.mark.parametrize("away", ["during the fit", "before the fit"])
async def test_a_store_that_is_away_for_a_while(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    """Each chunk has one result in the end, and the outage counts against none of them."""
    store = EmbeddedStore(tmp_path / "store")
    store.start()
    broker = Broker.connect(store.url)
    await store_reference(broker)
    await broker.monitors.create(a_monitor())
    asked, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        asked.set()
        go_on.wait(20)

    if away == "during the fit":

        def stuck(*arguments: Any) -> Any:
            hold()
            return REAL_FIT(*arguments)

        monkeypatch.setattr(trainer, "_timed_fit", stuck)
    else:
        real = Broker.connect(store.url).monitors.__class__.at

        async def stuck_at(*arguments: Any) -> Any:
            await asyncio.to_thread(hold)
            return await real(*arguments)

        monkeypatch.setattr("nplmon.broker.monitors.Monitors.at", stuck_at)
    work = AtWork("t1", store.url, tmp_path, {"lease_seconds": 1.0, "deliveries_limit": 1})
    try:
        await admit(broker, 1, 2)
        await asyncio.to_thread(asked.wait, 10)
        await asyncio.to_thread(store.stop)
        go_on.set()
        await asyncio.sleep(0.5)
        await asyncio.to_thread(store.start)

        async def all_finished() -> bool:
            return work.trainer.finished >= 2 and not await left_in_stream(broker)

        await work.until(all_finished, "two fits", 20)
        assert [type(one) for one in await results(broker)] == [Fit, Fit]
        assert await broker.admission.dead("m") == []
        assert work.trainer.finished == 2
        assert work.value("nplmon_trainer_store_errors_total") > 0
        if away == "before the fit":
            assert work.value("nplmon_chunks_processed_total", monitor="m", outcome="returned") == 1
    finally:
        go_on.set()
        await work.stop()
        await broker.close()
        store.stop()


async def test_a_stop_finishes_the_chunk_in_hand_and_takes_no_other(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def slow(*arguments: Any) -> Any:
        begun.set()
        time.sleep(0.3)
        return REAL_FIT(*arguments)

    monkeypatch.setattr(trainer, "_timed_fit", slow)
    work = start()
    await admit(broker, 1, 2)
    await asyncio.to_thread(begun.wait, 10)
    await work.stop()
    assert [one.receipt.chunk for one in await results(broker)] == ["c1"]
    assert (await broker.admission.backlog("m")).waiting == 1
    # It leaves no consumer behind.
    consumers = await broker.connection.ask("XINFO", "CONSUMERS", "nplmon:{m}:work", "trainers")
    assert consumers == []


async def test_a_stop_does_not_wait_for_a_store_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EmbeddedStore(tmp_path / "store")
    store.start()
    broker = Broker.connect(store.url)
    await store_reference(broker)
    await broker.monitors.create(a_monitor())
    begun, go_on = threading.Event(), threading.Event()

    def stuck(*arguments: Any) -> Any:
        begun.set()
        go_on.wait(10)
        return REAL_FIT(*arguments)

    monkeypatch.setattr(trainer, "_timed_fit", stuck)
    work = AtWork("t1", store.url, tmp_path, {})
    await admit(broker, 1)
    await asyncio.to_thread(begun.wait, 10)
    await asyncio.to_thread(store.stop)
    go_on.set()
    await work.stop()  # within ten seconds, or this fails
    assert work.value("nplmon_chunks_processed_total", monitor="m", outcome="lost") == 1
    await broker.close()


async def test_a_reset_supersedes_the_fit_in_hand(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def stuck(*arguments: Any) -> Any:
        begun.set()
        go_on.wait(10)
        return REAL_FIT(*arguments)

    monkeypatch.setattr(trainer, "_timed_fit", stuck)
    work = start()
    await admit(broker, 1)
    await asyncio.to_thread(begun.wait, 10)
    await broker.runs.reset("m", "a")
    go_on.set()
    await work.ended("superseded")
    assert await results(broker) == []
    assert await left_in_stream(broker) == 0


async def test_a_monitor_deleted_before_the_fit_is_superseded(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = type(broker.monitors).at

    async def deleted(monitors: Any, name: str, epoch: int) -> Monitor:
        await broker.monitors.delete(name)
        return await real(monitors, name, epoch)

    monkeypatch.setattr("nplmon.broker.monitors.Monitors.at", deleted)
    work = start()
    await admit(broker, 1)
    await work.ended("superseded")
    assert await broker.connection.ask("KEYS", "nplmon:{m}*") == []


async def test_a_reference_that_cannot_be_prepared_is_told_at_once(
    broker: Broker, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own claim of the first attempt does not keep the second one waiting."""

    def impossible(*_: Any, **__: Any) -> None:
        raise ValueError("all 2000 events of a subsample coincide: give sigma")

    monkeypatch.setattr(prepared, "prepare", impossible)
    made = a_monitor(features=("x",), units=("",))
    await broker.monitors.create(made)
    await admit(broker, 1)
    work = start()
    await work.reaches(1, "nplmon_dead_letters_total", monitor="m", reason="exception")
    (death,) = await broker.admission.dead("m")
    assert death.error.endswith("give sigma")
