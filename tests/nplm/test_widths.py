"""Several kernel widths: the smallest p-value is calibrated jointly, by toys or by the widths' joint distribution."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from nplmon.nplm import KernelModel, Reference, RunResult, aggregate, aggregate_chosen, joint_p, minimum_p

SIGMAS = (0.4, 1.0, 2.5)
TOYS, SIZES = 60, (400, 600)


@cache
def models() -> list[KernelModel]:
    reference = Reference(np.random.default_rng(1).normal(size=(12_000, 1)))
    return [KernelModel.prepare(reference, centres=100, sigma=sigma, lambda_=3e-5) for sigma in SIGMAS]


def drawn(
    seed: int, shift: float = 0.0, mode: str = "shape"
) -> tuple[list[NDArray[np.float64]], list[float] | None]:
    rng = np.random.default_rng(seed)
    counts = SIZES if mode == "shape" else rng.poisson(SIZES)
    return [rng.normal(shift, 1.0, size=(n, 1)) for n in counts], None if mode == "shape" else list(
        map(float, SIZES)
    )


def runs_of(seed: int, shift: float = 0.0, mode: str = "shape") -> list[RunResult]:
    chunks, expected = drawn(seed, shift, mode)
    return [aggregate(model, chunks, expected) for model in models()]


def log_p_of(runs: list[RunResult]) -> NDArray[np.float64]:
    return np.array([run.statistics["t_agg"].log_p for run in runs])


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "kind"), [("shape", "t_agg"), ("rate", "t_score")])
def test_the_joint_p_without_toys_is_uniform(mode: str, kind: Literal["t_agg", "t_score"]):
    """60 ordinary runs at exposure 0.08, whose one draw of the reference's error shifts all by 0.08 deviations.

    The smallest p itself is too small: the joint p is above it, but for what 2,000 draws leave.
    """
    found, smallest = [], []
    for seed in range(TOYS):
        runs = runs_of(1_000 + seed, mode=mode)
        found.append(minimum_p(models(), runs, kind=kind, draws=2_000).p)
        smallest.append(np.exp(min(run.statistics[kind].log_p for run in runs)))

    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) > smallest) > 0.95
    assert np.mean(smallest) < np.mean(found) - 0.05


def test_with_and_without_toys_the_joint_p_is_the_same():
    """40 toys against 4,000 draws: the p-values agree within four binomial errors of the toys."""
    runs = runs_of(7, shift=0.04)
    toys = np.stack([log_p_of(runs_of(100 + seed)) for seed in range(40)])
    with_toys, without = joint_p(log_p_of(runs), toys), minimum_p(models(), runs, draws=4_000)

    assert with_toys.best == without.best == int(np.argmin(log_p_of(runs)))
    assert with_toys.resolution == pytest.approx(1 / 41)
    assert without.resolution == pytest.approx(1 / 4_001)
    assert abs(with_toys.p - without.p) < 4 * np.sqrt(without.p * (1 - without.p) / 40) + 1 / 41


def test_the_joint_p_lies_between_the_smallest_and_bonferroni_s():
    """With four binomial errors of the draws."""
    runs = runs_of(7, shift=0.06)
    smallest = float(np.exp(log_p_of(runs).min()))
    p = minimum_p(models(), runs, draws=20_000).p
    error = 4 * np.sqrt(p / 20_000) + 1 / 20_000

    assert smallest - error < p < len(SIGMAS) * smallest + error


def test_one_width_needs_no_correction():
    runs = runs_of(7, shift=0.03)[:1]
    wanted = float(np.exp(runs[0].statistics["t_agg"].log_p))
    found = minimum_p(models()[:1], runs, draws=20_000).p

    assert found == pytest.approx(wanted, abs=4 * np.sqrt(wanted / 20_000) + 1 / 20_000)


def test_a_clear_signal_reaches_the_resolution_and_no_further():
    found = minimum_p(models(), runs_of(7, shift=0.6), draws=500)

    assert found.p == found.resolution == 1 / 501


@pytest.mark.parametrize("mode", ["shape", "rate"])
def test_the_width_chosen_for_each_chunk_has_the_smallest_p(mode: str):
    chunks, expected = drawn(11, 0.1, mode)
    told: list[tuple[int, int]] = []
    run = aggregate_chosen(models(), chunks, expected, progress=lambda *done: told.append(done))
    each = [aggregate(model, chunks, expected) for model in models()]
    log_p = np.array([[one.log_p for one in found.chunk_statistics] for found in each])

    for k, best in enumerate(log_p.argmin(axis=0)):
        assert run.fits[k].statistic == pytest.approx(each[best].t_chunk[k], abs=1e-3)
    x = np.linspace(-2, 2, 9)[:, None]
    plain = sum(fit.expected * np.exp(fit.log_ratio(x)) for fit in run.fits) / run.expected
    np.testing.assert_allclose(run.log_ratio(x) + run.log_normalisation, np.log(plain), atol=1e-5)
    at_events = run.log_ratio(np.concatenate(chunks)).sum()
    away = 0.0 if mode == "shape" else np.mean(np.expm1(run.reference_log_ratio))
    assert run.values["t_agg"] == pytest.approx(2 * (at_events - run.expected * away), abs=1e-3)
    assert run.statistics == {}
    assert all("choose likewise" in reason for reason in run.uncalibrated.values())
    assert told[-1] == (6, 6)


def test_one_width_chosen_is_the_plain_aggregation():
    chunks, _ = drawn(12)
    chosen, plain = aggregate_chosen(models()[:1], chunks), aggregate(models()[0], chunks)

    for kind, value in chosen.values.items():
        assert value == pytest.approx(plain.values[kind], abs=2e-3), kind


def test_toys_count_with_ties_and_with_the_data():
    toys = np.log([[0.5, 0.2], [0.1, 0.9], [0.3, 0.3]])

    assert joint_p(np.log([0.2, 0.6]), toys).p == 3 / 4
    assert joint_p(np.log([0.01, 0.6]), toys).p == 1 / 4


def test_what_cannot_be_calibrated_is_refused():
    runs = runs_of(7)
    other = KernelModel.prepare(Reference(np.random.default_rng(2).normal(size=(500, 1))), centres=20)
    with pytest.raises(ValueError, match="different references"):
        minimum_p([models()[0], other], runs[:2])
    with pytest.raises(ValueError, match="no models"):
        aggregate_chosen([], [])
    with pytest.raises(ValueError, match="3 models, 2 runs"):
        minimum_p(models(), runs[:2])
    with pytest.raises(ValueError, match="of the same chunks"):
        minimum_p(models(), [*runs[:2], runs_of(7, mode="rate")[2]])
    uncalibrated = [aggregate_chosen(models()[:1], drawn(7)[0])]
    with pytest.raises(ValueError, match="t_agg has no null for 1 of the widths: the width is chosen"):
        minimum_p(models()[:1], uncalibrated)
    with pytest.raises(ValueError, match=r"p-values of shape \(2,\), toys of \(3, 1\)"):
        joint_p(np.zeros(2), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="not a number"):
        joint_p(np.array([np.nan]), np.zeros((3, 1)))
