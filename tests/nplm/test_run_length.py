"""Run lengths: thresholds whose false alarms are a given number of chunks apart, on toys and on real events."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import interpolate, stats

from nplmon.nplm.preparation import prepare
from nplmon.nplm.run_length import PValueThresholds, alarm_levels, run_length_thresholds
from nplmon.nplm.trajectory import null_sequence, null_trajectories


def walks(seed: int, toys: int, chunks: int, components: int = 5) -> NDArray[np.float64]:
    """Chi-squares of standardised random walks: what t_score is for equal weights and an exact reference."""
    steps = np.random.default_rng(seed).standard_normal((components, toys, chunks))
    sums = np.cumsum(steps, axis=2)
    return np.asarray((sums**2).sum(axis=0) / np.arange(1, chunks + 1))


def first_crossings(trajectories: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Give the chunk of each toy's first crossing, 0 for none."""
    crossed = trajectories >= thresholds
    return np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, 0)


def test_independent_values_have_one_quantile():
    """Without memory the threshold is the 1 - 1/ERT quantile at every chunk, and the 95 % intervals cover it.

    3,459 toys cross, so that the mean probability beyond the thresholds is known to 1.7 %: within four times that. Of
    100 independent intervals no more miss the quantile than the binomial 99.9 % bound of 5 %.
    """
    toys = np.random.default_rng(1).standard_normal((4_000, 100))
    found = run_length_thresholds(toys, 50)
    truth = stats.norm.isf(1 / 50)

    assert found.length == 100
    assert stats.norm.sf(found.values).mean() == pytest.approx(1 / 50, rel=4 * 0.017)
    missed = np.count_nonzero((found.lower > truth) | (found.upper < truth))
    assert missed <= stats.binom.ppf(0.999, 100, 0.05)
    assert (found.lower <= found.values).all()
    assert (found.values <= found.upper).all()


def test_the_toys_left_fall_geometrically():
    toys = 3_000
    found = run_length_thresholds(walks(2, toys, 60), 40)

    np.testing.assert_allclose(found.left, toys * (1 - 1 / 40) ** np.arange(60), atol=0.51)


def test_toys_that_crossed_are_dropped():
    """A toy far above all others crosses once, at the first chunk, and moves no later threshold."""
    toys = walks(3, 500, 20)
    toys[:10] = 1e6
    found = run_length_thresholds(toys, 50)
    without = run_length_thresholds(toys[10:], 49)

    assert found.at(1) == 1e6
    assert found.values[1:].max() < 100
    assert found.left[1] == without.toys


