"""Published behaviour on EXPO-1D: 8 chunks of 2,000, the reference 200,000 events, sigma 0.7, lambda 1e-6, known rate.

Aggregation beats the sum of the chunks' own tests and is no worse than one fit to all events (arXiv:2407.01249). The
separation is Z = (median of the signal - mean of the null) / deviation of the null, from 40 ordinary and 20 anomalous
runs against each of two references, averaged over these. Its errors are those of 500 bootstrap samples, in which runs
are drawn again with all their statistics. Seeds are fixed.

The benchmark's centres are placed by k-means++: of 1,000 drawn uniformly from e^-x the outermost lies at 7.5 on
average, and a Gaussian peak at 9 is seen only where one lies close. The numbers to reproduce were found with uniform
centres and one reference, by an independent implementation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from nplmon.nplm import KernelModel, Reference, aggregate
from nplmon.nplm.null import ChiSquareSum, Nulls
from nplmon.nplm.statistic import t_agg
from nplmon.simulators import expo

pytestmark = pytest.mark.slow

CHUNKS, EVENTS, REFERENCE = 8, 2_000, 200_000
REFERENCES, ORDINARY, ANOMALOUS, SAMPLES = 2, 40, 20, 500
KINDS = ("t_agg", "t_full", "t_sum")

Array = NDArray[np.float64]


class Runs(NamedTuple):
    """Statistics, (references, runs, 3) in the order of `KINDS`, and the chunks' own t, (references, runs, 8)."""

    values: Array
    t_chunk: Array


class Benchmark(NamedTuple):
    """The model of each reference, ordinary runs, and anomalous ones by signal."""

    models: list[KernelModel]
    ordinary: Runs
    anomalous: dict[str, Runs]


def run_many(model: KernelModel, rng: np.random.Generator, count: int, signal: str | None) -> Runs:
    """Fit all chunks of all runs side by side; the averages are written out in float32, as the features are."""
    runs = [[expo.sample_chunk(rng, EVENTS, signal) for _ in range(CHUNKS)] for _ in range(count)]
    fits = model.fit_together([events for run in runs for events in run], [float(EVENTS)] * CHUNKS * count)
    unions = [np.concatenate(run) for run in runs]
    lam = float(CHUNKS * EVENTS)
    full = model.fit_together(unions, [lam] * count)
    values = np.empty((count, len(KINDS)))
    t_chunk = np.array([fit.statistic for fit in fits]).reshape(count, CHUNKS)
    for number, union in enumerate(unions):
        own = fits[number * CHUNKS : (number + 1) * CHUNKS]
        models = np.stack([fit.coefficients for fit in own], axis=1).astype(np.float32)
        at_events, at_reference = (
            np.log(np.exp(psi @ models).mean(axis=1)).astype(np.float64)
            for psi in (model.basis.features(union), model.features)
        )
        aggregated = t_agg(at_events, at_reference, np.ones(REFERENCE), lam, "rate")
        values[number] = aggregated, full[number].statistic, t_chunk[number].sum()
    return Runs(values, t_chunk)


def prepared(placement: Literal["uniform", "k-means++"], signals: Sequence[str]) -> Benchmark:
    rngs = np.random.default_rng(20).spawn(REFERENCES)
    models = [
        KernelModel.prepare(
            Reference(expo.sample(rng, REFERENCE)),
            centres=1_000,
            placement=placement,
            sigma=0.7,
            lambda_=1e-6,
            seed=seed,
        )
        for seed, rng in enumerate(rngs)
    ]

    def runs(count: int, signal: str | None) -> Runs:
        found = [run_many(model, rng, count, signal) for model, rng in zip(models, rngs, strict=True)]
        return Runs(*(np.stack(one) for one in zip(*found, strict=True)))

    ordinary = runs(ORDINARY, None)
    return Benchmark(models, ordinary, {signal: runs(ANOMALOUS, signal) for signal in signals})


@pytest.fixture(scope="module")
def benchmark() -> Benchmark:
    return prepared("k-means++", list(expo.SIGNALS))


@pytest.fixture(scope="module")
def uniform() -> Benchmark:
    return prepared("uniform", ["13"])


def separation(ordinary: Array, anomalous: Array) -> Array:
    """Z of each statistic, (..., 3), from runs (..., references, runs, 3)."""
    away = np.median(anomalous, axis=-2) - ordinary.mean(axis=-2)
    return np.asarray((away / ordinary.std(axis=-2, ddof=1)).mean(axis=-2))


def bootstrapped(benchmark: Benchmark, signal: str) -> Array:
    """Z of each statistic in each bootstrap sample, (samples, 3)."""
    rng = np.random.default_rng(1)
    rows = np.arange(REFERENCES)[:, None]
    again = []
    for runs in (benchmark.ordinary, benchmark.anomalous[signal]):
        count = runs.values.shape[1]
        again.append(runs.values[rows, rng.integers(count, size=(SAMPLES, REFERENCES, count))])
    return separation(*again)


def test_the_averages_written_out_are_those_of_the_package(benchmark: Benchmark):
    rng, model = np.random.default_rng(3), benchmark.models[0]
    found = run_many(model, rng, 1, "13").values[0]
    rng = np.random.default_rng(3)
    chunks = [expo.sample_chunk(rng, EVENTS, "13") for _ in range(CHUNKS)]
    run = aggregate(model, chunks, [float(EVENTS)] * CHUNKS, union=True)

    assert found == pytest.approx([run.values["t_agg"], run.values["t_full"], run.values["t_sum"]], abs=2e-2)


