"""When an alarm fires, what it says, and that it stays."""

from __future__ import annotations

import pytest
from tests.aggregator.samples import calibration

from nplmon.aggregator.alarm import next_alarm
from nplmon.aggregator.judge import Ruling
from nplmon.broker.messages import Alarm, Statistic


def a_statistic(value: float | None, sequence: int = 4) -> Statistic:
    return Statistic(
        kind="t_agg",
        value=value,
        state="invalid" if value is None else "closed form",
        p=None if value is None else 1e-5,
        threshold=None if value is None else 20.0,
        warning_threshold=None if value is None else 10.0,
        sequence=sequence,
    )


def after(present: Alarm, value: float | None, number: int = 3) -> Alarm:
    ruling = Ruling(calibration=calibration(), kind="t_chunk", chunks=3, source="10,000 toys", note="")
    return next_alarm(present, a_statistic(value), ruling, (1000, 100), number=number, chunk="c4", at=9.0)


def test_it_rises_at_the_thresholds_and_not_below() -> None:
    assert after(Alarm(), 9.99) == Alarm()
    assert after(Alarm(), 10.0).level == "warning"
    assert after(Alarm(), 19.99).level == "warning"
    assert after(Alarm(), 20.0).level == "alarm"


def test_it_says_which_rule_fired() -> None:
    assert after(Alarm(), 21.0) == Alarm(
        level="alarm",
        kind="t_agg",
        chunk="c4",
        sequence=4,
        since=9.0,
        rule="t_agg = 21 >= 20 at chunk 3: p = 1e-05 <= 0.001, a false alarm every 1000 chunks (10,000 toys)",
    )
    assert after(Alarm(), 11.0).rule == (
        "t_agg = 11 >= 10 at chunk 3: p = 1e-05 <= 0.01, a false warning every 100 chunks (10,000 toys)"
    )


@pytest.mark.parametrize("value", [None, 0.0, 11.0, 30.0])
def test_it_latches(value: float | None) -> None:
    fired = after(Alarm(), 21.0)
    assert after(fired, value, number=4) is fired


def test_a_warning_stays_until_it_is_an_alarm() -> None:
    warned = after(Alarm(), 11.0)
    assert after(warned, 0.0) is warned
    assert after(warned, 12.0) is warned
    assert after(warned, 25.0).level == "alarm"


def test_an_e_detector_has_its_run_length_for_a_threshold() -> None:
    """S and M are no p-values: the rule names none."""
    value, line = 7.0, 6.9
    one = Statistic(
        kind="log_sr", value=value, state="exact", threshold=line, warning_threshold=4.6, sequence=4
    )
    fired = next_alarm(Alarm(), one, None, (1000, 100), number=3, chunk="c4", at=9.0)
    assert (fired.level, fired.kind) == ("alarm", "log_sr")
    assert fired.rule == (
        "log_sr = 7 >= 6.9 at chunk 3: at most one false alarm in 1000 chunks (e-detector, exact)"
    )


def test_nothing_invalid_fires() -> None:
    assert after(Alarm(), None) == Alarm()
