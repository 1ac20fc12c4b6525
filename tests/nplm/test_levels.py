"""Alarm levels in closed form: their run length on toys and events that were drawn in other ways."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import interpolate, stats
from tests.nplm.test_run_length import first_crossings

from nplmon.nplm import level_process as module
from nplmon.nplm.basis import Basis
from nplmon.nplm.level_process import ScoreProcess, SumProcess, cross_moments
from nplmon.nplm.levels import LENGTH, LONGEST, closed_form_levels
from nplmon.nplm.null import Mode, Nulls
from nplmon.nplm.preparation import prepare
from nplmon.nplm.trajectory import null_trajectories


@cache
def exponential(sigma: float = 0.7, lambda_: float = 1e-5) -> Basis:
    events = np.random.default_rng(1).exponential(size=(20_000, 1))
    return prepare(events, centres=60, sigma=sigma, lambda_=lambda_)


@cache
def many_components() -> Basis:
    """Give a basis of which most components are drawn as one sum: 8 times as many as are drawn one by one."""
    basis = prepare(np.random.default_rng(2).normal(size=(5_000, 4)), centres=300, sigma=2.0, lambda_=1e-5)
    assert basis.size > 8 * module.LEADING
    return basis


def log_p(basis: Basis, mode: Mode, size: float, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give log p of t_score after each of equal chunks, (toys, chunks): all nulls are one, scaled by the exposure."""
    null = Nulls(basis=basis, mode=mode).chunk(size)
    nodes = np.linspace(null.mean / 20, null.mean + 12 * null.deviation, 80)
    table = interpolate.PchipInterpolator(nodes, [null.log_tail(x) for x in nodes])
    exposure = 1 + size * np.arange(1, t.shape[1] + 1) / basis.effective_events
    return np.asarray(table(np.clip(t * (exposure[0] / exposure), nodes[0], nodes[-1])))


@pytest.mark.parametrize(
    ("make", "mode", "size"),
    [(exponential, "shape", 300.0), (exponential, "rate", 200.0), (many_components, "shape", 2_000.0)],
)
def test_the_hazard_of_toys_drawn_in_full(make: Callable[[], Basis], mode: Mode, size: float):
    """Toys of every component cross at 1/ERT per chunk: early, up to ERT, and up to 3 ERT.

    The interval is the central 99.9 % of the binomial number of crossings of 2,000 toys, and 10 % more for the levels'
    own toys. At half of the run length twice as many would cross.
    """
    basis = make()
    levels = closed_form_levels(ScoreProcess.of([basis], mode, size), warning=15, alarm=40)
    toys = null_trajectories(basis, mode, [size] * 120, 2_000, np.random.default_rng(3))
    found = log_p(basis, mode, size, toys)
    for level, edges in ((levels.alarm, (0, 8, 40, 120)), (levels.warning, (0, 8, 40))):
        first = first_crossings(-found, -np.array([level.at(n) for n in range(1, 121)]))
        for low, high in pairwise(edges):
            here = np.count_nonzero((first > low) & (first <= high))
            at_risk = np.count_nonzero((first == 0) | (first > low))
            share = 1 - (1 - 1 / level.run_length) ** (high - low)
            few, many = stats.binom.interval(0.999, at_risk, share)
            assert few - 0.1 * at_risk * share <= here <= many + 0.1 * at_risk * share, (low, high)


def test_the_first_threshold_is_the_hazard_and_p_rises():
    """At the first chunk p = 1/ERT: 50 toys cross there, so that its logarithm is known to 4 / sqrt(50)."""
    levels = closed_form_levels(ScoreProcess.of([exponential()], "shape", 300.0), warning=50, alarm=500)
    for one in (levels.warning, levels.alarm):
        assert one.at(1) == pytest.approx(-np.log(one.run_length), abs=4 / 50**0.5)
        assert one.at(int(one.run_length)) > one.at(10) + 1 > one.at(1) + 1
        assert one.length == 6 * one.run_length
        assert one.at(10**6) == one.beyond
        assert (one.lower <= one.log_p).all()
        assert (one.log_p <= one.upper).all()
        assert (one.upper <= 0).all()
    assert all(levels.warning.at(n) > levels.alarm.at(n) for n in range(1, 150))


def test_the_same_width_twice_is_one_width():
    """Two equal p-values have one as their smallest: the levels of each chunk agree within the toys' noise.

    Levels of a window are known to a seventh; the mean over some twenty windows to 0.05.
    """
    basis, events = exponential(), np.random.default_rng(1).exponential(size=(20_000, 1))
    psi = basis.features(events)
    moments = cross_moments([psi, psi], np.ones(len(events)))
    twice = ScoreProcess.of([basis, basis], "shape", 300.0, moments)
    one = closed_form_levels(ScoreProcess.of([basis], "shape", 300.0), warning=30, alarm=300).alarm
    both = closed_form_levels(twice, warning=30, alarm=300).alarm
    late = np.unique(np.geomspace(5, 900, 40).astype(int)) - 1
    assert (both.log_p - one.log_p)[late].mean() == pytest.approx(0.0, abs=0.1)