@pytest.mark.parametrize("signal", expo.SIGNALS)
def test_aggregation_beats_the_sum_of_the_chunks_own_tests(benchmark: Benchmark, signal: str):
    """In 99 % of the bootstrap samples."""
    z = bootstrapped(benchmark, signal)

    assert np.quantile(z[:, 0] - z[:, 2], 0.01) > 0


@pytest.mark.parametrize("signal", expo.SIGNALS)
def test_aggregation_is_no_worse_than_one_fit_to_all_events(benchmark: Benchmark, signal: str):
    """Not significantly: the central 98 % of Z(t_agg) - Z(t_full) reach above 0; and not by a tenth."""
    z = bootstrapped(benchmark, signal)
    found = separation(benchmark.ordinary.values, benchmark.anomalous[signal].values)

    assert np.quantile(z[:, 0] - z[:, 1], 0.99) > 0
    assert found[0] > 0.9 * found[1]


@pytest.mark.parametrize(("kind", "wanted"), [("t_agg", 3.9), ("t_full", 3.4), ("t_sum", 1.1)])
def test_the_separation_of_13_events(uniform: Benchmark, kind: str, wanted: float):
    """Within three errors, of the runs and of the reference.

    The number to reproduce has one reference and about as many runs as we have for each of two. A reference's own
    error shifts the signal's scores, of squared length q = 18, by sqrt(8 x 2,000 / 200,000) in a random direction, and
    so moves t by 2 sqrt(0.08 q) = 2.4, which is 0.42 deviations of t_agg.
    """
    which = KINDS.index(kind)
    found = separation(uniform.ordinary.values, uniform.anomalous["13"].values)[which]
    of_one = np.hypot(REFERENCES**0.5 * bootstrapped(uniform, "13")[:, which].std(), 0.42)

    assert abs(found - wanted) < 3 * (1 + 1 / REFERENCES) ** 0.5 * of_one


def moments(t: Array) -> Array:
    """Mean, deviation and the quantiles at 95 % and 99 %."""
    return np.array([t.mean(), t.std(ddof=1), *np.quantile(t, [0.95, 0.99])])


@pytest.mark.parametrize("chunks", [1, CHUNKS])
def test_the_null(uniform: Benchmark, chunks: int):
    """One chunk: 14.81, 5.04, 24.1, 30.1 from 800; t_agg of eight: 15.84, 5.44, 24.9 from 100.

    Within three errors: those of these numbers and ours by bootstrap, and 0.65 for the reference and its centres, which
    is the deviation of the closed form's mean over 20 of them.
    """
    wanted, toys = ([14.81, 5.04, 24.1, 30.1], 800) if chunks == 1 else ([15.84, 5.44, 24.9], 100)
    t = (uniform.ordinary.t_chunk if chunks == 1 else uniform.ordinary.values[..., 0]).ravel()
    rng = np.random.default_rng(2)
    ours, theirs = (
        np.std([moments(rng.choice(t, size)) for _ in range(SAMPLES)], axis=0) for size in (t.size, toys)
    )
    error = np.sqrt(ours**2 + theirs**2 + 0.65**2 * (1 + 1 / REFERENCES))
    away = np.abs(moments(t)[: len(wanted)] - wanted)

    assert (away < 3 * error[: len(wanted)]).all(), (moments(t), wanted, error)


def closed_form(model: KernelModel, chunks: int) -> ChiSquareSum:
    h = EVENTS * model.basis.second_moment
    h = h / (h + model.basis.penalty(EVENTS))
    return Nulls(basis=model.basis, mode="rate").aggregated(float(chunks * EVENTS), h, h**2)


@pytest.mark.parametrize(
    ("chunks", "wanted"), [(1, [15.06, 5.30, 24.7, 30.2]), (CHUNKS, [16.10, 5.67, 26.4])]
)
def test_the_closed_form(uniform: Benchmark, chunks: int, wanted: list[float]):
    """Within three deviations over references and their centres, 0.65 of 15 and as much of the rest in proportion."""
    found = []
    for model in uniform.models:
        null = closed_form(model, chunks)
        found.append([null.mean, null.deviation, null.quantile(0.05), null.quantile(0.01)])
    allowed = 3 * 0.65 / 15 * (1 + 1 / REFERENCES) ** 0.5

    assert np.mean(found, axis=0)[: len(wanted)] == pytest.approx(wanted, rel=allowed)


@pytest.mark.parametrize("chunks", [1, CHUNKS])
def test_the_closed_form_is_that_of_the_runs(uniform: Benchmark, benchmark: Benchmark, chunks: int):
    """Means of each model: three standard errors, with the one reference's of exposure x deviation, and 4 %.

    The latter is for higher orders; the independent implementation found its runs 1.7 % below its closed form.
    """
    for found in (uniform, benchmark):
        for number, model in enumerate(found.models):
            t = (found.ordinary.t_chunk if chunks == 1 else found.ordinary.values[..., 0])[number]
            null = closed_form(model, chunks)
            error = null.deviation * np.hypot(t.size**-0.5, chunks * EVENTS / REFERENCE)
            assert abs(t.mean() - null.mean) < 3 * error + 0.04 * null.mean
