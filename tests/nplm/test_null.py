"""The closed-form null: tails of weighted chi-square sums, at any depth and for any weights."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from nplmon.nplm.null import ChiSquareSum, significance

DEGREES = (1, 2, 3, 5, 10, 30, 100, 300, 1000)
SETTINGS = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=6)


def chi_square_sum(weights: NDArray[np.float64] | list[float]) -> ChiSquareSum:
    return ChiSquareSum(np.asarray(weights, dtype=np.float64), np.ones(len(weights)))


def two_scales(t: float) -> float:
    """P(Z^2 + 1e-6 chi2_500 < t), by integrating over the second term."""
    y = np.linspace(250, 800, 200_001)
    return float(np.trapezoid(stats.chi2.pdf(y, 500) * stats.chi2.cdf(t - 1e-6 * y, 1), y))


@pytest.mark.parametrize("degrees", DEGREES)
@pytest.mark.parametrize("p", [1 - 1e-9, 0.999, 0.99, 0.7, 0.5, 0.3, 0.1, 1e-3, 1e-6, 1e-20, 1e-100, 1e-300])
def test_equal_weights_have_the_tail_of_a_chi_square(degrees: int, p: float):
    t = float(stats.chi2.isf(p, degrees))
    null = ChiSquareSum(np.full(1, 3.0), np.full(1, float(degrees)))

    assert null.tail(3 * t) == pytest.approx(stats.chi2.sf(t, degrees), rel=1e-8)


@pytest.mark.parametrize("p", [0.9, 0.5, 1e-10])
def test_degrees_of_freedom_are_repeated_weights(p: float):
    t = float(stats.chi2.isf(p, 40))

    assert chi_square_sum([1.0] * 40).tail(t) == pytest.approx(p, rel=1e-8)


@pytest.mark.parametrize("t", [4.5e-4, 5e-4, 5.1e-4, 6e-4, 1e-3, 1e-2, 1.0, 10.0])
def test_one_large_weight_among_many_small_ones(t: float):
    null = chi_square_sum(np.r_[1.0, np.full(500, 1e-6)])

    # The integrand of the comparison has a root singularity: 1e-6 is its accuracy.
    assert 1 - null.tail(t) == pytest.approx(two_scales(t), rel=1e-6, abs=1e-8)


def test_two_weights_agree_with_their_convolution():
    """P(Z1^2 + 0.1 Z2^2 >= t) by averaging the tail of the first over the second's Gaussian."""
    null = chi_square_sum([1.0, 0.1])
    z = np.linspace(-12, 12, 200_001)
    for t in (0.5, 3.0, 30.0):
        direct = np.trapezoid(stats.norm.pdf(z) * stats.chi2.sf(t - 0.1 * z**2, 1), z)
        assert null.tail(t) == pytest.approx(direct, rel=1e-5)


@pytest.mark.parametrize(
    "weights",
    [np.geomspace(1, 1e-3, 12), np.r_[5.0, np.ones(20)], np.linspace(0.1, 1, 60)],
    ids=["geometric", "one ahead", "many"],
)
def test_unequal_weights_agree_with_simulation(weights: NDArray[np.float64]):
    """The fraction of 200,000 draws beyond t lies in the binomial interval of 4.5 sigma around the tail."""
    rng = np.random.default_rng(11)
    draws = np.sort(rng.standard_normal((200_000, weights.size)) ** 2 @ weights)
    null = chi_square_sum(weights)
    for t in np.quantile(draws, [0.001, 0.1, 0.5, 0.9, 0.99, 0.9995]):
        p = null.tail(float(t))
        beyond = draws.size - int(np.searchsorted(draws, t))
        assert abs(beyond - draws.size * p) < 4.5 * np.sqrt(draws.size * p * (1 - p)) + 1


