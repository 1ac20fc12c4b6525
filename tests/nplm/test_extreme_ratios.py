"""Ratios beyond float64: an average of them has a finite statistic, the one that the limit has."""

from __future__ import annotations

import numpy as np
import pytest

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.basis import Basis


def values(run: Aggregation) -> dict[str, float]:
    return {kind: statistic.value for kind, statistic in run.statistics().items()}


@pytest.fixture
def one_kernel() -> Basis:
    """Give a basis of one component: psi = 1 at 0 and 0 far away."""
    return Basis(
        mean=np.zeros(1),
        scale=np.ones(1),
        sigma=1.0,
        centres=np.zeros((1, 1)),
        projection=np.ones((1, 1)),
        second_moment=np.array([0.5]),
        mean_feature=np.array([0.5]),
        lambda_=1e-3,
        events=2,
        sum_weights=2.0,
        effective_events=2.0,
    )


@pytest.mark.parametrize("f", [-800.0, 800.0])
def test_a_ratio_beyond_float64_at_the_events(one_kernel: Basis, f: float):
    """Log rbar = f - log 2 where the first of two models has f = 800, -log 2 where it has -800."""
    far = np.array([[1e3], [1e3]])
    run = Aggregation(one_kernel, one_kernel.features(far), None, "rate", 100)
    for a in (f, 0.0):
        run.apply(np.array([a]), np.zeros(1), 0.0, 10.0, np.zeros((1, 1)))

    assert values(run)["t_agg"] == pytest.approx(2 * 2 * (max(f, 0.0) - np.log(2)))
    assert values(run)["t_ref"] == pytest.approx(0.0, abs=1e-20)


@pytest.mark.parametrize("f", [-800.0, 800.0])
def test_a_ratio_beyond_float64_over_the_reference(one_kernel: Basis, f: float):
    """In mode "shape", half of the reference at f and half at 0: normalised, one half has 2 and the other 0."""
    reference = np.array([[0.0], [1e3]])
    run = Aggregation(one_kernel, one_kernel.features(reference), np.ones(2), "shape", 100)
    run.apply(np.array([f]), np.zeros(1), 0.0, 10.0, np.zeros((1, 1)))

    found = values(run)

    # The event is where f is: at log 2, or at -800 + log 2.
    assert found["t_agg"] == pytest.approx(2 * (np.log(2) + min(f, 0.0)))
    assert found["t_ref"] == pytest.approx(2 * 10.0 * np.log(2))


def test_a_ratio_of_nothing_over_the_reference(one_kernel: Basis):
    """In mode "rate", r = 0 over the whole reference: t_ref = 2 Lambda, the price of no event at all."""
    run = Aggregation(one_kernel, one_kernel.features(np.zeros((2, 1))), None, "rate", 100)
    run.apply(np.array([-800.0]), np.zeros(1), 0.0, 10.0, np.full((1, 1), 1e3))

    assert values(run)["t_ref"] == pytest.approx(20.0)
    assert values(run)["t_agg"] == pytest.approx(20.0)
