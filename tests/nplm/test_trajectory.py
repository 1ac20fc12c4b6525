"""Closed-form trajectories of t_score: their nulls at each chunk, their correlation, and real runs beside them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import interpolate, stats

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.basis import Basis
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.null import ChiSquareSum, Mode
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference
from nplmon.nplm.trajectory import null_sequence, null_trajectories

TOYS = 4_000
RUNS, CHUNKS, SIZE = 120, 6, 400


def exponential_basis(events: int, lambda_: float = 1e-4) -> Basis:
    return prepare(
        np.random.default_rng(41).exponential(size=(events, 1)), centres=100, sigma=0.7, lambda_=lambda_
    )


def log_tails(null: ChiSquareSum, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolated to 1e-4."""
    nodes = np.linspace(t.min(), t.max(), 80)
    return np.asarray(interpolate.PchipInterpolator(nodes, [null.log_tail(x) for x in nodes])(t))


@pytest.mark.parametrize("mode", ["shape", "rate"])
@pytest.mark.parametrize("events", [3_000, 100_000], ids=["exposure to 2", "exposure to 0.06"])
def test_the_distribution_after_each_chunk_is_the_null(mode: Mode, events: int):
    """KS tests of 4,000 toys after 1, 8 and 32 chunks; the three are not independent, nor need they be."""
    basis, run = exponential_basis(events), [200.0] * 32
    t = null_trajectories(basis, mode, run, TOYS, np.random.default_rng(42))
    nulls = null_sequence(basis, mode, run)
    for n in (1, 8, 32):
        p = np.exp(log_tails(nulls[n - 1], t[:, n - 1]))
        assert stats.kstest(p, "uniform").pvalue > 0.01
        # The tail too: beyond the 1 % quantile lies a number in the central 99.9 % of the binomial.
        low, high = stats.binom.interval(0.999, TOYS, 0.01)
        assert low <= np.count_nonzero(p <= 0.01) <= high


@pytest.mark.parametrize("mode", ["shape", "rate"])
def test_the_mean_for_chunks_of_any_size(mode: Mode):
    """Within 4 standard errors at each chunk; where sizes differ the closed form has the exact mean."""
    basis, run = exponential_basis(5_000), [50.0, 800.0, 200.0, 100.0, 1_500.0, 20.0]
    t = null_trajectories(basis, mode, run, TOYS, np.random.default_rng(43))
    for n, null in enumerate(null_sequence(basis, mode, run)):
        assert abs(t[:, n].mean() - null.mean) < 4 * null.deviation / TOYS**0.5
        assert t[:, n].std() == pytest.approx(null.deviation, rel=0.1)


@pytest.mark.parametrize("mode", ["shape", "rate"])
def test_equal_chunks_scale_one_null(mode: Mode):
    """The short cut for equal chunks gives what unequal ones give in the limit."""
    basis = exponential_basis(3_000)
    equal = null_sequence(basis, mode, [200.0] * 5)
    nearly = null_sequence(basis, mode, [200.0] * 4 + [200.0 * (1 + 1e-12)])
    for one, other in zip(equal, nearly, strict=True):
        np.testing.assert_allclose(one.weights, other.weights, rtol=1e-6, atol=1e-8 * one.weights.max())


def test_values_are_correlated_by_the_clock():
    """Corr(t_n, t_m) = v_m / v_n with v_n = 1 / Lambda_n + 1 / N_eff, for n < m: the run's clock is -log v.

    A sample correlation of 20,000 toys has a standard error below 1 / sqrt(20,000) = 0.007, a few times more for
    squares of Gaussian numbers; 0.03 is allowed.
    """
    basis = exponential_basis(3_000)
    t = null_trajectories(basis, "rate", [200.0] * 32, 20_000, np.random.default_rng(44))
    v = 1 / (200.0 * np.arange(1, 33)) + 1 / 3_000
    for n, m in ((1, 2), (1, 8), (4, 8), (8, 32), (16, 32)):
        found = np.corrcoef(t[:, n - 1], t[:, m - 1])[0, 1]
        assert found == pytest.approx(v[m - 1] / v[n - 1], abs=0.03)


