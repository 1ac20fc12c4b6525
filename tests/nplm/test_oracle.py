"""Fits agree with a slow, direct minimisation of the same loss, and survive what no detector should send.

Components with mu below 0.01 lambda are dropped; each carries at most about 0.02 N_k / N_R of t. The comparisons keep
N_k / N_R at 0.02 or below, so that all of them together stay under the tolerance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.nplm.oracle import Oracle

from nplmon.nplm.basis import Basis
from nplmon.nplm.errors import FitError
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.kernel_fit import KernelFit
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference

Events = NDArray[np.floating]


def compare(
    reference: Events,
    chunks: list[tuple[Events, float]],
    weights: NDArray[np.float64] | None = None,
    **settings: Any,
) -> list[float]:
    """Fit each (events, expected) both ways; give the statistics."""
    basis = prepare(reference, weights, **settings)
    prepared = KernelModel(Reference(reference, weights), basis)
    oracle = Oracle(basis, reference, weights)
    statistics = []
    for events, expected in chunks:
        wanted = oracle.fit(events, expected)
        fine = prepared.fit(events, expected, tolerance=1e-7)
        for fitted in (prepared.fit(events, expected), fine):
            assert abs(fitted.statistic - wanted.statistic) <= 1e-3 * max(1.0, wanted.statistic)
        apart = np.abs(basis.features(events).astype(np.float64) @ fine.coefficients - wanted.at_events)
        # An event at the edge of the reference meets components so small that rounding moves them.
        edges = np.quantile(reference, [0.001, 0.999], axis=0)
        inside = np.all((events > edges[0]) & (events < edges[1]), axis=1)
        assert inside.mean() > 0.9
        assert apart[inside].max() <= 1e-3
        assert apart.max() <= 1e-2
        statistics.append(fitted.statistic)
    return statistics


def test_one_dimension():
    rng = np.random.default_rng(1)
    background = rng.exponential(size=(400, 1))
    bulk = np.concatenate([background, rng.normal(1.6, 0.16, size=(40, 1))])
    tail = np.concatenate([background, rng.normal(6.4, 0.16, size=(8, 1))])

    null, bulk_t, tail_t = compare(
        rng.exponential(size=(20_000, 1)),
        [(background, 400.0), (bulk, 400.0), (tail, 400.0)],
        centres=200,
        sigma=0.7,
    )

    assert null < bulk_t
    assert null < tail_t


@pytest.mark.parametrize("expected", [300.0, 480.0])
def test_another_count_than_expected(expected: float):
    rng = np.random.default_rng(2)

    shape, rate = compare(
        rng.exponential(size=(20_000, 1)),
        [(chunk := rng.exponential(size=(400, 1)), 400.0), (chunk, expected)],
        centres=150,
        sigma=0.7,
    )

    # Twice the Poisson log likelihood ratio of the count is part of t.
    assert rate - shape > 0.7 * 2 * (400 * np.log(400 / expected) - 400 + expected)


def test_weighted_reference():
    rng = np.random.default_rng(3)
    reference = rng.exponential(1.5, size=(20_000, 1))
    weights = 1.5 * np.exp(-reference[:, 0] * (1 - 1 / 1.5))

    compare(
        reference,
        [(rng.exponential(size=(300, 1)), 300.0), (rng.exponential(1.2, size=(300, 1)), 250.0)],
        weights,
        centres=150,
        sigma=0.7,
    )


def test_five_dimensions_like_dimuons():
    rng = np.random.default_rng(4)

    def sample(count: int) -> Events:
        pt = 20 + rng.exponential(15, size=(count, 2))
        eta = rng.uniform(-2.4, 2.4, size=(count, 2))
        return np.column_stack([np.sort(pt)[:, ::-1], eta, np.pi - rng.exponential(0.3, size=count)])

    compare(sample(15_000), [(sample(300), 300.0)], centres=250)


def test_dimuons(dimuon: NDArray[np.float32]):
    harder = dimuon[20_300:20_600] * np.array([1.1, 1.1, 1, 1, 1], dtype=np.float32)

    null, shifted = compare(
        dimuon[:20_000], [(dimuon[20_000:20_300], 300.0), (harder, 330.0)], centres=300, sigma=3.0
    )

    assert null < shifted


def test_twelve_dimensions():
    rng = np.random.default_rng(5)
    mixing = rng.normal(size=(12, 12))

    compare(
        rng.normal(size=(15_000, 12)) @ mixing, [(rng.normal(size=(200, 12)) @ mixing, 200.0)], centres=200
    )


@pytest.fixture(scope="module", params=[1, 5], ids=["1-D", "5-D"])
def gaussian(request: pytest.FixtureRequest) -> tuple[Basis, KernelModel, Events]:
    rng = np.random.default_rng(6)
    events = rng.normal(size=(5_000, request.param))
    basis = prepare(events, centres=120)
    return basis, KernelModel(Reference(events), basis), events


def spot(place: float, count: int) -> Events:
    return np.full((count, 1), place)


@pytest.mark.parametrize(
    ("chunk", "least"),
    [
        pytest.param(spot(0.0, 500), 1000, id="all in one place"),
        pytest.param(spot(3.0, 500), 1000, id="all in the corner of the reference"),
        pytest.param(spot(3.0, 5000), 10_000, id="ten times the rate, in the corner"),
        pytest.param(spot(100.0, 500), 990, id="all outside the reference"),
        pytest.param(spot(1e9, 500), 990, id="absurdly far outside"),
        pytest.param(spot(0.5, 1), 900, id="one event where 500 were expected"),
        pytest.param(np.repeat([[-2.0], [2.0]], 250, axis=0), 1000, id="in two places"),
        pytest.param(
            np.random.default_rng(7).normal(size=(5_000, 1)), 13_000, id="ten times the rate, right shape"
        ),
        pytest.param(
            np.random.default_rng(8).normal(1, 0.01, size=(500, 1)), 500, id="a hundredth of the width"
        ),
    ],
)
def test_violent_anomalies_are_fitted(
    gaussian: tuple[Basis, KernelModel, Events], chunk: Events, least: float
):
    """500 events are expected: none at all would give t = 1000."""
    basis, prepared, _ = gaussian
    fitted = prepared.fit(np.repeat(chunk, basis.mean.size, axis=1), 500.0)

    assert fitted.statistic > least
    assert np.isfinite(fitted.statistic)
    assert np.isfinite(fitted.coefficients).all()


def test_a_violent_fit_is_right_where_it_converges():
    """All events in one place of the bulk against the oracle, although f is far from 0."""
    rng = np.random.default_rng(9)
    statistics = compare(
        rng.normal(size=(10_000, 1)), [(np.full((200, 1), 0.3), 200.0)], centres=60, sigma=2.0, lambda_=1e-4
    )

    assert statistics[0] > 200


def test_ten_times_the_rate_is_the_likelihood_ratio_of_the_count(
    gaussian: tuple[Basis, KernelModel, Events],
):
    _, prepared, events = gaussian
    fitted = prepared.fit(events[:5_000], 500.0)

    assert fitted.statistic == pytest.approx(2 * (5000 * np.log(10) - 4500), rel=0.01)


def test_a_chunk_drawn_from_the_reference_is_ordinary(gaussian: tuple[Basis, KernelModel, Events]):
    basis, prepared, events = gaussian

    assert 0 <= prepared.fit(events[:100], 100.0).statistic < 3 * basis.size
    assert abs(prepared.fit(events, float(len(events))).statistic) < 1e-5


def test_the_score_is_the_gradient_at_no_difference(gaussian: tuple[Basis, KernelModel, Events]):
    basis, prepared, events = gaussian
    chunk = events[:200] + 0.1
    direct = basis.features(chunk).astype(np.float64).sum(axis=0)
    direct -= 250.0 * basis.features(events).astype(np.float64).mean(axis=0)

    fitted: KernelFit = prepared.fit(chunk, 250.0)

    np.testing.assert_allclose(fitted.score, direct, atol=1e-4 * np.abs(direct).max())


@pytest.mark.parametrize("expected", [0.0, -3.0, np.nan, np.inf])
def test_an_impossible_expected_count_is_refused(
    gaussian: tuple[Basis, KernelModel, Events], expected: float
):
    _, prepared, events = gaussian

    with pytest.raises(ValueError, match=f"{expected}: give a positive one"):
        prepared.fit(events[:10], expected)


def test_a_chunk_without_events_is_refused(gaussian: tuple[Basis, KernelModel, Events]):
    _, prepared, events = gaussian

    with pytest.raises(ValueError, match="0 events: a chunk needs at least one"):
        prepared.fit(events[:0], 10.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_events_that_are_not_finite_are_refused(gaussian: tuple[Basis, KernelModel, Events], value: float):
    _, prepared, events = gaussian
    chunk = events[:10].copy()
    chunk[7, -1] = value

    with pytest.raises(ValueError, match="event 7 is not finite"):
        prepared.fit(chunk, 10.0)


def test_events_of_other_features_are_refused(gaussian: tuple[Basis, KernelModel, Events]):
    basis, prepared, _ = gaussian

    with pytest.raises(ValueError, match=f"give \\(N, {basis.mean.size}\\)"):
        prepared.fit(np.zeros((10, basis.mean.size + 1)), 10.0)


def test_a_fit_that_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(10)
    events = rng.normal(size=(2_000, 1))
    basis = prepare(events, centres=50)
    prepared = KernelModel(Reference(events), basis)
    monkeypatch.setattr("nplmon.nplm.quasi_newton.MAX_STEPS", 1)
    monkeypatch.setattr("nplmon.nplm.newton.MAX_STEPS", 1)

    with pytest.raises(FitError, match="not converged in 1 Newton steps"):
        prepared.fit(rng.normal(1.0, 0.5, size=(200, 1)), 200.0)
