"""Effect size and mean shifts: what noise alone gives, and intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.effect import EffectSize, FeatureSums, effect_size, reference_mean_error
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.null import Mode
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference


def of_run(run: Aggregation) -> EffectSize:
    h, h_squared = run.shrinkage_means
    return effect_size(
        run.basis,
        run.reference_features,
        run.weights,
        run.log_ratio(),
        mode=run.mode,
        expected=run.expected,
        h=h,
        h_squared=h_squared,
    )


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["shape", "rate"])
@pytest.mark.parametrize("events", [20_000, 4_000], ids=["exposure 0.1", "exposure 0.5"])
def test_noise_alone_has_the_expected_size(mode: Mode, events: int):
    """100 fitted runs of chunks of 1,000, 400 and 600 events under H0, a new reference for each five (each, at 0.5).

    The mean lies within 4 standard errors of the closed form, the deviation too (its relative error is about
    1 / sqrt(2 runs) = 0.07), with 3 % and 10 % for higher orders and the sampled reference events.
    """
    rng = np.random.default_rng(61)
    sizes: tuple[int, ...] = (1_000, 400, 600)
    found: list[float] = []
    for k in range(100):
        if k % (5 if events == 20_000 else 1) == 0:
            reference = Reference(rng.normal(size=(events, 2)))
            model = KernelModel.prepare(reference, centres=40, sigma=3.0, lambda_=1e-3)
        counts = sizes if mode == "shape" else rng.poisson(sizes)
        chunks = [rng.normal(size=(count, 2)) for count in counts]
        run = Aggregation(model.basis, model.features, None, mode, event_cap=0)
        for fit, events_ in zip(model.fit_together(chunks, sizes), chunks, strict=True):
            run.apply(fit.coefficients, fit.score, fit.statistic, fit.expected, events_)
        found.append(np.abs(np.expm1(run.log_ratio())).mean())
    values, last = np.array(found), of_run(run)
    mean, deviation = last.null_mean, last.null_deviation

    assert abs(values.mean() - mean) < 4 * deviation / 10 + 0.03 * mean
    assert values.std() == pytest.approx(deviation, rel=4 * 0.07 + 0.1)
    assert last.value == pytest.approx(values[-1], rel=1e-9)


def test_a_difference_stands_out_of_the_noise():
    """Events moved by 0.3 deviations: E|r - 1| is 0.24 exactly; the excess has most of it, and shrinkage some."""
    rng = np.random.default_rng(62)
    model = KernelModel.prepare(Reference(rng.normal(size=(20_000, 1))), centres=50, sigma=1.5, lambda_=1e-4)
    chunks = [rng.normal(0.3, size=(1_000, 1)) for _ in range(8)]
    run = Aggregation(model.basis, model.features, None, "shape", event_cap=0)
    for fit, events in zip(model.fit_together(chunks, [1_000.0] * 8), chunks, strict=True):
        run.apply(fit.coefficients, fit.score, fit.statistic, fit.expected, events)
    found = of_run(run)
    truth = 2 * (stats.norm.cdf(0.15) - stats.norm.cdf(-0.15))

    assert found.value == pytest.approx(truth, rel=0.15)
    assert found.excess > 5 * found.null_deviation
    assert found.excess == found.value - found.null_mean


def test_noise_falls_as_events_come():
    basis = prepare(np.random.default_rng(63).normal(size=(50_000, 2)), centres=50, lambda_=1e-3)
    features = basis.features(np.random.default_rng(63).normal(size=(50_000, 2)))
    h = 500 * basis.second_moment / (500 * basis.second_moment + basis.penalty(500))

    def noise(expected: float) -> float:
        flat = np.zeros(50_000)
        one = effect_size(
            basis, features, flat + 1, flat, mode="shape", expected=expected, h=h, h_squared=h**2
        )
        return one.null_mean

    exposure = np.sqrt((1 + 500 / 50_000) / (1 + 8_000 / 50_000))
    assert noise(500.0) / noise(8_000.0) == pytest.approx(4 * exposure, rel=1e-9)


@pytest.mark.parametrize("mode", ["shape", "rate"])
def test_the_closed_form_is_that_of_gaussian_coefficients(mode: Mode):
    """2,000 draws of the coefficients with their covariance, a mean of 1 imposed in mode "shape", at all events.

    The mean is known to deviation / sqrt(2,000), the deviation to 1.6 %; 2 % and 8 % are allowed for the sampled
    reference events.
    """
    rng = np.random.default_rng(68)
    events = rng.normal(2.0, 1.0, size=(4_000, 1))
    basis = prepare(events, centres=30, sigma=0.4, lambda_=3e-2)
    features = basis.features(events)
    h = 900 * basis.second_moment / (900 * basis.second_moment + basis.penalty(900))
    flat = np.zeros(4_000)
    found = effect_size(basis, features, flat + 1, flat, mode=mode, expected=900.0, h=h, h_squared=h**2)
    mu, m = basis.second_moment, basis.mean_feature
    of_means = np.diag(mu) - np.outer(m, m)
    covariance = (of_means if mode == "shape" else np.diag(mu)) + of_means * 900 / 4_000
    covariance = covariance * np.outer(h / mu, h / mu) / 900
    f = features @ rng.multivariate_normal(np.zeros(mu.size), covariance, size=2_000).T
    draws = np.abs(f - (f.mean(axis=0) if mode == "shape" else 0)).mean(axis=0)

    assert found.null_mean == pytest.approx(draws.mean(), rel=0.02)
    assert found.null_deviation == pytest.approx(draws.std(), rel=0.08)


def test_weights_that_go_with_a_feature_enter_the_error_of_its_mean():
    """400 references with weights exp(0.7 x): the spread of their means, known to 3.5 %, is the error, not N_eff's."""
    rng = np.random.default_rng(69)
    means, errors = [], []
    for _ in range(400):
        x = rng.normal(size=(2_000, 1))
        reference = Reference(x, np.exp(0.7 * x[:, 0]))
        basis = prepare(x, reference.weights, centres=5, sigma=3.0, lambda_=1e-2)
        means.append(basis.mean[0])
        errors.append(reference_mean_error(basis, reference)[0] * basis.scale[0])

    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.12)
    assert np.mean(errors) > 1.1 * basis.scale[0] / basis.effective_events**0.5


