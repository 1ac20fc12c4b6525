"""Tail probabilities of the nulls to p = 1e-9, against an independent way: exact quadratic forms and Imhof's integral.

The covariance of the scores is written out as a matrix, the weights are the eigenvalues of a non-symmetric product, of
which some may be negative (chunks of unequal sizes), and the tail is Imhof's (Biometrika 48, 1961, eq. 3.2).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from nplmon.nplm.basis import Basis
from nplmon.nplm.null import ChiSquareSum, Mode, Nulls
from nplmon.nplm.preparation import prepare
from nplmon.nplm.trajectory import null_sequence

P_VALUES = (0.5, 0.1, 1e-2, 1e-3, 1e-5, 1e-7, 1e-9)
SIZES = {
    "one": (500.0,),
    "equal": (500.0,) * 8,
    "factor 3": (300.0, 900.0, 600.0, 400.0),
    "factor 40": (50.0, 2_000.0, 400.0, 1_500.0, 100.0),
}


def imhof(weights: NDArray[np.float64], x: float) -> float:
    """P(sum w Z^2 > x) for weights of either sign, to about 1e-13: Gauss-Legendre on panels up to a safe end."""
    w = weights / np.abs(weights).max()
    x = x / np.abs(weights).max()
    # At the end the integrand's envelope is exp(-34).
    end = 1.0
    while np.log1p((w * end) ** 2).sum() / 4 < 34:
        end *= 1.1
    edges = np.arange(0, end + 1, min(1.0, 4 / (1 + x)))
    nodes, share = np.polynomial.legendre.leggauss(16)
    total = 0.0
    for low, high in pairwise(edges.tolist()):
        u = 0.5 * (high + low) + 0.5 * (high - low) * nodes
        angle = 0.5 * np.arctan(np.outer(u, w)).sum(axis=1) - 0.5 * x * u
        size = np.exp(0.25 * np.log1p(np.outer(u, w) ** 2).sum(axis=1))
        total += 0.5 * (high - low) * float(share @ (np.sin(angle) / (u * size)))
    return 0.5 + total / np.pi


def eigenvalues(form: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.linalg.eigvals(form @ covariance)
    assert abs(values.imag).max() < 1e-6 * abs(values.real).max()
    found = values.real
    return np.asarray(found[abs(found) > 1e-7 * abs(found).max()])


def exact_weights(basis: Basis, kind: str, mode: Mode, sizes: tuple[float, ...]) -> NDArray[np.float64]:
    """Eigenvalues of the statistic as a form in the sums X of scores and Y of h times scores, without a shortcut.

    The events' part of the scores has the covariance lam (1 - q q') in mode "shape" and lam in mode "rate"; that of the
    reference's means is lam^2 / N_eff (1 - q q') in both. t_sum is a form in the scores of all chunks.
    """
    lam = np.array(sizes)
    mu, m = basis.second_moment, basis.mean_feature
    h = lam[:, None] * mu / (lam[:, None] * mu + basis.lambda_ * (basis.events + lam)[:, None])
    one = np.eye(mu.size)
    of_means = one - np.outer(m, m) / np.sqrt(np.outer(mu, mu))
    of_events = of_means if mode == "shape" else one
    if kind == "t_sum":
        shared = np.outer(lam, lam) / basis.effective_events
        covariance = np.kron(np.diag(lam), of_events) + np.kron(shared, of_means)
        return eigenvalues(np.diag(((2 * h - h**2) / lam[:, None]).ravel()), covariance)
    total, error = lam.sum(), lam.sum() ** 2 / basis.effective_events
    mean = lam @ h / total
    both = np.einsum("k,ki,kj->ij", lam, h, h) * of_events + error * np.outer(mean, mean) * of_means
    cross = of_events * mean * total + of_means * mean * error
    covariance = np.block([[of_events * total + of_means * error, cross], [cross.T, both]])
    nothing = np.zeros_like(one)
    form = np.block(
        [[nothing, one], [one, -one]] if kind == "t_score" else [[nothing, nothing], [nothing, one]]
    )
    return eigenvalues(form / total, covariance)


def closed_form(basis: Basis, kind: str, mode: Mode, sizes: tuple[float, ...]) -> ChiSquareSum:
    if kind == "t_score":
        return null_sequence(basis, mode, sizes)[-1]
    lam = np.array(sizes)
    h = lam[:, None] * basis.second_moment
    h /= h + basis.lambda_ * (basis.events + lam)[:, None]
    total, nulls = float(lam.sum()), Nulls(basis=basis, mode=mode)
    first, second = lam @ h / total, lam @ h**2 / total
    if kind == "t_ref":
        return nulls.divergence(total, first, second)
    return nulls.total(total, lam.size, (2 * h - h**2).sum(axis=0), first, second)


def reference_basis(name: str) -> Basis:
    rng = np.random.default_rng(51)
    if name == "exponential":
        return prepare(rng.exponential(size=(5_000, 1)), centres=100, sigma=0.7, lambda_=1e-4)
    weights = rng.uniform(0.2, 2.0, size=6_000)
    return prepare(rng.normal(size=(6_000, 3)), weights, centres=60, sigma=2.0, lambda_=1e-3)


@pytest.mark.parametrize("degrees", [10, 20, 40])
@pytest.mark.parametrize("p", P_VALUES)
def test_the_independent_way_is_right(degrees: int, p: float):
    """For equal weights it gives scipy's chi-square."""
    assert imhof(np.full(degrees, 2.0), 2 * stats.chi2.isf(p, degrees)) == pytest.approx(p, rel=1e-3)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("mode", ["shape", "rate"])
