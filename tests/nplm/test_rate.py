"""The rate test: exact tails at any count and depth, coverage, and the combination with the shape's p-value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from nplmon.nplm.rate import Counted, combined_log_p

COUNTS = st.integers(0, 3_000)


def doubled(few: float, many: float) -> float:
    return min(1.0, 2 * min(few, many))


@given(events=COUNTS, expected=st.floats(1e-3, 3_000))
def test_a_known_rate_has_poisson_tails(events: int, expected: float):
    p = doubled(stats.poisson.cdf(events, expected), stats.poisson.sf(events - 1, expected))
    found = Counted(events, 2.0).against_rate(expected / 2)

    if p > 1e-290:
        assert np.exp(found.log_p) == pytest.approx(p, rel=1e-9)
    assert found.expected == pytest.approx(expected)


@given(events=COUNTS, control=COUNTS, share=st.floats(0.01, 0.99))
def test_a_control_has_binomial_tails(events: int, control: int, share: float):
    tau = share / (1 - share)
    found = Counted(events, tau).against_control(Counted(control, 1.0))
    if events + control == 0:
        assert found.log_p == found.z == 0
        return
    sides = [
        stats.binomtest(events, events + control, tau / (tau + 1), alternative=side).pvalue
        for side in ("less", "greater")
    ]
    if doubled(*sides) > 1e-290:
        assert np.exp(found.log_p) == pytest.approx(doubled(*sides), rel=1e-9)


@pytest.mark.parametrize("events", [0, 3, 50, 99, 101, 150, 1_000])
def test_z_is_signed_and_has_the_two_sided_p(events: int):
    found = Counted(events, 1.0).against_rate(100.0)

    assert np.sign(found.z) == np.sign(events - 100)
    assert np.log(2) + stats.norm.logsf(abs(found.z)) == pytest.approx(found.log_p, rel=1e-9)


def test_as_many_as_expected_is_no_evidence():
    for events in (1, 10**6, 10**12):
        found = Counted(events, 1.0).against_rate(float(events))
        assert found.log_p == found.z == 0


def test_no_events_at_all():
    found = Counted(0, 1.0).against_rate(700.0)
    assert found.log_p == pytest.approx(np.log(2) - 700)
    assert found.z == pytest.approx(-stats.norm.isf(np.exp(-700.0)), rel=1e-9)

    # P(0 of 500 | 1/5) = (4/5)^500
    assert Counted(0, 1.0).against_control(Counted(500, 4.0)).log_p == pytest.approx(
        np.log(2) + 500 * np.log(0.8)
    )
    assert Counted(500, 4.0).against_control(Counted(0, 1.0)).log_p == pytest.approx(
        np.log(2) + 500 * np.log(0.8)
    )


@pytest.mark.parametrize(
    ("events", "expected"), [(400, 30.0), (2_000, 700.0), (100, 1_500.0), (3_000, 900.0)]
)
def test_tails_far_beyond_float64(events: int, expected: float):
    """Sums of the probabilities themselves, by their logarithms."""
    n = np.arange(events, 4 * events) if events > expected else np.arange(events + 1)
    log_tail = special.logsumexp(n * np.log(expected) - expected - special.gammaln(n + 1))

    assert Counted(events, 1.0).against_rate(expected).log_p == pytest.approx(log_tail + np.log(2), rel=1e-10)


@pytest.mark.parametrize(("events", "control"), [(2_000, 150), (150, 2_000), (3_000, 1), (1_400, 200)])
def test_binomial_tails_far_beyond_float64(events: int, control: int):
    total = events + control
    k = np.arange(events, total + 1) if events > control else np.arange(events + 1)
    choices = special.gammaln(total + 1) - special.gammaln(k + 1) - special.gammaln(total - k + 1)
    log_tail = special.logsumexp(choices) - total * np.log(2)
    found = Counted(events, 1.0).against_control(Counted(control, 1.0))

    assert found.log_p == pytest.approx(log_tail + np.log(2), rel=1e-10)


@pytest.mark.parametrize("z", [-37.0, -20.0, -6.0, -3.0, 3.0, 6.0, 20.0, 37.0])
@pytest.mark.parametrize("count", [10**9, 10**11])
def test_a_billion_events_are_nearly_gaussian(count: int, z: float):
    """The signed root of the deviance is Gaussian to order 1 / sqrt(N): 1e-4 here, at any depth."""
    events = int(count + z * count**0.5)
    away = (events - count) / count
    root = np.sign(z) * np.sqrt(2 * (events * np.log1p(away) - (events - count)))
    assert Counted(events, 1.0).against_rate(float(count)).z == pytest.approx(root, abs=1e-4)

    # Two equal exposures: the difference has twice the variance.
    found = Counted(events, 1.0).against_control(Counted(count, 1.0))
    assert found.z == pytest.approx((events - count) / (events + count) ** 0.5, rel=1e-4)


def test_chunks_add_up():
    chunks = [Counted(n, tau) for n, tau in ((10, 0.5), (0, 0.1), (40, 2.0))]
    run = chunks[0] + chunks[1] + chunks[2]

    assert (run.events, run.exposure) == (50, pytest.approx(2.6))
    assert run.against_rate(20.0).log_p == Counted(50, run.exposure).against_rate(20.0).log_p


@pytest.mark.parametrize("mean", [0.5, 4.0, 60.0, 3_000.0])
@pytest.mark.parametrize("control", [None, 0.3, 5.0])
def test_coverage(mean: float, control: float | None):
    """P(p <= a) is at most a, and not far below where counts are large.

    20,000 counts under H0 (4,000 with distinct controls): the number of p-values up to a stays below the binomial
    99.9 % bound of a; for a mean of 3,000 it stays above that of 0.8 a, since counts are discrete.
    """
    rng = np.random.default_rng(int(10 * mean) + (0 if control is None else int(100 * control)))
    toys = 20_000 if control is None else 4_000
    events = rng.poisson(mean, size=toys)
    known: dict[tuple[int, int], float] = {}
    controls = np.zeros(toys, dtype=int) if control is None else rng.poisson(mean * control, size=toys)
    for pair in set(zip(events.tolist(), controls.tolist(), strict=True)):
        count = Counted(pair[0], 1.0)
        test = (
            count.against_rate(mean) if control is None else count.against_control(Counted(pair[1], control))
        )
        known[pair] = test.log_p
    p = np.exp([known[pair] for pair in zip(events.tolist(), controls.tolist(), strict=True)])
    for level in (0.3, 0.05, 0.01):
        found = int(np.count_nonzero(p <= level))
        assert found <= stats.binom.ppf(0.999, toys, level)
        if mean == 3_000:
            assert found >= stats.binom.ppf(0.001, toys, 0.8 * level)


def test_the_combined_p_is_uniform():
    """Of the pairs of a regular grid of 200 x 200 p-values the share a has a combined p up to a, up to its width."""
    log_p = np.log((np.arange(200) + 0.5) / 200).tolist()
    combined = np.exp([combined_log_p(one, two) for one in log_p for two in log_p])

    for level in (0.02, 0.1, 0.3, 0.5, 0.9):
        assert np.mean(combined <= level) == pytest.approx(level, abs=0.01)


@pytest.mark.parametrize("log_p", [-1e-12, -1.0, -700.0, -1e6])
def test_the_combined_p_at_any_depth(log_p: float):
    expected = np.log(-np.expm1(2 * np.log1p(-np.exp(log_p)))) if log_p > -30 else log_p + np.log(2)

    assert (
        combined_log_p(log_p, 0.0)
        == combined_log_p(0.0, log_p)
        == pytest.approx(expected, rel=1e-9, abs=1e-15)
    )


@pytest.mark.parametrize(
    ("events", "exposure", "message"),
    [
        (-1, 1.0, "-1 events"),
        (2.5, 1.0, "2.5 events"),
        (10**13, 1.0, "1e\\+12"),
        (5, 0.0, "exposure of 0.0"),
        (5, -2.0, "exposure of -2.0"),
        (5, float("nan"), "exposure of nan"),
    ],
)
def test_counts_that_are_none_are_refused(events: int, exposure: float, message: str):
    with pytest.raises(ValueError, match=message):
        Counted(events, exposure)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_rates_that_are_none_are_refused(rate: float):
    with pytest.raises(ValueError, match=f"rate of {rate}"):
        Counted(1, 1.0).against_rate(rate)


@pytest.mark.parametrize("log_p", [0.1, float("nan")])
def test_what_is_no_probability_is_not_combined(log_p: float):
    with pytest.raises(ValueError, match=f"{log_p}"):
        combined_log_p(-1.0, log_p)
