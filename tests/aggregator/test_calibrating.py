"""Calibrations by toys in the aggregator: reduced once, under its fence, beside the chunks; never used when void."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.aggregator.samples import a_monitor, admit, fit
from tests.aggregator.toys import ORDER, PLAN, run_toys, trajectories
from tests.aggregator.work import AtWork

from nplmon.aggregator import aggregator, calibrating
from nplmon.aggregator.calibrating import reduced
from nplmon.broker import Broker
from nplmon.broker.messages import Monitor
from nplmon.nplm.calibration import Calibration
from nplmon.toys import core_plan

Start = Callable[..., Awaitable[AtWork]]

pytestmark = pytest.mark.anyio


async def state_is(broker: Broker, work: AtWork, state: str) -> None:
    async def so() -> bool:
        return (await broker.calibrations.get("m")).state == state

    await work.until(so, state)


def expected(power: float = 1.0) -> Calibration:
    """Give the calibration that the toys of `run_toys` make."""
    return Calibration.from_trajectories(
        [trajectories(0, PLAN.toys, power)],
        plan=core_plan(PLAN, "shape"),
        run_length=20.0,
        warning_run_length=5.0,
        key="k1",
    )


async def test_when_all_toys_are_there_they_are_reduced(
    broker: Broker, monitor: Monitor, start: Start
) -> None:
    work = await start()
    following = work.aggregator._calibrating
    assert await following.current(monitor) is None
    await broker.calibrations.begin(ORDER)
    assert await run_toys(broker) == 5
    await state_is(broker, work, "complete")
    found = await following.current(monitor)
    assert found is not None
    toys, events = found
    assert toys.to_bytes() == expected().to_bytes()
    assert events == ORDER.plan.events
    again = await following.current(monitor)
    assert again is not None
    assert again[0] is toys, "read once"
    assert (await broker.calibrations.get("m")).disagreement == ""
    assert await broker.connection.ask("EXISTS", "nplmon:{m}:calibration:batches") == 0


async def test_a_disagreement_with_the_closed_form_is_told_with_its_size(
    broker: Broker, monitor: Monitor, start: Start
) -> None:
    work = await start()
    await broker.calibrations.begin(ORDER)
    await run_toys(broker, power=2.0)
    await state_is(broker, work, "complete")
    now = await broker.calibrations.get("m")
    assert now.disagreement == "; ".join(expected(2.0).warnings)
    assert "the closed form alarms too often" in now.disagreement

    async def shown() -> bool:
        return work.value("nplmon_calibration_disagreement", monitor="m") == 1

    await work.until(shown, "disagreement")


async def test_progress_and_state_are_exported(broker: Broker, monitor: Monitor, start: Start) -> None:
    work = await start()
    assert work.value("nplmon_calibration_toys", monitor="m") is None
    await broker.calibrations.begin(ORDER)
    batch = await broker.toys.take("t", ["m"], idle_seconds=60, deliveries_limit=3, in_flight=set())
    assert batch is not None
    await broker.toys.finish("t", batch, trajectories(0, 1).to_bytes(), seconds=0.1, size=100)

    async def one_done() -> bool:
        return work.value("nplmon_calibration_toys", monitor="m") == 1

    await work.until(one_done, "one toy")
    assert work.value("nplmon_calibration_toys_wanted", monitor="m") == 400
    assert work.value("nplmon_calibration_state", monitor="m", state="running") == 1
    assert work.value("nplmon_calibration_state", monitor="m", state="complete") == 0
    await broker.monitors.delete("m")

    async def gone() -> bool:
        return work.value("nplmon_calibration_toys", monitor="m") is None

    await work.until(gone, "no calibration")
    assert work.value("nplmon_calibration_state", monitor="m", state="running") is None


async def test_toys_that_cannot_be_reduced_fail_and_the_monitor_goes_on(
    broker: Broker, monitor: Monitor, start: Start
) -> None:
    """Neither a dead aggregator nor an endless repetition: the state says what is wrong, and is counted once."""
    work = await start()
    await broker.calibrations.begin(ORDER)
    await run_toys(broker, damaged=True)
    await state_is(broker, work, "failed")
    now = await broker.calibrations.get("m")
    assert "the toys cannot be reduced: StateError" in now.reason
    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)

    async def counted() -> bool:
        return work.value("nplmon_calibration_failures_total", monitor="m") == 1

    await work.until(counted, "one failure")
    await work.applied(1)
    assert work.value("nplmon_calibration_failures_total", monitor="m") == 1


async def test_chunks_go_on_while_toys_are_reduced(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Calibration:
        begun.set()
        go_on.wait(10)
        return reduced(*arguments)

    monkeypatch.setattr(calibrating, "reduced", slow)
    work = await start()
    await broker.calibrations.begin(ORDER)
    await run_toys(broker)

    async def reducing() -> bool:
        return begun.is_set()

    await work.until(reducing, "reduction")
    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)
    assert (await broker.calibrations.get("m")).state == "running"
    go_on.set()
    await state_is(broker, work, "complete")


async def test_cancelled_while_it_is_reduced_it_stays_cancelled(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Calibration:
        begun.set()
        go_on.wait(10)
        return reduced(*arguments)

    monkeypatch.setattr(calibrating, "reduced", slow)
    work = await start()
    await broker.calibrations.begin(ORDER)
    await run_toys(broker)

    async def reducing() -> bool:
        return begun.is_set()

    await work.until(reducing, "reduction")
    await broker.calibrations.cancel("m")
    go_on.set()
    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)
    assert (await broker.calibrations.get("m")).state == "cancelled"
    assert await broker.connection.ask("EXISTS", "nplmon:{m}:calibration:result") == 0


async def test_another_aggregator_reduces_what_a_killed_one_left(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aggregator, "HOLD_SECONDS", 0.5)
    begun, go_on = threading.Event(), threading.Event()

    def stuck(*arguments: Any) -> Calibration:
        begun.set()
        go_on.wait(10)
        return reduced(*arguments)

    monkeypatch.setattr(calibrating, "reduced", stuck)
    first = await start("a1")
    await broker.calibrations.begin(ORDER)
    await run_toys(broker)

    async def reducing() -> bool:
        return begun.is_set()

    await first.until(reducing, "reduction")
    await first.kill()
    monkeypatch.setattr(calibrating, "reduced", reduced)
    second = await start("a2")
    await state_is(broker, second, "complete")
    go_on.set()
    stored = await broker.calibrations.current(monitor)
    assert stored is not None
    assert stored.body == expected().to_bytes()


async def test_a_changed_monitor_has_none(broker: Broker, monitor: Monitor, start: Start) -> None:
    work = await start()
    await broker.calibrations.begin(ORDER)
    await run_toys(broker)
    await state_is(broker, work, "complete")
    following = work.aggregator._calibrating
    assert await following.current(monitor) is not None
    changed = a_monitor(epoch=2)
    await broker.monitors.change(changed, statistical=True)
    assert await following.current(monitor) is None
    assert await following.current(changed) is None
    await broker.calibrations.begin(msgspec.structs.replace(ORDER, monitor_epoch=2, key="k2"))
    await run_toys(broker)
    await state_is(broker, work, "complete")
    found = await following.current(changed)
    assert found is not None
    assert found[0].key == "k2"


def test_results_of_other_toys_are_refused() -> None:
    from tests.aggregator.toys import a_calibration

    other = msgspec.structs.replace(PLAN, chunks=6)
    body = trajectories(0, PLAN.toys).to_bytes()
    with pytest.raises(ValueError, match="not"):
        reduced(a_calibration(plan=other), [body])
    with pytest.raises(ValueError, match="toys for an expected run length"):
        reduced(a_calibration(), [trajectories(0, 100).to_bytes()])
    assert np.isfinite(reduced(a_calibration(), [body]).alarm("t_score", 1))
