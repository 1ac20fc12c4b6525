"""The averaged ratio as a reader evaluates it, in both forms."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nplmon.nplm.basis import Basis
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.preparation import prepare
from nplmon.nplm.ratio import AveragedRatio, project
from nplmon.nplm.reference import Reference

LAM = np.array([200.0, 350.0, 120.0])


@pytest.fixture(scope="module")
def reference() -> NDArray[np.float64]:
    return np.random.default_rng(1).normal(size=(8_000, 2))


@pytest.fixture(scope="module")
def weights() -> NDArray[np.float64]:
    return np.random.default_rng(2).uniform(0.5, 1.5, size=8_000)


@pytest.fixture(scope="module")
def basis(reference: NDArray[np.float64], weights: NDArray[np.float64]) -> Basis:
    return prepare(reference, weights, centres=80, sigma=2.0, lambda_=1e-5)


@pytest.fixture(scope="module")
def mixture(basis: Basis, reference: NDArray[np.float64], weights: NDArray[np.float64]) -> AveragedRatio:
    """Give the mixture of three fits to shifted chunks."""
    rng = np.random.default_rng(3)
    prepared = KernelModel(Reference(reference, weights), basis)
    fits = [prepared.fit(rng.normal(0.1, 1.0, size=(int(lam), 2)), lam) for lam in LAM]
    return AveragedRatio(coefficients=np.array([fit.coefficients for fit in fits]), log_weights=np.log(LAM))


def test_a_mixture_is_the_weighted_mean_of_its_ratios(basis: Basis, mixture: AveragedRatio):
    x = np.random.default_rng(4).normal(size=(200, 2))
    f = basis.features(x).astype(np.float64) @ mixture.coefficients.T

    assert mixture.form == "mixture"
    np.testing.assert_allclose(
        mixture.log_ratio(basis, x), np.log(np.average(np.exp(f), axis=1, weights=LAM)), atol=1e-12
    )


@pytest.mark.parametrize("models", [3, 0], ids=["mixture", "projection"])
def test_the_normalisation_is_subtracted(basis: Basis, mixture: AveragedRatio, models: int):
    x = np.zeros((1, 2))
    plain, normalised = (
        AveragedRatio(
            coefficients=mixture.coefficients[: max(models, 1)],
            log_weights=mixture.log_weights[:models],
            log_normalisation=log_normalisation,
        ).log_ratio(basis, x)
        for log_normalisation in (0.0, 0.25)
    )

    assert normalised == pytest.approx(plain - 0.25)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_mixture_survives_ratios_beyond_float64(basis: Basis, sign: int):
    """The larger of two models counts, halved: one has f = 0, the other 2000 or more, or -2000 or less."""
    x = np.random.default_rng(5).normal(size=(50, 2))
    psi = basis.features(x).astype(np.float64)
    a = np.zeros((2, basis.size))
    a[0, 0] = sign * 2000.0 / np.abs(psi[:, 0]).min()
    ratio = AveragedRatio(coefficients=a, log_weights=np.zeros(2))

    f = psi @ a[0]
    np.testing.assert_allclose(ratio.log_ratio(basis, x), np.maximum(f, 0) - np.log(2))


def test_a_projection_is_close_where_the_data_are(
    basis: Basis, mixture: AveragedRatio, reference: NDArray[np.float64], weights: NDArray[np.float64]
):
    """Within 0.05 of log rbar at 99 % of the reference and 0.015 rms, where log rbar itself has 0.24."""
    log_ratio = mixture.log_ratio(basis, reference)
    projection = project(basis, basis.features(reference), weights, log_ratio)
    apart = np.abs(projection.log_ratio(basis, reference) - log_ratio)

    assert projection.form == "projection"
    assert projection.coefficients.shape == (1, basis.size)
    assert log_ratio.std() > 0.2
    assert np.quantile(apart, 0.99) < 0.05
    assert np.sqrt(np.mean(apart**2)) < 0.015


def test_the_projection_of_one_model_is_that_model(
    basis: Basis, mixture: AveragedRatio, reference: NDArray[np.float64], weights: NDArray[np.float64]
):
    """But for the damping by mu / (mu + lambda)."""
    a = mixture.coefficients[0]
    features = basis.features(reference)
    projection = project(basis, features, weights, features.astype(np.float64) @ a)

    damped = a * basis.second_moment / (basis.second_moment + basis.lambda_)
    np.testing.assert_allclose(projection.coefficients[0], damped, atol=2e-3 * np.abs(a).max())


def test_bytes_give_the_same_ratio(basis: Basis, mixture: AveragedRatio):
    x = np.random.default_rng(6).normal(size=(20, 2))
    projection = AveragedRatio(
        coefficients=mixture.coefficients[:1], log_weights=np.empty(0), log_normalisation=-0.5
    )
    for ratio in (mixture, projection):
        again = AveragedRatio.from_bytes(ratio.to_bytes())

        assert again.form == ratio.form
        np.testing.assert_array_equal(again.log_ratio(basis, x), ratio.log_ratio(basis, x))
