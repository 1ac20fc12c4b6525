"""`nplmon calibrate`: it queues, watches, goes on, and says what is wrong; the toys are ended by hand."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from tests.cli.conftest import Nplmon
from tests.client.serving import Service

from nplmon.broker import Broker
from nplmon.cli import calibrate
from nplmon.cli.toy_progress import ToyProgress
from nplmon.client import CalibrationPlan, CalibrationStatus, Client, ToyCalibration

SMALL = ("--toys", 10_000, "--chunks", 2, "--events", 10)


@pytest.fixture
def then(service: Service, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a function that lets things happen to the store between two looks of the command."""

    def happen(*acts: Callable[[], Any]) -> None:
        waiting = iter(acts)

        def sleep(_: float) -> None:
            act = next(waiting)
            act()

        monkeypatch.setattr(calibrate.time, "sleep", sleep)

    return happen


def run_toys(service: Service, monitor: str, batches: int = 1, error: str | None = None) -> None:
    """Do some batches, as trainers would: the first one is one toy, the others are 5,000 each."""

    async def work(broker: Broker) -> None:
        for _ in range(batches):
            batch = await broker.toys.take(
                "t", [monitor], idle_seconds=60, deliveries_limit=3, in_flight=set()
            )
            assert batch is not None
            if error is not None:
                await broker.toys.hand_back("t", batch, error, 1)
            else:
                await broker.toys.finish("t", batch, b"toys", seconds=0.1, size=5_000)

    service.with_broker(work)


def reduce(service: Service, monitor: str) -> None:
    """Complete a calibration, as an aggregator would."""

    async def work(broker: Broker) -> None:
        fence = await broker.statistics.hold(monitor, "a", 60.0)
        assert fence is not None
        done = await broker.calibrations.get(monitor)
        ended = await broker.calibrations.complete(
            done,
            b"reduced",
            holder="a",
            fence=fence,
            disagreement="t_score: the closed form alarms too often",
        )
        assert ended == "complete"

    service.with_broker(work)


def test_it_waits_until_the_calibration_is_complete(
    nplmon: Nplmon, service: Service, monitor: str, then: Callable[..., None]
) -> None:
    then(lambda: run_toys(service, monitor, 3), lambda: reduce(service, monitor))
    ended = nplmon("calibrate", monitor, *SMALL)
    assert ended.code == 0, ended.err
    assert "complete" in ended.out
    assert "10,000 of 10,000 done" in ended.out
    assert "disjoint, 2 chunks of 10 events, seed 0, the reference, split" in ended.out
    assert "p >= 0.0001" in ended.out
    assert "the closed form alarms too often" in ended.out
    again = nplmon("calibrate", monitor, "--json")
    said = json.loads(again.out)
    assert (again.code, said["calibration"]["state"], said["trainers"]) == (0, "complete", 0)


def test_detached_it_only_queues(nplmon: Nplmon, client: Client, monitor: str) -> None:
    ended = nplmon("calibrate", monitor, *SMALL, "--seed", 3, "--source", "disjoint", "--detach")
    assert ended.code == 0, ended.err
    assert "0 of 10,000 done" in ended.out
    plan = client.calibration(monitor).calibration.plan
    assert (plan.seed, plan.chunks, plan.events, plan.statistics) == (3, 2, 10.0, ("t_score",))
    nplmon("calibrate", monitor, *SMALL, "--statistics", "t_score,t_agg", "--detach")
    assert client.calibration(monitor).calibration.plan.statistics == ("t_score", "t_agg")