def test_a_ratio_that_overflows_is_an_infinite_effect():
    events = np.random.default_rng(64).normal(size=(1_000, 1))
    basis = prepare(events, centres=20)
    h = np.full(basis.size, 0.5)
    found = effect_size(
        basis,
        basis.features(events),
        np.ones(1_000),
        np.full(1_000, 800.0),
        mode="rate",
        expected=100.0,
        h=h,
        h_squared=h**2,
    )

    assert found.value == np.inf


@pytest.mark.parametrize("size", [20, 1_000])
@pytest.mark.parametrize("weighted", [False, True])
def test_intervals_of_mean_shifts_cover(size: int, weighted: bool):
    """800 pairs of data and reference of 1,000 with a shift of 0.4 and data of twice the spread: 95 % intervals.

    The number that cover lies in the central 99.9 % of the binomial. Weights, where there are any, grow with the first
    feature: 1 / sqrt(N_eff) would be wrong for it.
    """
    rng = np.random.default_rng(65)
    covered, pairs = np.zeros(2), 800
    for _ in range(pairs):
        if weighted:
            x = rng.normal(size=(1_000, 2))
            reference = Reference(x, np.exp(0.7 * x[:, 0]))  # its first feature has mean 0.7
            centre = np.array([0.7, 0.0])
        else:
            reference, centre = Reference(rng.normal(size=(1_000, 2))), np.zeros(2)
        basis = prepare(reference.events, reference.weights, centres=5, sigma=3.0, lambda_=1e-2)
        data = rng.normal(centre + np.array([0.4, 0.0]), 2.0, size=(size, 2))
        found = FeatureSums.of(basis, data).shifts(reference_mean_error(basis, reference))
        truth = np.array([0.4, 0.0]) / basis.scale
        covered += (found.low <= truth) & (truth <= found.high)
    low, high = stats.binom.interval(0.999, pairs, 0.95)

    assert (low <= covered).all()
    assert (covered <= high).all()


def test_chunks_add_up():
    rng = np.random.default_rng(66)
    reference = Reference(rng.normal(3.0, 2.0, size=(5_000, 2)))
    basis = prepare(reference.events, centres=10)
    error = reference_mean_error(basis, reference)
    one, other = rng.normal(3.0, 2.0, size=(2, 300, 2))
    both = FeatureSums.of(basis, np.concatenate([one, other])).shifts(error)
    added = (FeatureSums.of(basis, one) + FeatureSums.of(basis, other)).shifts(error)

    assert np.allclose(added.low, both.low)
    assert np.allclose(both.shift, (np.concatenate([one, other]).mean(axis=0) - basis.mean) / basis.scale)
    assert np.allclose(both.error, np.sqrt(1 / 600 + 1 / 5_000), rtol=0.1)
    assert np.allclose((both.high - both.low) / both.error, 2 * 1.96, rtol=0.01)


def test_a_constant_feature_has_the_error_of_the_reference_alone():
    reference = Reference(np.random.default_rng(67).normal(size=(5_000, 1)))
    basis = prepare(reference.events, centres=10)
    error = reference_mean_error(basis, reference)
    found = FeatureSums.of(basis, np.full((100, 1), 2.0)).shifts(error)

    assert found.error == pytest.approx(error)
    assert found.low[0] > 1.8


@pytest.mark.parametrize(("events", "confidence", "message"), [(1, 0.95, "1 events"), (5, 1.0, "1.0")])
def test_shifts_without_an_interval_are_refused(events: int, confidence: float, message: str):
    sums = FeatureSums(events, np.zeros(2), np.ones(2))
    with pytest.raises(ValueError, match=message):
        sums.shifts(np.ones(2), confidence)
