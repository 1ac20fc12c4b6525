"""How a monitor stands, whatever its statistics say."""

from __future__ import annotations

import msgspec
import pytest
from tests.aggregator.samples import a_fit, a_ledger, a_monitor, a_run, payloads

from nplmon.aggregator.entries import risen
from nplmon.aggregator.standing import Standing, standing
from nplmon.broker.alarm_messages import Acknowledgement, Handling, JournalEntry, TestAlarm
from nplmon.broker.messages import Alarm, Run, Snapshot

RAISED = Alarm(level="alarm", kind="t_score", chunk="c3", sequence=3, since=5.0, rule="t_score = 9 >= 8")
TEST = TestAlarm(who="ada", comment="", since=1.0, until=2.0)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """Give a run whose last chunk was applied at 100."""
    return a_ledger().apply([a_fit(1)], payloads([1]), 100.0).snapshot


def stands(run: Run | None, snapshot: Snapshot | None, now: float = 101.0, **more: object) -> Standing:
    monitor = a_monitor(handling=Handling(stale_after=60.0))
    members = {"test": None, "calibration": None} | more
    return standing(monitor, run, snapshot, now=now, **members)  # type: ignore[arg-type]


def test_an_open_run_is_stale_after_its_time(snapshot: Snapshot) -> None:
    run = a_run(opened_at=90.0)
    assert not stands(run, snapshot, 159.9).stale
    assert stands(run, snapshot, 160.0).stale
    assert not stands(a_run(state="closed", opened_at=90.0), snapshot, 1e9).stale


@pytest.mark.parametrize("other", ["none", "of another run", "of before a reset"])
def test_without_a_chunk_the_time_counts_from_the_opening(snapshot: Snapshot, other: str) -> None:
    found = {
        "none": None,
        "of another run": msgspec.structs.replace(snapshot, run="b"),
        "of before a reset": msgspec.structs.replace(snapshot, run_epoch=0),
    }[other]
    run = a_run(opened_at=200.0)
    assert not stands(run, found, 259.9).stale
    assert stands(run, found, 260.0).stale


def test_without_a_run_nothing_is_open_or_stale() -> None:
    found = stands(None, None, 1e9)
    assert (found.run_open, found.opened_at, found.stale, found.uncalibrated) == (False, None, False, False)


def test_an_acknowledgement_lapses_when_the_alarm_rises(snapshot: Snapshot) -> None:
    done = Acknowledgement(level="alarm", sequence=3, who="ada", comment="", at=6.0)
    alarmed = msgspec.structs.replace(snapshot, alarm=RAISED)
    assert stands(a_run(acknowledged=done), alarmed).acknowledged
    assert not stands(a_run(), alarmed).acknowledged
    for changes in ({"level": "warning"}, {"sequence": 2}):
        earlier = msgspec.structs.replace(done, **changes)
        assert not stands(a_run(acknowledged=earlier), alarmed).acknowledged


def test_it_is_uncalibrated_where_nothing_says_when_an_alarm_is_due(snapshot: Snapshot) -> None:
    assert not stands(a_run(), snapshot).uncalibrated
    one = msgspec.structs.replace(snapshot.statistics["t_score"], state="uncalibrated", threshold=None)
    without = msgspec.structs.replace(snapshot, statistics=snapshot.statistics | {"t_score": one})
    assert stands(a_run(), without).uncalibrated
    assert not stands(a_run(state="closed"), without).uncalibrated
    gone = msgspec.structs.replace(snapshot, deciding="log_sr", statistics={})
    assert stands(a_run(), gone).uncalibrated


@pytest.mark.parametrize(
    ("state", "so"), [("failed", True), ("void", True), ("running", False), ("complete", False)]
)
def test_toys_that_cannot_be_used_leave_it_uncalibrated(snapshot: Snapshot, state: str, so: bool) -> None:
    assert stands(a_run(), snapshot, calibration=state).uncalibrated is so


def test_a_test_alarm_is_no_alarm(snapshot: Snapshot) -> None:
    found = stands(a_run(), snapshot, test=TEST)
    assert (found.test, found.acknowledged, stands(a_run(), snapshot).test) == (True, False, False)


def test_what_shape_and_rate_raise_in_one_chunk_is_told_of_both() -> None:
    rate = Alarm(level="warning", kind="rate", chunk="c3", sequence=3, since=5.0, rule="rate: too many")
    told = risen("a", [Alarm(), Alarm()], [RAISED, rate])
    assert [(entry.kind, entry.text) for entry in told] == [("alarm", RAISED.rule), ("warning", rate.rule)]


def test_what_stays_is_not_told_again() -> None:
    rate = Alarm(level="alarm", kind="rate", chunk="c4", sequence=4, since=6.0, rule="rate: too many")
    assert risen("a", [RAISED, Alarm()], [RAISED, rate]) == [
        JournalEntry(kind="alarm", run="a", level="alarm", sequence=4, chunk="c4", text="rate: too many")
    ]
    assert risen("a", [RAISED, rate], [RAISED, rate]) == []