def test_ctrl_c_leaves_it_running_and_says_so(
    nplmon: Nplmon, client: Client, service: Service, monitor: str, then: Callable[..., None]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    then(lambda: run_toys(service, monitor, 2), interrupt)
    ended = nplmon("calibrate", monitor, *SMALL)
    assert (ended.code, ended.out) == (130, "")
    assert f"the calibration of {monitor} goes on: 5,001 of 10,000 toys are done" in ended.err
    assert f"`nplmon calibrate {monitor}`" in ended.err
    assert client.calibration(monitor).calibration.state == "running"


def test_one_that_failed_is_told_and_goes_on(
    nplmon: Nplmon, service: Service, monitor: str, then: Callable[..., None]
) -> None:
    then(
        lambda: run_toys(service, monitor, 2), lambda: run_toys(service, monitor, error="ValueError: no day")
    )
    ended = nplmon("calibrate", monitor, *SMALL)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert "failed: toys 5002 to 10000 of 10000: ValueError: no day" in ended.err
    assert "the same command goes on" in ended.err
    then(lambda: run_toys(service, monitor, 1), lambda: reduce(service, monitor))
    assert nplmon("calibrate", monitor, *SMALL).code == 0


def test_cancelled(nplmon: Nplmon, client: Client, monitor: str, then: Callable[..., None]) -> None:
    ended = nplmon("calibrate", monitor, "--cancel")
    assert ended.code == 2
    assert "nobody asked for a calibration" in ended.err.lower()
    nplmon("calibrate", monitor, *SMALL, "--detach")
    ended = nplmon("calibrate", monitor, "--cancel")
    assert ended.code == 0
    assert "cancelled on request" in ended.out
    then(lambda: client.cancel_calibration(monitor))
    ended = nplmon("calibrate", monitor, *SMALL)
    assert ended.code == 2
    assert "is cancelled: cancelled on request" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--toys", 50, "--events", 10), "Ask for at least 10000"),
        ((), 'Give "events"'),
        (("--events", 100), "fewer chunks or fewer events"),
        (("--events", 10, "--source", "fixed-reference"), "has no pool"),
        (("--statistics", "t_x"), "statistics.0"),
        (("--cancel", "--toys", 10), "--cancel stands alone"),
        (("--source", "elsewhere"), "elsewhere"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    nplmon: Nplmon, monitor: str, arguments: tuple[object, ...], said: str
) -> None:
    ended = nplmon("calibrate", monitor, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_an_unknown_monitor_is_told(nplmon: Nplmon) -> None:
    assert "nowhere" in nplmon("calibrate", "nowhere", "--toys", 10_000).err


def a_status(done: int, batches: int = 11, trainers: int = 1, state: Any = "running") -> CalibrationStatus:
    plan = CalibrationPlan(source="disjoint", toys=1_000, chunks=5, events=50.0, pool_events=500)
    one = ToyCalibration(
        monitor="m",
        state=state,
        monitor_epoch=1,
        key="k",
        reference_hash="r",
        mode="shape",
        plan=plan,
        toys_needed=100,
        toys_done=done,
        run_length=10.0,
        warning_run_length=5.0,
        batches=batches,
        batches_done=0,
        generation=1,
        asked_at=0.0,
    )
    return CalibrationStatus(calibration=one, trainers=trainers)


def test_on_a_terminal_a_bar_shows_toys_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=120, get_time=lambda: clock[0])
    progress = ToyProgress(a_status(0), console)
    monkeypatch.setattr(progress._progress, "get_time", lambda: clock[0])
    with progress:
        for done in (100, 100, 200, 300):
            clock[0] += 5.0
            progress.show(a_status(done))
        progress._progress.refresh()
    shown = file.getvalue()
    assert "300/1000" in shown
    assert "toys/s" in shown
    assert "0:00:" in shown
    assert "timing the first toy" not in shown


def test_elsewhere_a_line_is_printed_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    file = io.StringIO()
    with ToyProgress(a_status(0), Console(file=file, force_terminal=False, width=40)) as progress:
        for seconds, status in ((5, a_status(1)), (6, a_status(250)), (7, a_status(260))):
            clock[0] += seconds
            progress.show(status)
        clock[0] += 60
        progress.trouble("no connection; trying again")
    assert file.getvalue().splitlines() == ["toys: 250 of 1,000 toys", "no connection; trying again"]