@pytest.mark.parametrize("name", ["exponential", "three features, weighted"])
def test_tails_of_t_score(name: str, mode: Mode, sizes: tuple[float, ...]):
    """To 1e-3 relative down to 1e-9, the first order of t_agg too; what unequal sizes depend on m is simplified.

    Were the reference's count taken to fluctuate in mode "rate", the mean would be off by q q Lambda / N_eff.
    """
    basis = reference_basis(name)
    null = closed_form(basis, "t_score", mode, sizes)
    weights = exact_weights(basis, "t_score", mode, sizes)
    assert null.mean == pytest.approx(weights.sum(), rel=1e-6)
    for p in P_VALUES:
        assert imhof(weights, null.quantile(p)) == pytest.approx(p, rel=1e-3)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("mode", ["shape", "rate"])
@pytest.mark.parametrize("kind", ["t_ref", "t_sum"])
def test_tails_of_the_others(kind: str, mode: Mode, sizes: tuple[float, ...]):
    """To 1e-3 down to 1e-9; but t_sum takes unequal chunks for like their mean, which is off by up to 2.5 at 1e-9."""
    basis = reference_basis("exponential")
    null, weights = closed_form(basis, kind, mode, sizes), exact_weights(basis, kind, mode, sizes)
    assert null.mean == pytest.approx(weights.sum(), rel=1e-6)
    for p in (0.5, 1e-3, 1e-9):
        ratio = imhof(weights, null.quantile(p)) / p
        if kind == "t_sum" and len(set(sizes)) > 1:
            assert 0.95 < ratio < 2.5
        else:
            assert ratio == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("mode", ["shape", "rate"])
def test_tails_of_one_chunk(mode: Mode):
    """t_chunk has the null of a run of one chunk."""
    basis = reference_basis("exponential")
    null = Nulls(basis=basis, mode=mode).chunk(700.0)
    weights = exact_weights(basis, "t_score", mode, (700.0,))
    for p in P_VALUES:
        assert imhof(weights, null.quantile(p)) == pytest.approx(p, rel=1e-3)


@pytest.mark.parametrize("mode", ["shape", "rate"])
def test_large_p_values_agree_with_the_events_themselves(mode: Mode):
    """4,000 runs of unequal chunks of EXPO-1D events, each with its own reference of 5,000, at exposure 0.3.

    Scores are sums over events; the eigenbasis, once made, is any fixed set of functions, whose means m are those over
    the reference of the run. The number beyond the 50, 10 and 1 % quantiles lies in the central 99.9 % of the binomial,
    with 5 % for higher orders (chunks of 100 events are not quite Gaussian).
    """
    runs, sizes = 4_000, (100, 900, 500)
    rng = np.random.default_rng(52)
    basis = prepare(rng.exponential(size=(5_000, 1)), centres=60, sigma=1.0, lambda_=1e-3)
    # psi on a grid: rounding x to 0.0025 moves it by less than 1 %, and not on average.
    grid = np.linspace(0, 20, 8_001)
    psi = basis.features(grid[:, None]).astype(np.float64)
    lam = np.array(sizes, dtype=np.float64)
    h = lam[:, None] * basis.second_moment
    h = h / (h + basis.lambda_ * (basis.events + lam)[:, None])

    def sums(count: int) -> NDArray[np.float64]:
        cells = np.rint(rng.exponential(size=count) / 0.0025).astype(int)
        return np.asarray(np.bincount(np.minimum(cells, 8_000), minlength=8_001) @ psi)

    t = np.empty(runs)
    for k in range(runs):
        m = sums(5_000) / 5_000
        scores = [sums(n if mode == "shape" else rng.poisson(n)) - n * m for n in sizes]
        x = np.sum(scores, axis=0) / np.sqrt(basis.second_moment)
        y = np.sum(scores * h, axis=0) / np.sqrt(basis.second_moment)
        t[k] = (2 * x - y) @ y / lam.sum()
    null = null_sequence(basis, mode, lam.tolist())[-1]
    for p in (0.5, 0.1, 0.01):
        low, high = stats.binom.interval(0.999, runs, p)
        assert 0.95 * low <= np.count_nonzero(t >= null.quantile(p)) <= 1.05 * high
