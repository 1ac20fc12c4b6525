"""A run is judged by toys where they hold, by the closed form elsewhere, and says why."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from tests.aggregator.samples import EVENTS, a_fit, a_ledger, a_monitor, calibration, payloads
from tests.aggregator.toys import trajectories

from nplmon.aggregator.judge import Judge
from nplmon.aggregator.ledger import Ledger
from nplmon.aggregator.state import SavedState
from nplmon.broker.messages import AlarmPolicy
from nplmon.nplm.calibration import Calibration

POLICY = AlarmPolicy(expected_run_length=20, warning_run_length=5)


def by_toys(power: float = 1.0) -> Calibration:
    """Give a calibration by 200 toys whose p is uniform, or of another power."""
    return Calibration.from_trajectories(
        [trajectories(0, 200, power)], run_length=20, warning_run_length=5, key="k1"
    )


def a_judge(**changes: object) -> Judge:
    members = {"closed": calibration("shape", (20.0, 5.0)), "toys": by_toys(), "events": float(EVENTS)}
    return Judge(**(members | changes))  # type: ignore[arg-type]


def judged(judge: Judge) -> Ledger:
    ledger = a_ledger(a_monitor(alarm=POLICY))
    ledger.judge = judge
    return ledger


def test_within_their_range_toys_judge() -> None:
    snapshot = judged(a_judge()).apply([a_fit(1)], payloads([1]), 1.0).snapshot
    one = snapshot.statistics["t_score"]
    assert (one.state, one.p_resolution) == ("calibrated", pytest.approx(1 / 201))
    assert one.p is not None
    assert one.p * 201 == pytest.approx(round(one.p * 201))
    used = snapshot.calibration
    assert used is not None
    assert (used.source, used.toys, used.key, used.note) == ("toys", 200, "k1", "")
    assert used.p_resolution == pytest.approx(1 / 201)
    assert (used.run_length, used.warning_run_length) == (20, 5)
    # Toys that were not replayed for a statistic do not judge it.
    assert snapshot.statistics["t_ref"].state == "closed form"


def test_below_their_resolution_the_closed_form_goes_on() -> None:
    ruling = a_judge().rule("t_score", 1, float(EVENTS))
    assert ruling.p(-20.0).source == "closed form"
    assert ruling.p(-20.0).log_p == -20.0
    assert ruling.p(-1.0).source == "toys"


@pytest.mark.parametrize(
    ("chunks", "size", "why"),
    [
        (1, EVENTS * 1.26, "chunks have 100.8 expected events on average, the toys' 80"),
        (1, EVENTS * 0.74, "chunks have 59.2"),
        (10**6, float(EVENTS), "the toys end at chunk"),
    ],
)
def test_out_of_their_range_the_closed_form_judges_and_says_why(chunks: int, size: float, why: str) -> None:
    judge = a_judge()
    ruling = judge.rule("t_score", chunks, size)
    assert ruling.calibration is judge.closed
    assert ruling.note.startswith("closed form: ")
    assert why in ruling.note
    used = judge.used(chunks, size)
    assert (used.source, used.note) == ("closed form", ruling.note)
    assert judge.rule("t_score", 1, EVENTS * 1.24).calibration is judge.toys


def test_without_toys_it_says_why_it_is_uncalibrated() -> None:
    judge = a_judge(toys=None, events=0.0, reason="the calibration by toys is failed: no memory")
    snapshot = judged(judge).apply([a_fit(1)], payloads([1]), 1.0).snapshot
    assert snapshot.calibration is not None
    note = "uncalibrated: the calibration by toys is failed: no memory; closed form"
    assert (snapshot.calibration.source, snapshot.calibration.note) == ("closed form", note)
    assert note in snapshot.statistics["t_score"].note
    assert a_judge(toys=None).used(1, float(EVENTS)).note == ""


def test_a_disagreement_is_told_with_its_size() -> None:
    """Toys whose p is the square of a uniform number are far from the closed form."""
    found = a_judge(toys=by_toys(2.0)).used(1, float(EVENTS))
    assert "t_score" in found.disagreement
    assert a_judge().used(1, float(EVENTS)).disagreement == ""


def test_the_alarm_names_the_toys() -> None:
    ledger = judged(a_judge())
    for i in range(1, 4):
        events = (payloads([i])[i], 1.6)
        data = (np.frombuffer(events[0], "<f4").reshape(-1, 2) * events[1]).astype(np.float32)
        page = ledger.apply([a_fit(i, data)], {i: data.tobytes()}, 1.0)
    assert page.snapshot.alarm.level == "alarm"
    assert page.snapshot.alarm.rule.endswith("a false alarm every 20 chunks (200 toys)")


def test_a_run_keeps_what_it_began_with() -> None:
    """Its state names the toys: a restored run asks for them, one without does not take those made meanwhile."""
    ledger = judged(a_judge())
    saved = SavedState.from_bytes(ledger.apply([a_fit(1)], payloads([1]), 1.0).state)
    assert saved.toys == "k1"
    other = judged(a_judge())
    other.restore(saved, payloads([1]))
    assert other.began_with == "k1"
    one, again = (
        x.apply([a_fit(2)], payloads([2]), 1.0).snapshot.statistics["t_score"] for x in (ledger, other)
    )
    assert one == again
    without = a_ledger(a_monitor(alarm=POLICY))
    saved = SavedState.from_bytes(without.apply([a_fit(1)], payloads([1]), 1.0).state)
    other.restore(msgspec.structs.replace(saved), payloads([1]))
    assert other.began_with == ""
    assert math.isclose(saved.first_expected, EVENTS)
