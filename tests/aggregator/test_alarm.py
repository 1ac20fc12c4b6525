"""When an alarm fires, what it says, and that it stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nplmon.aggregator.alarm import next_alarm, spent
from nplmon.broker.messages import Alarm, AlarmPolicy, Statistic

POLICY = AlarmPolicy(false_alarm_probability=0.01, warning_probability=0.1)


def a_statistic(value: float | None, sequence: int = 4) -> Statistic:
    return Statistic(
        kind="t_agg",
        value=value,
        state="invalid" if value is None else "closed form",
        p=None if value is None else 1e-5,
        threshold=20.0,
        warning_threshold=10.0,
        sequence=sequence,
    )


def after(present: Alarm, value: float | None, number: int = 3) -> Alarm:
    return next_alarm(present, a_statistic(value), POLICY, number=number, chunk="c4", at=9.0)


@given(alpha=st.floats(1e-6, 0.5), chunks=st.integers(1, 500))
def test_what_is_spent_sums_to_less_than_alpha_and_tends_to_it(alpha: float, chunks: int) -> None:
    """sum_{n <= N} alpha / (n (n + 1)) = alpha (1 - 1 / (N + 1)), a telescoping sum."""
    total = sum(spent(alpha, n) for n in range(1, chunks + 1))
    assert total == pytest.approx(alpha * (1 - 1 / (chunks + 1)))
    assert total < alpha


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
        rule="t_agg = 21 >= 20 at chunk 3: p = 1e-05 <= 0.01 / (3 x 4)",
    )
    assert after(Alarm(), 11.0).rule == "t_agg = 11 >= 10 at chunk 3: p = 1e-05 <= 0.1 / (3 x 4)"


@pytest.mark.parametrize("value", [None, 0.0, 11.0, 30.0])
def test_it_latches(value: float | None) -> None:
    fired = after(Alarm(), 21.0)
    assert after(fired, value, number=4) is fired


def test_a_warning_stays_until_it_is_an_alarm() -> None:
    warned = after(Alarm(), 11.0)
    assert after(warned, 0.0) is warned
    assert after(warned, 12.0) is warned
    assert after(warned, 25.0).level == "alarm"


def test_nothing_invalid_fires() -> None:
    assert after(Alarm(), None) == Alarm()
