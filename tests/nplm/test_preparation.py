"""Nystrom centres: how they are placed, and that a part of them spans all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from nplmon.nplm.basis import gaussian_kernel, standardise
from nplmon.nplm.preparation import SPAN, nystrom_centres, prepare


@pytest.mark.parametrize(("dimensions", "sigma", "most"), [(1, 0.7, 30), (2, 1.5, 150), (5, 3.5, 300)])
def test_the_kept_centres_span_all(dimensions: int, sigma: float, most: int):
    """Each drawn kernel is within 1e-6 of the span of those kept, in the norm of the RKHS, where it has norm 1."""
    events = np.random.default_rng(1).normal(size=(5_000, dimensions))
    basis = prepare(events, centres=300, sigma=sigma, seed=3)
    drawn = nystrom_centres(standardise(events, basis.mean, basis.scale), 300, seed=3)

    assert len(drawn) == 300
    assert len(basis.centres) <= most
    across, kernel = (gaussian_kernel(x, basis.centres, sigma) for x in (drawn, basis.centres))
    left = 1 - np.einsum("ij,ij->i", across, linalg.solve(kernel, across.T, assume_a="pos").T)
    # Solving with so ill-conditioned a matrix adds rounding of its own.
    assert left.max() < 10 * SPAN + 1e-9


def test_components_are_orthonormal_in_the_rkhs():
    events = np.random.default_rng(2).normal(size=(5_000, 2))
    basis = prepare(events, centres=100, sigma=2.0)
    kernel = gaussian_kernel(basis.centres, basis.centres, basis.sigma)
    np.testing.assert_allclose(basis.projection.T @ kernel @ basis.projection, np.eye(basis.size), atol=1e-4)


def test_k_means_plus_plus_reaches_into_the_tail():
    """Of 20 uniform centres the outermost is at about 3.6; distances prefer the tail, in each of ten draws."""
    x = np.random.default_rng(3).exponential(size=(20_000, 1))
    reached = {
        placement: [nystrom_centres(x, 20, placement=placement, seed=seed).max() for seed in range(10)]
        for placement in ("uniform", "k-means++")
    }
    assert min(reached["k-means++"]) > max(reached["uniform"])


def test_k_means_plus_plus_is_repeatable_and_takes_only_what_there_is():
    x = np.repeat(np.arange(4.0), 5)[:, None]
    share = np.where(x[:, 0] == 2, 0.0, 1.0) / 15
    centres = nystrom_centres(x, 10, placement="k-means++", share=share, seed=1)
    assert sorted(centres[:, 0].tolist()) == [0.0, 1.0, 3.0]
    assert np.array_equal(centres, nystrom_centres(x, 10, placement="k-means++", share=share, seed=1))


def test_placement_changes_the_model():
    events = np.random.default_rng(4).exponential(size=(5_000, 1))
    uniform, spread = (prepare(events, centres=30, sigma=0.7, placement=p) for p in ("uniform", "k-means++"))
    assert spread.centres.max() > uniform.centres.max()


def test_the_width_of_a_weighted_reference_is_that_of_what_it_stands_for():
    """Twelve events, one of them with nearly all the weight, as a histogram's cells: most pairs coincide."""
    events = np.append(np.zeros(1), np.linspace(1, 4, 11))[:, None]
    weights = np.append([900.0], np.full(11, 10.0))
    alike = np.repeat(events, weights.astype(int), axis=0)

    weighted, plain = prepare(events, weights, centres=5), prepare(alike, centres=5)

    assert weighted.sigma == pytest.approx(plain.sigma, rel=0.1)
