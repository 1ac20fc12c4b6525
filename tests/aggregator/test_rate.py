"""The rate test in the ledger: its numbers, its own alarm, and what it says where it knows nothing."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from tests.aggregator.samples import EVENTS, a_fit, a_ledger, a_monitor, a_receipt, payloads

from nplmon.aggregator.ledger import Ledger
from nplmon.aggregator.page import Page
from nplmon.aggregator.rate import Rate
from nplmon.aggregator.state import SavedState
from nplmon.broker.encoding import from_json, to_json
from nplmon.broker.messages import Control, Fit, Monitor, Snapshot
from nplmon.nplm.errors import StateError
from nplmon.nplm.rate import Counted, combined_log_p

RATE = float(EVENTS)
KNOWN = a_monitor(rate=RATE)
CONTROL = a_monitor(control=Control(events=800, exposure=10.0))


def with_exposure(sequence: int, exposure: float | None = 1.0) -> Fit:
    """Fit a chunk that brought this exposure."""
    return msgspec.structs.replace(a_fit(sequence), receipt=a_receipt(sequence, exposure=exposure))


def apply(ledger: Ledger, *fits: Fit) -> Page:
    return ledger.apply(list(fits), payloads(fit.receipt.sequence for fit in fits), 5.0)


@pytest.mark.parametrize("monitor", [KNOWN, CONTROL], ids=["known rate", "control"])
def test_the_sum_of_a_run_is_tested(monitor: Monitor) -> None:
    rate = apply(a_ledger(monitor), with_exposure(1, 1.1), with_exposure(2, 1.2)).snapshot.rate
    counted = Counted(2 * EVENTS, 1.1 + 1.2)
    wanted = counted.against_rate(RATE) if monitor is KNOWN else counted.against_control(Counted(800, 10.0))
    assert rate is not None
    assert (rate.state, rate.observed, rate.note) == ("exact", 2 * EVENTS, "")
    assert rate.expected == pytest.approx(RATE * 2.3)
    assert rate.p == pytest.approx(np.exp(wanted.log_p))
    assert rate.z == wanted.z < 0
    assert rate.p_threshold < rate.p_warning_threshold < 1


def test_shape_and_rate_are_combined_by_the_smaller_p() -> None:
    snapshot = apply(a_ledger(KNOWN), with_exposure(1, 1.5)).snapshot
    rate, shape = snapshot.rate, snapshot.statistics["t_score"]
    assert rate is not None
    assert rate.combined_p == pytest.approx(np.exp(combined_log_p(np.log(shape.p), np.log(rate.p))))
    assert rate.p < rate.combined_p <= 2 * rate.p


def test_a_lost_trigger_raises_the_alarm_of_the_rate_alone() -> None:
    """Half of the events are missing from the third chunk on: the shape is quiet, and the alarm says what fired."""
    ledger = a_ledger(KNOWN)
    pages = [apply(ledger, with_exposure(i, 1.0 if i < 3 else 2.0)) for i in range(1, 9)]
    alarms = [page.snapshot for page in pages]
    levels = [snapshot.alarm.level for snapshot in alarms]
    assert levels[:2] == ["ok", "ok"]
    last = alarms[-1]
    assert last.rate is not None
    assert (last.alarm.level, last.alarm.kind, last.alarm) == ("alarm", "rate", last.rate.alarm)
    assert last.alarm.sequence == levels.index("alarm") + 1
    assert "rate: " in last.alarm.rule
    assert "one false alarm of the rate in 2000 chunks" in last.alarm.rule
    shape = last.statistics["t_score"]
    assert shape.value < shape.threshold
    # It is the run's alarm as well: the journal has it once.
    told = [entry for page in pages for entry in page.journal if entry.kind == "alarm"]
    assert [(one.run, one.sequence, one.text) for one in told] == [
        ("a", last.alarm.sequence, last.alarm.rule)
    ]
    # Latched: a full chunk does not take it back.
    assert apply(ledger, with_exposure(9, 0.1)).snapshot.alarm == last.alarm


def test_a_chunk_without_exposure_leaves_the_rate_unknown() -> None:
    """A number from the other chunks alone would look valid, and be of another run."""
    ledger = a_ledger(KNOWN)
    apply(ledger, with_exposure(1))
    page = apply(ledger, with_exposure(2, None))
    rate = page.snapshot.rate
    assert rate is not None
    assert (rate.state, rate.p, rate.z, rate.combined_p, rate.expected) == ("unknown", None, None, None, None)
    assert "chunk number 2 (c2) brought no exposure" in rate.note
    assert apply(ledger, with_exposure(3)).snapshot.rate == rate
    other = a_ledger(KNOWN)
    saved = SavedState.from_bytes(page.state)
    other.restore(saved, payloads(saved.kept))
    assert apply(other, with_exposure(3)).snapshot.rate == rate


@pytest.mark.parametrize(
    "monitor", [a_monitor(), a_monitor(mode="rate", rate=RATE)], ids=["none", "mode rate"]
)
def test_it_is_there_only_where_it_is_asked_for(monitor: Monitor) -> None:
    page = apply(a_ledger(monitor), with_exposure(1))
    assert page.snapshot.rate is None
    assert "rate" not in SavedState.from_bytes(page.state).parts


@pytest.mark.parametrize("cut", [1, 3])
def test_a_restart_changes_nothing(cut: int) -> None:
    fits = [with_exposure(i, 1.0 + 0.2 * i) for i in range(1, 6)]
    one = a_ledger(CONTROL)
    saved = SavedState.from_bytes(apply(one, *fits[:cut]).state)
    other = a_ledger(CONTROL)
    other.restore(saved, payloads(saved.kept))
    for fit in fits[cut:]:
        assert apply(one, fit) == apply(other, fit)
    snapshot = apply(one, with_exposure(6)).snapshot
    assert from_json(to_json(snapshot), Snapshot) == snapshot


def test_bytes_of_something_else_are_refused() -> None:
    with pytest.raises(StateError, match="are no state of a rate"):
        Rate(KNOWN).restore(b"\x00")


@pytest.mark.slow
def test_p_is_uniform_without_a_difference() -> None:
    """2,000 runs of five Poisson chunks of 80: shares below 0.05 and 0.5 inside binomial 99.9 % intervals, from above.

    Counts are discrete: p <= a happens with a probability of at most a, and at 400 expected events at least 0.9 a.
    """
    rng = np.random.default_rng(91)
    for monitor in (KNOWN, CONTROL):
        found = []
        for _ in range(2_000):
            part = Rate(monitor)
            if monitor is CONTROL:
                events = int(rng.poisson(800))
                part = Rate(a_monitor(control=Control(events=events, exposure=10.0)))
            total = Counted(int(rng.poisson(5 * RATE)), 5.0)
            part._events, part._exposure = total.events, total.exposure
            found.append(np.exp(part._tested().log_p))
        for level in (0.05, 0.5):
            share, error = np.mean(np.array(found) <= level), (level * (1 - level) / 2_000) ** 0.5
            assert 0.9 * level - 3.3 * error < share < level + 3.3 * error
