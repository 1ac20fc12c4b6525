"""Histograms of the marginals, against numpy's and scipy's own."""

from __future__ import annotations

import numpy as np
from scipy import stats

from nplmon.offline.marginal import BINS, marginals

RNG = np.random.default_rng(0)
REFERENCE = RNG.normal(size=(5_000, 2))
DATA = RNG.normal(0.5, 1.0, size=(400, 2))
WEIGHTS = RNG.uniform(0.5, 1.5, size=5_000)


def test_counts_are_those_of_numpy_with_the_rest_in_the_outer_bins() -> None:
    log_ratio = 0.1 * REFERENCE[:, 0]
    one, _ = marginals(REFERENCE, WEIGHTS, log_ratio, DATA, 380.0, features=["x", "y"], units=["mm", ""])
    assert (one.name, one.unit, len(one.data)) == ("x", "mm", BINS)
    inner = one.edges.copy()
    inner[[0, -1]] = -np.inf, np.inf
    for found, events, weights in (
        (one.data, DATA, None),
        (one.reference, REFERENCE, 380 / WEIGHTS.sum() * WEIGHTS),
        (one.reference_error**2, REFERENCE, (380 / WEIGHTS.sum() * WEIGHTS) ** 2),
        (one.learned, REFERENCE, 380 / WEIGHTS.sum() * WEIGHTS * np.exp(log_ratio)),
    ):
        assert np.allclose(found, np.histogram(events[:, 0], bins=inner, weights=weights)[0])
    assert np.isclose(one.reference.sum(), 380.0)


def test_data_beyond_the_reference_are_inside_the_frame() -> None:
    (one,) = marginals(
        REFERENCE[:, :1], None, np.zeros(5_000), DATA[:, :1] + 20, 400.0, features=["x"], units=[""]
    )
    assert one.edges[-1] > 21
    assert one.edges[0] < -2
    assert one.data.sum() == 400


def test_whole_numbers_have_a_bin_each() -> None:
    charges = RNG.choice([-1.0, 0.0, 1.0], size=(300, 1))
    (one,) = marginals(charges, None, np.zeros(300), charges[:30], 30.0, features=["q"], units=["e"])
    assert one.edges.tolist() == [-1.5, -0.5, 0.5, 1.5]
    assert one.data.tolist() == [float((charges[:30] == q).sum()) for q in (-1, 0, 1)]


def test_the_errors_of_the_data_are_central_poisson_intervals() -> None:
    (one,) = marginals(
        REFERENCE[:, :1], None, np.zeros(5_000), DATA[:, :1], 400.0, features=["x"], units=[""]
    )
    low, high = one.data_interval
    assert (one.data == 0).any()
    for n, below, above in zip(one.data, low, high, strict=True):
        # The ends are the means for which n or more, or n or fewer, come with a probability of 15.9 %.
        assert np.isclose(stats.poisson.cdf(n, above), 0.158655, atol=1e-5)
        assert below == 0 if n == 0 else np.isclose(stats.poisson.sf(n - 1, below), 0.158655, atol=1e-5)


def test_the_shift_is_in_deviations_of_the_reference() -> None:
    (one,) = marginals(
        3 * REFERENCE[:, :1], None, np.zeros(5_000), 3 * DATA[:, :1], 400.0, features=["x"], units=[""]
    )
    assert np.isclose(one.shift_error, np.sqrt(1 / 400 + 1 / 5_000))
    assert abs(one.shift - 0.5) < 4 * one.shift_error