@pytest.mark.parametrize("share", [1e-8, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("t", [1e-6, 0.1, 3.0, 40.0, 1_300.0, 1e6])
def test_negative_weights(share: float, t: float):
    """The difference of two exponential numbers: log P(2 E - 2 share E' >= t) = -t / 2 - log(1 + share)."""
    null = chi_square_sum([1.0, 1.0, -share, -share])

    assert null.log_tail(t) == pytest.approx(-t / 2 - np.log1p(share), rel=1e-9, abs=1e-8)
    assert null.mean == pytest.approx(2 - 2 * share)
    assert null.quantile(1e-12) == pytest.approx(-2 * (np.log(1e-12) + np.log1p(share)), rel=1e-9)


def test_moments():
    null = ChiSquareSum(np.array([2.0, 0.5]), np.array([3.0, 4.0]))

    assert null.mean == pytest.approx(8.0)
    assert null.deviation == pytest.approx(np.sqrt(2 * (3 * 4 + 4 * 0.25)))


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("p", [0.999999, 0.5, 1e-5, 1e-300])
def test_quantile_inverts_the_tail_on_any_scale(p: float, scale: float):
    unscaled = chi_square_sum([1.0, 0.3, 0.01])
    null = chi_square_sum(scale * unscaled.weights)

    assert null.tail(null.quantile(p)) == pytest.approx(p, rel=1e-7)
    assert null.quantile(p) / scale == pytest.approx(unscaled.quantile(p), rel=1e-6)
    assert null.log_tail(5 * scale) == pytest.approx(unscaled.log_tail(5), rel=1e-9)


@given(weights=SETTINGS, steps=st.lists(st.floats(1e-9, 50), min_size=2, max_size=6))
def test_the_tail_is_a_probability_and_falls(weights: list[float], steps: list[float]):
    null = chi_square_sum(weights)
    log_tails = [null.log_tail(null.mean * t) for t in sorted(steps)]

    assert all(value <= 0 for value in log_tails)
    assert all(later <= earlier + 1e-8 for earlier, later in pairwise(log_tails))


@given(weights=SETTINGS, p=st.floats(1e-12, 1 - 1e-9))
def test_quantile_inverts_the_tail_for_any_weights(weights: list[float], p: float):
    null = chi_square_sum(weights)

    assert null.tail(null.quantile(p)) == pytest.approx(p, rel=1e-6)


@given(weights=SETTINGS, extra=st.floats(1e-3, 10), t=st.floats(1e-3, 100))
def test_one_more_weight_raises_the_tail(weights: list[float], extra: float, t: float):
    fewer, more = chi_square_sum(weights), chi_square_sum([*weights, extra])

    assert more.log_tail(t * fewer.mean) >= fewer.log_tail(t * fewer.mean) - 1e-8


@pytest.mark.parametrize("t", [0.0, -1.0, -1e300])
def test_a_statistic_of_zero_or_less_is_no_evidence(t: float):
    assert chi_square_sum([1.0, 0.5]).tail(t) == 1.0


@pytest.mark.parametrize("t", [1e-90, 1e-12, 1e-6])
def test_a_very_small_statistic(t: float):
    assert -np.expm1(chi_square_sum([1.0]).log_tail(t)) == pytest.approx(stats.chi2.cdf(t, 1), abs=1e-8)


@pytest.mark.parametrize("t", [1e5, 1e9, 1e16, 1e50])
@pytest.mark.parametrize("count", [1, 30])
def test_a_very_large_statistic_keeps_its_order(t: float, count: int):
    """Log P -> -t/2 + (m/2 - 1) log(t/2) - log Gamma(m/2): the leading terms suffice here."""
    asymptotic = -t / 2 + (count / 2 - 1) * np.log(t / 2)

    assert chi_square_sum([1.0] * count).log_tail(t) == pytest.approx(asymptotic, rel=1e-3)


@pytest.mark.parametrize("t", [np.nan, np.inf, -np.inf])
def test_a_statistic_that_is_not_finite_is_refused(t: float):
    with pytest.raises(ValueError, match=f"{t}"):
        chi_square_sum([1.0]).log_tail(t)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, 1.5, np.nan])
def test_a_quantile_of_no_probability_is_refused(p: float):
    with pytest.raises(ValueError, match="between 0 and 1"):
        chi_square_sum([1.0]).quantile(p)


@pytest.mark.parametrize("z", [-3.0, 0.0, 1.0, 5.0, 8.0, 37.0])
def test_significance_inverts_the_gaussian_tail(z: float):
    assert significance(float(stats.norm.logsf(z))) == pytest.approx(z, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("log10_p", [-300, -1000, -1e6, -1e12])
def test_significance_beyond_what_float64_holds(log10_p: float):
    log_p = log10_p * np.log(10)

    assert stats.norm.logsf(significance(log_p)) == pytest.approx(log_p, rel=1e-9)


def test_significance_of_nothing_and_of_the_impossible():
    assert significance(0.0) == -np.inf
    assert significance(-np.inf) == np.inf