@pytest.mark.parametrize("run_length", [20, 100])
def test_the_hazard_of_other_toys(run_length: int):
    """Other toys cross at 1/ERT per chunk, early, in the middle and late.

    The interval is the central 99.9 % of the binomial number of crossings, widened by as much again for the toys that
    chose the thresholds, which are as many.
    """
    chosen = run_length_thresholds(walks(4, 60 * run_length, 2 * run_length), run_length)
    first = first_crossings(walks(5, 60 * run_length, 2 * run_length), chosen.values)
    edges = [0, run_length // 4, run_length, 2 * run_length]
    for low, high in pairwise(edges):
        here = np.count_nonzero((first > low) & (first <= high))
        at_risk = np.count_nonzero((first == 0) | (first > low))
        share = 1 - (1 - 1 / run_length) ** (high - low)
        few, many = stats.binom.interval(0.999, at_risk, share)
        centre = at_risk * share
        assert centre - 1.5 * (centre - few) <= here <= centre + 1.5 * (many - centre)


def test_counts_that_coincide_are_not_crossed_too_often():
    """Of whole numbers no more cross than were asked for, and what is missing comes later."""
    toys = np.random.default_rng(6).poisson(3.0, size=(5_000, 80)).astype(np.float64)
    found = run_length_thresholds(toys, 100)
    wanted = 5_000 * (1 - 1 / 100) ** np.arange(80)

    assert (found.left >= wanted - 0.51).all()
    assert found.left[-1] == pytest.approx(wanted[-1], rel=0.02)
    crossed = first_crossings(toys, found.values)
    for n in (1, 10, 79):
        assert np.count_nonzero((crossed == 0) | (crossed > n)) == found.left[n]


def test_toys_that_are_all_the_same_never_cross():
    found = run_length_thresholds(np.zeros((100, 3)), 10)

    assert (found.left == 100).all()
    assert (found.values > 0).all()


def test_thresholds_end_where_too_few_toys_are_left():
    """10 ERT toys fall below ERT after ERT log 10 chunks; beyond, the threshold is said to be undefined."""
    found = run_length_thresholds(walks(7, 400, 150), 40)

    assert found.length == pytest.approx(40 * np.log(10), abs=2)
    assert np.isfinite(found.upper[0])
    assert found.upper[-1] == np.inf  # of the last 40 toys one is expected to cross
    with pytest.raises(ValueError, match=f"after chunk {found.length + 1}: the 400 toys"):
        found.at(found.length + 1)
    with pytest.raises(ValueError, match="after chunk 0"):
        found.at(0)


@pytest.fixture(scope="module")
def p_thresholds() -> PValueThresholds:
    """ERT 60 from toys of 60 chunks, on p."""
    basis = prepare(
        np.random.default_rng(1).exponential(size=(20_000, 1)), centres=50, sigma=1.0, lambda_=1e-3
    )
    run = [200.0] * 60
    toys = null_trajectories(basis, "shape", run, 6_000, np.random.default_rng(8))
    return run_length_thresholds(toys, 60).in_p(null_sequence(basis, "shape", run))


def test_p_starts_at_the_hazard_and_rises(p_thresholds: PValueThresholds):
    """1/60 at the first chunk, within the interval; several times that at the sixtieth: see the module."""
    assert p_thresholds.lower[0] <= np.log(1 / 60) <= p_thresholds.upper[0]
    assert p_thresholds.at(60) > p_thresholds.at(20) > p_thresholds.at(1) + np.log(2)
    assert (p_thresholds.lower <= p_thresholds.log_p).all()
    assert (p_thresholds.log_p <= p_thresholds.upper).all()


def test_beyond_the_toys_p_is_kept_and_false_alarms_are_rarer(p_thresholds: PValueThresholds):
    """From chunk 61 to 400 the hazard is below 1/60, and falls: it is lower in the second half than in the first.

    2,000 toys, of which some 700 reach chunk 61; the differences are many standard errors.
    """
    assert p_thresholds.at(61) == p_thresholds.at(10**6) == p_thresholds.beyond
    assert p_thresholds.beyond == pytest.approx(p_thresholds.at(60), abs=0.4)

    null = stats.chi2(5)
    t = np.array([null.isf(np.exp(p_thresholds.at(n))) for n in range(1, 401)])
    first = first_crossings(walks(9, 2_000, 400), t)
    hazards = []
    for low, high in ((60, 160), (160, 400)):
        chunks = np.where((first == 0) | (first > high), high, first)[(first == 0) | (first > low)] - low
        hazards.append(np.count_nonzero((first > low) & (first <= high)) / chunks.sum())
    assert hazards[1] < hazards[0] < 1 / 60


def test_thresholds_on_p_hold_for_chunks_of_other_sizes(p_thresholds: PValueThresholds):
    """Sizes within a factor of 2 of the toys' either way: the run length is 60 to 15 %, over 60 chunks and 2,000 toys.

    About 1,270 of them alarm, which gives it to 3 %.
    """
    basis = prepare(
        np.random.default_rng(1).exponential(size=(20_000, 1)), centres=50, sigma=1.0, lambda_=1e-3
    )
    rng = np.random.default_rng(11)
    run = (200 * 2 ** rng.uniform(-1, 1, size=60)).tolist()
    toys = null_trajectories(basis, "shape", run, 2_000, rng)
    nulls = null_sequence(basis, "shape", run)
    limits = np.array([null.quantile(float(np.exp(p_thresholds.at(n)))) for n, null in enumerate(nulls, 1)])
    first = first_crossings(toys, limits)

    assert np.where(first, first, 60).sum() / np.count_nonzero(first) == pytest.approx(60, rel=0.15)


def test_two_levels_from_the_same_toys():
    basis = prepare(
        np.random.default_rng(1).exponential(size=(20_000, 1)), centres=50, sigma=1.0, lambda_=1e-3
    )
    run = [200.0] * 30
    toys = null_trajectories(basis, "rate", run, 4_000, np.random.default_rng(10))
    nulls = null_sequence(basis, "rate", run)
    levels = alarm_levels(toys, nulls, warning=40, alarm=400)

    assert (levels.warning.run_length, levels.alarm.run_length) == (40, 400)
    assert all(levels.warning.at(n) > levels.alarm.at(n) for n in range(1, 31))
    with pytest.raises(ValueError, match=r"400 \(warning\) and 40 \(alarm\)"):
        alarm_levels(toys, nulls, warning=400, alarm=40)
    with pytest.raises(ValueError, match="29 nulls for 30 thresholds"):
        alarm_levels(toys, nulls[:-1], warning=40, alarm=400)


@pytest.mark.parametrize(
    ("toys", "run_length", "message"),
    [
        (np.ones((1_999, 3)), 200, "1999 toys .* 200 chunks: give at least 2000"),
        (np.ones((100, 3)), 1.5, "run length of 1.5"),
        (np.ones((100, 3)), float("nan"), "run length of nan"),
        (np.ones((100, 0)), 5, r"shape \(100, 0\)"),
        (np.ones(100), 5, r"shape \(100,\)"),
        (np.full((100, 2), np.nan), 5, "not finite"),
        (np.full((100, 2), np.inf), 5, "not finite"),
    ],
)
def test_what_gives_no_thresholds_is_refused(toys: NDArray[np.float64], run_length: float, message: str):
    with pytest.raises(ValueError, match=message):
        run_length_thresholds(toys, run_length)


@pytest.mark.slow
def test_false_alarms_of_real_events_are_as_far_apart_as_asked_for():
    """ERT 200: 400 streams of EXPO-1D events, each followed until it alarms.

    t_score is a function of sums over events alone, so that no fit is needed, and every stream has its own reference of
    20,000: the streams are independent, and the closed form averages over references as they do (at the mean run
    length the exposure is 2). Thresholds are on p, from closed-form toys for the first reference alone; they end near
    chunk 740, and what is beyond (2 % of the streams) is tested at a constant p.

    A geometric run length of mean 200 gives a mean over 400 streams of 200 +- 10. The shares that have alarmed after 20
    and 139 chunks, 10 % and 50 %, lie in the central 99.9 % of the binomial, with 2 % for the thresholds' own toys.
    """
    size, streams, block, longest = 200, 400, 100, 4_000
    rng = np.random.default_rng(46)
    thresholds: PValueThresholds | None = None
    lengths = []
    for _ in range(streams):
        reference = rng.exponential(size=(20_000, 1))
        basis = prepare(reference, centres=60, sigma=0.7, lambda_=2e-4)
        if thresholds is None:
            run = [float(size)] * 800
            nulls = null_sequence(basis, "shape", run)
            toys = null_trajectories(basis, "shape", run, 8_000, rng)
            thresholds = run_length_thresholds(toys, 200).in_p(nulls)
            limits = np.array([thresholds.at(n) for n in range(1, longest + 1)])
        # For equal chunks all nulls are one, scaled by the exposure.
        null = null_sequence(basis, "shape", [float(size)])[0]
        nodes = np.linspace(null.mean / 20, null.mean + 15 * null.deviation, 100)
        log_p = interpolate.PchipInterpolator(nodes, [null.log_tail(t) for t in nodes])
        h = size * basis.second_moment / (size * basis.second_moment + basis.penalty(size))
        score = np.zeros(basis.size)
        for first in range(0, longest, block):
            psi = basis.features(rng.exponential(size=(block * size, 1))).reshape(block, size, -1)
            scores = score + np.cumsum(psi.sum(axis=1, dtype=np.float64) - size * basis.mean_feature, axis=0)
            score = scores[-1]
            expected = size * np.arange(first + 1, first + block + 1)
            t = scores**2 @ ((2 * h - h**2) / basis.second_moment) / expected
            scaled = t * (1 + size / 20_000) / (1 + expected / 20_000)
            reached = log_p(np.clip(scaled, nodes[0], nodes[-1])) <= limits[first : first + block]
            if reached.any():
                lengths.append(first + int(reached.argmax()) + 1)
                break
        else:
            lengths.append(longest)
    found = np.array(lengths)

    assert 160 <= found.mean() <= 250
    for chunk in (20, 139):
        low, high = stats.binom.interval(0.999, streams, 1 - (1 - 1 / 200) ** chunk)
        assert low - 0.02 * streams <= np.count_nonzero(found <= chunk) <= high + 0.02 * streams