@pytest.mark.slow
def test_the_run_length_of_real_events_with_two_widths():
    """ERT 40, the smallest p of a narrow and a wide kernel, 400 streams on 40 references of EXPO-1D.

    t_score is a function of sums over events, so that no fit is needed. A geometric run length of mean 40 gives a mean
    over 400 streams of 40 +- 2, the levels' own toys another 3 %, and ten streams share each reference: 33 to 47.
    With the levels of one width for the smallest of two p-values it is near 28.
    """
    size, references, each, longest = 100, 40, 10, 200
    rng = np.random.default_rng(5)
    thresholds = None
    lengths = []
    for _ in range(references):
        events = rng.exponential(size=(10_000, 1))
        bases = [prepare(events, centres=40, sigma=sigma, lambda_=3e-4) for sigma in (0.3, 2.0)]
        if thresholds is None:
            moments = cross_moments([b.features(events) for b in bases], np.ones(len(events)))
            process = ScoreProcess.of(bases, "shape", float(size), moments)
            thresholds = closed_form_levels(process, warning=10, alarm=40).alarm
            allowed = np.array([thresholds.at(n) for n in range(1, longest + 1)])
        reached = np.zeros((each, longest), dtype=bool)
        data = rng.exponential(size=(each * longest * size, 1))
        for basis in bases:
            psi = basis.features(data).reshape(each, longest, size, -1).sum(axis=2, dtype=np.float64)
            scores = np.cumsum(psi - size * basis.mean_feature, axis=1)
            h = size * basis.second_moment / (size * basis.second_moment + basis.penalty(size))
            t = scores**2 @ ((2 * h - h**2) / basis.second_moment) / (size * np.arange(1, longest + 1))
            reached |= log_p(basis, "shape", float(size), t) <= allowed
        lengths += np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, longest).tolist()
    assert 33 <= np.mean(lengths) <= 47


def test_a_sum_of_small_terms_keeps_its_first_three_cumulants():
    """A thousand draws of the rest of 50 equal components: mean, deviation and skewness of their chi-square.

    Four standard errors of each: deviation / sqrt(n), 1 / sqrt(2 n) of the deviation, sqrt(6 / n) of the skewness, with
    n = 100,000. Rests of one component, or of none, stay finite.
    """
    offset, scale, degrees = module._chi_square(50 * 0.8, (100 * 0.8**2) ** 0.5, 400 * 0.8**3)
    assert (offset, scale, degrees) == pytest.approx((0.0, 0.8, 50.0))
    form = module.Form(
        None, np.zeros(1, np.float32), (offset, scale, degrees), np.arange(500.0), np.arange(500.0)
    )
    y = np.random.default_rng(6).standard_normal(100_000).astype(np.float32)
    found = form.at(np.zeros((y.size, 1), np.float32), y)  # the table is the identity
    assert found.mean() == pytest.approx(40, abs=4 * 8 / y.size**0.5)
    assert found.std() == pytest.approx(8, rel=4 / (2 * y.size) ** 0.5)
    assert stats.skew(found) == pytest.approx((8 / 50) ** 0.5, abs=4 * (6 / y.size) ** 0.5)
    assert module._chi_square(0.01, 0.02, 1.0)[2] == module.FEWEST
    assert module._chi_square(0.5, 0.0, 0.0) == (0.5, 0.0, 1.0)


def test_the_sum_of_independent_chunks():
    """Standardised sums of normal numbers cross 1/30 per chunk over 90 chunks, within the binomial 99.9 % and 10 %."""
    levels = closed_form_levels(SumProcess(), warning=10, alarm=30).alarm
    sums = np.random.default_rng(4).standard_normal((4_000, 90)).cumsum(axis=1) / np.arange(1, 91) ** 0.5
    first = first_crossings(sums, stats.norm.isf(np.exp([levels.at(n) for n in range(1, 91)])))
    share = 1 - (1 - 1 / 30) ** 90
    few, many = stats.binom.interval(0.999, 4_000, share)
    assert few - 0.1 * 4_000 * (1 - share) <= np.count_nonzero(first) <= many + 0.1 * 4_000 * (1 - share)
    early = np.count_nonzero((first > 0) & (first <= 5))
    few, many = stats.binom.interval(0.999, 4_000, 1 - (1 - 1 / 30) ** 5)
    assert 0.9 * few <= early <= 1.1 * many


def test_the_same_seed_gives_the_same_and_long_run_lengths_end():
    process = ScoreProcess.of([exponential()], "shape", 300.0)
    one, again = (closed_form_levels(process, warning=5, alarm=20) for _ in range(2))
    assert np.array_equal(one.alarm.log_p, again.alarm.log_p)
    other = closed_form_levels(process, warning=5, alarm=20, seed=1)
    assert not np.array_equal(one.alarm.log_p, other.alarm.log_p)
    assert LENGTH * 10_000 > LONGEST
    long = closed_form_levels(SumProcess(), warning=5, alarm=10_000).alarm
    assert long.length == LONGEST
    assert long.at(LONGEST + 1) == long.beyond


def test_what_gives_no_levels_is_refused():
    process = SumProcess()
    for warning, alarm in ((1.5, 10), (20, 10), (float("nan"), 10), (2, float("inf"))):
        with pytest.raises(ValueError, match="give at least 2, and the alarm the longer"):
            closed_form_levels(process, warning=warning, alarm=alarm)
    with pytest.raises(ValueError, match="no eigenbasis"):
        ScoreProcess.of([], "shape", 10.0)
    with pytest.raises(ValueError, match="give a positive count"):
        ScoreProcess.of([exponential()], "shape", 0.0)
    with pytest.raises(ValueError, match="2 widths without the moments"):
        ScoreProcess.of([exponential(), exponential()], "shape", 10.0)
