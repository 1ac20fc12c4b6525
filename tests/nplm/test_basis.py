"""The reference eigenbasis: its averages, its serialised form, and what must not change a fit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nplmon.nplm.basis import Basis, basis_key, gaussian_kernel, standardise
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference

Events = NDArray[np.float64]


def t_of(
    reference: Events, chunk: Events, weights: NDArray[np.float64] | None = None, **settings: float
) -> float:
    basis = prepare(reference, weights, **{"centres": 100, "sigma": 1.0, **settings})
    prepared = KernelModel(Reference(reference, weights), basis)
    return prepared.fit(chunk, float(len(chunk))).statistic


@pytest.fixture
def reference() -> Events:
    return np.random.default_rng(1).normal(size=(3_000, 2))


@pytest.fixture
def chunk() -> Events:
    return np.random.default_rng(2).normal(0.1, 1.1, size=(150, 2))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_moments_are_averages_of_the_features(reference: Events, weighted: bool):
    v = np.random.default_rng(3).uniform(0, 2, size=len(reference)) if weighted else None
    basis = prepare(reference, v, centres=80, sigma=1.0)
    psi = basis.features(reference).astype(np.float64)
    moment = np.average(psi[:, :, None] * psi[:, None, :], axis=0, weights=v)

    np.testing.assert_allclose(np.average(psi, axis=0, weights=v), basis.mean_feature, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(np.diag(moment), basis.second_moment, rtol=1e-5)
    # Diagonal: the Hessian at f = 0 is, and conjugate gradients and the nulls rest on it.
    scale = np.sqrt(np.outer(basis.second_moment, basis.second_moment))
    assert np.abs(moment / scale - np.eye(basis.size)).max() < 1e-5
    assert np.all(np.diff(basis.second_moment) <= 0)
    assert basis.sum_weights == pytest.approx(len(reference) if v is None else v.sum())
    assert basis.effective_events == pytest.approx(len(reference) if v is None else v.sum() ** 2 / (v @ v))


def test_the_features_span_the_kernels_on_the_centres(reference: Events):
    """With nothing truncated, psi(x) . psi(c) = k(x, c): the RKHS norm of f is |a|."""
    basis = prepare(reference, centres=30, sigma=1.0, lambda_=1e-12)
    back = basis.centres * basis.scale + basis.mean
    standardised = (reference[:50] - basis.mean) / basis.scale

    gram = basis.features(reference[:50]) @ basis.features(back).T

    np.testing.assert_allclose(gram, gaussian_kernel(standardised, basis.centres, basis.sigma), atol=1e-5)


@pytest.mark.parametrize("truncated_at", [1e-2, 1e-4])
def test_components_below_the_penalty_are_dropped(reference: Events, truncated_at: float):
    basis = prepare(reference, centres=80, sigma=1.0, lambda_=truncated_at)

    assert basis.second_moment[-1] > 0.01 * truncated_at
    assert prepare(reference, centres=80, sigma=1.0, lambda_=0.1 * truncated_at).size > basis.size


def test_bytes_give_the_same_basis(reference: Events, chunk: Events):
    weights = np.random.default_rng(3).uniform(0, 2, size=len(reference))
    basis = prepare(reference, weights, centres=50)
    again = Basis.from_bytes(basis.to_bytes())

    for name in ("mean", "scale", "centres", "projection", "second_moment", "mean_feature"):
        np.testing.assert_array_equal(getattr(again, name), getattr(basis, name))
    for name in ("sigma", "lambda_", "events", "sum_weights", "effective_events"):
        assert getattr(again, name) == getattr(basis, name)
    np.testing.assert_array_equal(again.features(chunk), basis.features(chunk))
    # What was read fits like what was written, and torch accepts its arrays without a warning.
    features = basis.features(reference)
    first = KernelModel(Reference(reference, weights), basis, features).fit(chunk, 150.0)
    assert (
        KernelModel(Reference(reference, weights), again, features).fit(chunk, 150.0).statistic
        == first.statistic
    )


def test_features_are_the_same_in_blocks(reference: Events, monkeypatch: pytest.MonkeyPatch):
    whole = prepare(reference, centres=50, sigma=1.0)
    monkeypatch.setattr("nplmon.nplm.basis.BLOCK_ELEMENTS", 50 * 7)
    blocks = prepare(reference, centres=50, sigma=1.0)

    np.testing.assert_allclose(blocks.second_moment, whole.second_moment, rtol=1e-7)
    np.testing.assert_allclose(whole.features(reference[:100]), whole.features(reference)[:100], atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
def test_a_constant_feature_is_refused(reference: Events, value: float):
    """0.1 is the one that a deviation from a rounded mean does not find."""
    reference[:, 1] = value

    with pytest.raises(ValueError, match="feature 1 of the reference is constant"):
        prepare(reference)


def test_a_feature_that_is_constant_where_the_weight_is_not_zero_is_refused(reference: Events):
    weights = np.r_[np.zeros(10), np.ones(len(reference) - 10)]
    reference[10:, 0] = 0.1

    with pytest.raises(ValueError, match="feature 0 of the reference is constant"):
        prepare(reference, weights)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_feature_that_is_not_finite_is_refused(reference: Events, value: float):
    reference[5, 1] = value

    with pytest.raises(ValueError, match="feature 1 of the reference is not finite"):
        prepare(reference)


@pytest.mark.parametrize(
    "settings",
    [
        {"lambda_": 0.0},
        {"lambda_": -1.0},
        {"centres": 0},
        {"sigma": 0.0},
        {"sigma": -1.0},
        {"sigma_quantile": 1.0},
    ],
)
def test_settings_out_of_range_are_refused(reference: Events, settings: dict[str, float]):
    with pytest.raises(ValueError, match="give positive ones"):
        prepare(reference, **settings)


def test_a_width_that_the_data_cannot_give_is_refused():
    """All but one of the events coincide, but for rounding, and that one is not in the subsample."""
    reference = 1e-10 * np.random.default_rng(4).normal(size=(50_000, 1))
    reference[0] += 1.0

    with pytest.raises(ValueError, match="coincide: give sigma"):
        prepare(reference, centres=10)


def test_events_that_coincide_do_not_bring_a_width_to_nothing():
    """Of 0 and 1 in equal shares half of all pairs coincide: the width is the distance of those that differ."""
    reference = np.repeat([[0.0], [1.0]], 500, axis=0)

    assert prepare(reference, centres=10, sigma_quantile=0.25).sigma == pytest.approx(2.0)


def test_units_do_not_change_t(reference: Events, chunk: Events):
    def changed(x: Events) -> Events:
        return x * np.array([1e3, -1e-4]) + np.array([-50.0, 2.0])

    assert t_of(changed(reference), changed(chunk)) == pytest.approx(t_of(reference, chunk), rel=1e-5)


def test_an_offset_large_against_the_spread_does_not_change_t(reference: Events, chunk: Events):
    offset = np.array([1e6, 0.0])

    assert t_of(reference + offset, chunk + offset) == pytest.approx(t_of(reference, chunk), rel=1e-4)


def test_the_seed_decides(reference: Events):
    one, same, other = (prepare(reference, centres=50, seed=seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(one.projection, same.projection)
    assert one.sigma == same.sigma
    assert not np.array_equal(one.centres, other.centres)


def test_duplicated_events_and_centres(chunk: Events):
    """Six values repeated: the kernel matrix of the centres has rank six, whatever their number."""
    reference = np.tile(np.random.default_rng(4).normal(size=(6, 2)), (100, 1))
    basis = prepare(reference, centres=200, sigma=1.0)

    assert basis.size == 6
    assert np.isfinite(basis.projection).all()
    assert np.isfinite(KernelModel(Reference(reference), basis).fit(chunk, 150.0).statistic)


def test_more_centres_than_events(reference: Events):
    assert len(prepare(reference[:40], centres=1000, sigma=1.0).centres) == 40


@pytest.mark.parametrize("sigma", [1.0, None])
def test_events_of_no_weight_are_neither_centres_nor_counted(reference: Events, sigma: float | None):
    """Fewer events with a weight than centres asked for, and than the subsample for sigma."""
    weights = np.zeros(len(reference))
    weights[:60] = 1.0
    basis = prepare(reference, weights, centres=100, sigma=sigma)

    drawn = {tuple(x) for x in standardise(reference[:60], basis.mean, basis.scale)}
    assert {tuple(centre) for centre in basis.centres} <= drawn
    assert basis.effective_events == pytest.approx(60)
    np.testing.assert_allclose(basis.mean, reference[:60].mean(axis=0))


def test_weights_are_multiplicities(reference: Events, chunk: Events, monkeypatch: pytest.MonkeyPatch):
    """An event of weight 3 is three events, where all are centres, none is truncated and the penalties are equal.

    The chunk stays inside the reference: what the model says outside depends on the smallest eigenvalues.
    """
    monkeypatch.setattr("nplmon.nplm.preparation.TRUNCATION", 1e-6)
    reference, chunk = reference[:300], 0.7 * reference[:150]
    weights = np.random.default_rng(5).integers(1, 4, size=len(reference)).astype(np.float64)
    repeated = np.repeat(reference, weights.astype(int), axis=0)
    equal = 1e-4 * (len(reference) + len(chunk)) / (len(repeated) + len(chunk))
    basis = prepare(reference, weights, centres=1_000, sigma=1.0, lambda_=1e-4)
    alike = prepare(repeated, centres=1_000, sigma=1.0, lambda_=equal)

    np.testing.assert_allclose(basis.mean, alike.mean)
    np.testing.assert_allclose(basis.scale, alike.scale)
    np.testing.assert_allclose(basis.second_moment[:20], alike.second_moment[:20], rtol=1e-6)
    weighted = KernelModel(Reference(reference, weights), basis).fit(chunk, 150.0)
    plain = KernelModel(Reference(repeated), alike).fit(chunk, 150.0)
    assert weighted.statistic == pytest.approx(plain.statistic, rel=2e-4)


def test_the_scale_of_the_weights_does_not_matter(reference: Events, chunk: Events):
    weights = np.random.default_rng(6).uniform(0.5, 1.5, size=len(reference))

    # To the resolution of a fit: the last digits depend on the processor.
    assert t_of(reference, chunk, 1e5 * weights) == pytest.approx(t_of(reference, chunk, weights), rel=1e-5)


def test_the_penalty_counts_events(reference: Events):
    assert prepare(reference, centres=20, lambda_=1e-3).penalty(500) == pytest.approx(3.5)


def test_the_key_depends_on_every_setting():
    keys = {
        basis_key(("x",), 100, 1e-6, None, 0.9, 0),
        basis_key(("y",), 100, 1e-6, None, 0.9, 0),
        basis_key(("x", "y"), 100, 1e-6, None, 0.9, 0),
        basis_key(("x",), 101, 1e-6, None, 0.9, 0),
        basis_key(("x",), 100, 1e-7, None, 0.9, 0),
        basis_key(("x",), 100, 1e-6, 0.7, 0.9, 0),
        basis_key(("x",), 100, 1e-6, None, 0.8, 0),
        basis_key(("x",), 100, 1e-6, None, 0.9, 1),
    }

    assert len(keys) == 8
    # Unused where sigma is given.
    assert basis_key(("x",), 100, 1e-6, 0.7, 0.9, 0) == basis_key(("x",), 100, 1e-6, 0.7, 0.5, 0)
