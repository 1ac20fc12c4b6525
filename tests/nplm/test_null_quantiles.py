"""Several quantiles at once are those that the exact tail gives one by one, for any weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special
from tests.nplm.test_tails import imhof

from nplmon.nplm.null import ChiSquareSum, Mode, Nulls
from nplmon.nplm.null_quantiles import MOST_NODES, quantiles, reached
from nplmon.nplm.preparation import prepare

LEVELS = (0.00135, 0.025, 0.16, 0.5, 0.84, 0.975, 0.99865)
MANY = np.linspace(1, 0.01, 450) ** 2
EXACT = 1e-3
"""Promised, in standard deviations."""


def a_null(weights: NDArray[np.float64], degrees: NDArray[np.float64] | None = None) -> ChiSquareSum:
    return ChiSquareSum(weights, np.ones_like(weights) if degrees is None else degrees)


NULLS = {
    "one degree": a_null(np.ones(1)),
    "two degrees": a_null(np.full(2, 1e-3)),
    "a thousand degrees": a_null(np.ones(1), np.full(1, 1000.0)),
    "geometric": a_null(np.geomspace(1e4, 1, 12)),
    "one ahead": a_null(np.r_[5.0, np.ones(20)]),
    "one among many small ones": a_null(np.r_[1.0, np.full(500, 1e-3)]),
    "like dimuon's t_score": a_null(MANY),
    "like its t_sum": a_null(np.r_[MANY, 3 * MANY], np.r_[np.full(450, 199.0), np.ones(450)]),
    "unequal chunks": a_null(np.r_[np.linspace(1, 0.05, 23), np.full(5, -0.05)]),
    "below zero": a_null(np.r_[1.0, np.full(3, -0.5)]),
}


@pytest.mark.parametrize("name", NULLS)
def test_they_are_those_of_the_exact_tail(name: str):
    null = NULLS[name]
    exact = [null.quantile(1 - p) for p in LEVELS]

    assert np.abs(quantiles(null, LEVELS) - exact).max() <= EXACT * null.deviation


@pytest.mark.parametrize("name", [name for name in NULLS if name != "below zero"])
def test_one_path_is_enough(name: str, monkeypatch: pytest.MonkeyPatch):
    """Where they were left to `ChiSquareSum.quantile` the test above would say nothing."""

    def refuse(self: ChiSquareSum, p: float) -> float:
        raise AssertionError(f"{name}: not resolved with {MOST_NODES} nodes")

    monkeypatch.setattr(ChiSquareSum, "quantile", refuse)

    assert (np.diff(quantiles(NULLS[name], LEVELS)) > 0).all()


@pytest.mark.parametrize("chunks", [1, 10])
@pytest.mark.parametrize("mode", ["shape", "rate"])
def test_imhofs_integral_agrees(mode: Mode, chunks: int):
    """The nulls of a run over a reference, against another integral of another path."""
    events = np.random.default_rng(0).exponential(size=(20_000, 1))
    basis = prepare(events, centres=100, sigma=0.7, lambda_=1e-6)
    h = basis.shrinkage(500.0)
    nulls = Nulls(basis=basis, mode=mode)
    for null in (
        nulls.aggregated(chunks * 500.0, h, h**2),
        nulls.divergence(chunks * 500.0, h, h**2),
        nulls.total(chunks * 500.0, chunks, chunks * (2 * h - h**2), h, h**2),
    ):
        weights = np.repeat(null.weights, null.degrees.astype(int))
        for p, q in zip(LEVELS, quantiles(null, LEVELS), strict=True):
            found = special.ndtri(1 - imhof(weights, float(q)))
            assert found == pytest.approx(special.ndtri(p), abs=EXACT)


@given(
    st.lists(st.tuples(st.floats(1e-4, 1e3), st.integers(1, 400)), min_size=1, max_size=30),
    st.floats(1e-6, 1e6),
)
def test_they_increase_and_the_median_is_below_the_mean(terms: list[tuple[float, int]], scale: float):
    weights, degrees = np.array(terms, dtype=np.float64).T
    found = quantiles(a_null(scale * weights, degrees), LEVELS)

    assert (np.diff(found) > 0).all()
    assert found[0] > 0
    assert found[3] < a_null(scale * weights, degrees).mean


@given(st.lists(st.floats(1e-4, 1e3), min_size=1, max_size=30))
def test_any_weights_have_the_tail_that_was_asked_for(weights: list[float]):
    null = a_null(np.array(weights))
    for p, q in zip(LEVELS, quantiles(null, LEVELS), strict=True):
        assert special.ndtri(null.tail(float(q))) == pytest.approx(special.ndtri(1 - p), abs=EXACT)


@pytest.mark.parametrize("p", [0.0, 1e-5, 1.0, np.nan])
def test_what_is_deeper_is_refused(p: float):
    with pytest.raises(ValueError, match="quantiles are given between"):
        quantiles(NULLS["geometric"], [0.5, p])


@pytest.mark.parametrize("name", [name for name in NULLS if name != "below zero"])
def test_a_value_that_is_reached_has_the_probability_asked_for(name: str):
    """Thresholds are such values: the p-value of a statistic that lies on one is that of the threshold to 1e-5."""
    tails = [0.9, 0.1, 1e-2, 2e-3, 1e-3, 1.1e-4, 9e-5, 1e-7]
    for p, t in zip(tails, reached(NULLS[name], tails), strict=True):
        assert NULLS[name].log_tail(t) == pytest.approx(np.log(p), abs=1e-5), p
    assert reached(NULLS[name], []) == []


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_nothing_is_reached_with_certainty(p: float):
    with pytest.raises(ValueError, match="between 0 and 1"):
        reached(NULLS["geometric"], [0.5, p])