def test_the_same_numbers_give_the_same_trajectories():
    basis = exponential_basis(3_000)
    one, again, other = (
        null_trajectories(basis, "shape", [100.0] * 3, 50, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )

    np.testing.assert_allclose(one, again, rtol=1e-9)
    assert not np.allclose(one, other)


def test_memory_beside_the_result_does_not_grow_with_the_toys():
    basis = exponential_basis(3_000, lambda_=1e-8)
    peaks = []
    for toys in (50_000, 200_000):
        tracemalloc.start()
        result = null_trajectories(basis, "shape", [100.0] * 2, toys, np.random.default_rng(3))
        peaks.append(tracemalloc.get_traced_memory()[1] - result.nbytes)
        tracemalloc.stop()

    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 30e6


@pytest.mark.parametrize("expected", [[], [100.0, 0.0], [-1.0], [float("nan")], [float("inf")]])
def test_chunks_that_are_none_are_refused(expected: list[float]):
    with pytest.raises(ValueError, match="positive counts"):
        null_trajectories(exponential_basis(3_000), "shape", expected, 10, np.random.default_rng(0))


def test_no_toys_are_refused():
    with pytest.raises(ValueError, match="0 toys"):
        null_trajectories(exponential_basis(3_000), "shape", [100.0], 0, np.random.default_rng(0))


@pytest.fixture(scope="module", params=["shape", "rate"])
def runs(request: pytest.FixtureRequest) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Give log p after each chunk of fitted runs, for t_score and t_agg, and of closed-form toys."""
    mode: Mode = request.param
    rng = np.random.default_rng(45)
    reference = Reference(rng.exponential(size=(40_000, 1)))
    model = KernelModel.prepare(reference, centres=60, sigma=0.7, lambda_=1e-4)
    counts = np.full((RUNS, CHUNKS), SIZE) if mode == "shape" else rng.poisson(SIZE, size=(RUNS, CHUNKS))
    chunks = [rng.exponential(size=(count, 1)) for count in counts.ravel()]
    fits = model.fit_together(chunks, [float(SIZE)] * len(chunks))
    real = {"t_score": np.empty((RUNS, CHUNKS)), "t_agg": np.empty((RUNS, CHUNKS))}
    for k in range(RUNS):
        run = Aggregation(model.basis, model.features, None, mode, event_cap=10**6)
        for n in range(CHUNKS):
            fit, events = fits[CHUNKS * k + n], chunks[CHUNKS * k + n]
            run.apply(fit.coefficients, fit.score, fit.statistic, float(SIZE), events)
            found = run.statistics()
            real["t_score"][k, n], real["t_agg"][k, n] = found["t_score"].log_p, found["t_agg"].log_p
    nulls = null_sequence(model.basis, mode, [float(SIZE)] * CHUNKS)
    t = null_trajectories(model.basis, mode, [float(SIZE)] * CHUNKS, TOYS, rng)
    return real, np.stack([log_tails(null, column) for null, column in zip(nulls, t.T, strict=True)], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["t_score", "t_agg"])
def test_runs_of_real_fits_have_these_trajectories(
    runs: tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]], kind: str
):
    """120 runs of 6 fitted chunks of 400 EXPO-1D events against 4,000 closed-form toys, by what an alarm looks at.

    That is the smallest p of a run, the last p, and how far p moves between chunks 2 and 6: two-sample KS tests of each
    at 1 %. One reference of 40,000, an exposure of 0.06: its one error shifts all runs by 0.06 deviations, which 120
    runs do not resolve.
    """
    real, toys = runs[0][kind], runs[1]
    for one, other in (
        (real.min(axis=1), toys.min(axis=1)),
        (real[:, -1], toys[:, -1]),
        (abs(real[:, -1] - real[:, 1]), abs(toys[:, -1] - toys[:, 1])),
    ):
        assert stats.ks_2samp(one, other).pvalue > 0.01
