"""Where a p-value is from, and how fine it can be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nplmon.nplm import statistic
from nplmon.nplm.null import ChiSquareSum
from nplmon.offline.verdict import judge

NULL = ChiSquareSum(np.ones(1), np.full(1, 10.0))


def seen(value: float, excess: float = 0.0) -> statistic.TestStatistic:
    return statistic.TestStatistic(value=value, null=NULL, chunks=1, excess=excess)


def draws(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).chisquare(10, size=count)


def test_toys_decide_where_they_resolve_the_value() -> None:
    toys = draws(999)
    one = judge("t_full", 20.0, seen(20.0), toys)
    exceeding = int((toys >= 20.0).sum())
    assert (one.state, one.p) == ("toys", (1 + exceeding) / 1000)
    assert one.toys is not None
    assert one.toys.resolution == 1e-3
    assert one.toys.p_error == pytest.approx(math.sqrt(one.p * (1 - one.p) / 999))
    assert one.closed_form is not None
    assert one.closed_form.p == pytest.approx(NULL.tail(20.0))
    assert one.toys.closed_form_p is not None
    assert one.toys.closed_form_p > 0.001


def test_the_closed_form_takes_over_below_the_resolution_and_says_so() -> None:
    one = judge("t_full", 60.0, seen(60.0), draws(99))
    assert (one.state, one.p) == ("closed form", pytest.approx(NULL.tail(60.0)))
    assert "none of 99 toys reaches the value" in one.note
    bound = judge("t_full", 60.0, None, draws(99), reason="another family")
    assert (bound.state, bound.p) == ("toys", 0.01)
    assert "at most the resolution" in bound.note


def test_toys_of_another_law_do_not_agree_with_the_closed_form() -> None:
    one = judge("t_full", 20.0, seen(20.0), draws(300) + 3)
    assert one.toys is not None
    assert one.toys.closed_form_p is not None
    assert one.toys.closed_form_p < 1e-6
    # With the shift as the known excess they do.
    shifted = judge("t_agg", 20.0, seen(20.0, excess=3.0), draws(300) + 3)
    assert shifted.toys is not None
    assert shifted.toys.closed_form_p is not None
    assert shifted.toys.closed_form_p > 0.001
    assert shifted.closed_form is not None
    assert shifted.closed_form.p == pytest.approx(NULL.tail(17.0))
    assert shifted.closed_form.mean == pytest.approx(13.0)


def test_without_a_null_there_is_no_p() -> None:
    one = judge("t_full", 20.0, None, reason="too small")
    assert (one.state, one.p, one.z, one.note) == ("uncalibrated", None, None, "too small")
    overflow = judge("t_full", float("inf"), None)
    assert (overflow.state, overflow.p) == ("invalid", None)


def test_the_smallest_p_is_a_number_and_z_goes_on() -> None:
    one = judge("t_full", 5_000.0, seen(5_000.0))
    assert one.p == math.exp(-700)
    assert one.z is not None
    assert one.z > 60
