"""E-processes over whole streams: false alarms and run lengths under H0, power where there is something to find."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from nplmon.nplm.eprocess import EProcess
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference

# A minute each on an idle core; more where the machine is shared.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

REFERENCES, STREAMS, CHUNKS, EVENTS = 20, 50, 100, 100
FORMS = ("poisson", "two_sample")


class Streams(NamedTuple):
    """Logs of E, S and M after each chunk, float64 (streams, chunks)."""

    e: NDArray[np.float64]
    sr: NDArray[np.float64]
    cusum: NDArray[np.float64]


@pytest.fixture(scope="module")
def ordinary() -> dict[str, Streams]:
    """Give 1,000 streams of 100 ordinary chunks, 50 on each of 20 references of 5,000 events: exposure 2 at the end.

    Reduced, so that it takes a minute: chunks of 100 events; two pool events for each of them in place of five; at most
    8 models kept; and a chunk's model is one Newton step from 0 in place of the minimum. What is to be shown holds for
    any model that is learned from the past. The penalty of 1e-3 lets E move by a few units of its logarithm: bets that
    are much bolder lose everything under H0, and would not show whether they are fair.
    """
    rng = np.random.default_rng(1)
    logs = np.empty((len(FORMS), 3, REFERENCES * STREAMS, CHUNKS))
    for number in range(REFERENCES):
        reference = rng.exponential(size=(5_000, 1))
        basis = prepare(reference, centres=100, sigma=0.7, lambda_=1e-3)
        features = basis.features(reference)
        curvature = EVENTS * basis.second_moment + basis.penalty(EVENTS)
        for stream in range(number * STREAMS, (number + 1) * STREAMS):
            chunks = rng.exponential(size=(CHUNKS, EVENTS, 1))
            psi = basis.features(chunks.reshape(-1, 1)).reshape(CHUNKS, EVENTS, -1)
            models = (psi.sum(axis=1, dtype=np.float64) - EVENTS * basis.mean_feature) / curvature
            pool = rng.exponential(size=(3 * CHUNKS * EVENTS, 1))
            process = EProcess(basis, features, None, "shape", chunk_share=1 / 3, model_cap=8)
            for k in range(CHUNKS):
                found = process.apply(models[k], EVENTS, chunks[k], pool[process.pool_used :], rng)
                assert not found.starved
                for form, one in enumerate((process.poisson, process.two_sample)):
                    logs[form, :, stream, k] = one.log_e, one.log_sr, one.log_cusum
    return {form: Streams(*logs[i]) for i, form in enumerate(FORMS)}


@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_the_exact_form_crosses_as_rarely_as_promised(ordinary: dict[str, Streams], alpha: float):
    """At most the 99 % quantile of the binomial distribution; and it does move, or that would be easy."""
    e = ordinary["two_sample"].e
    crossings = int((e.max(axis=1) >= -math.log(alpha)).sum())

    assert crossings <= stats.binom.ppf(0.99, len(e), alpha)
    assert e[:, -1].std() > 1


def test_the_poisson_form_fails_on_a_small_reference(ordinary: dict[str, Streams]):
    """It takes the reference's own fluctuation for a difference: at exposure 2 it crosses 1 / 0.01 far too often."""
    crossings = int((ordinary["poisson"].e.max(axis=1) >= math.log(100)).sum())

    assert stats.binom.sf(crossings - 1, REFERENCES * STREAMS, 0.01) < 1e-6


def test_the_poisson_form_holds_while_the_exposure_is_small(ordinary: dict[str, Streams]):
    """The same streams up to exposure 0.2, where the reference adds a fifth of a chunk's variance to ten chunks."""
    crossings = int((ordinary["poisson"].e[:, :10].max(axis=1) >= math.log(20)).sum())

    assert crossings <= stats.binom.ppf(0.99, REFERENCES * STREAMS, 0.05)


def run_lengths(log: NDArray[np.float64], level: float) -> NDArray[np.int_]:
    """Give the chunks up to the first alarm, or the stream's length where there is none."""
    alarm = log >= math.log(level)
    return np.where(alarm.any(axis=1), alarm.argmax(axis=1) + 1, CHUNKS)


@pytest.mark.parametrize("level", [20, 50])
@pytest.mark.parametrize("detector", ["sr", "cusum"])
def test_run_lengths_are_as_long_as_promised(ordinary: dict[str, Streams], detector: str, level: int):
    """The 99 % lower bound of the mean run length is at least A, although streams end after 100 chunks."""
    lengths = run_lengths(getattr(ordinary["two_sample"], detector), level)

    assert lengths.mean() - 2.33 * lengths.std() / math.sqrt(len(lengths)) >= level


def test_the_sum_grows_by_one_per_chunk_on_average(ordinary: dict[str, Streams]):
    """S_n - n is a martingale: stopped at the alarm, its mean is 0, within 3 standard errors."""
    sr = ordinary["two_sample"].sr
    lengths = run_lengths(sr, 20)
    excess = np.exp(sr[np.arange(len(sr)), lengths - 1]) - lengths

    assert abs(excess.mean()) < 3 * excess.std() / math.sqrt(len(excess))


def test_the_poisson_detector_fails_on_a_small_reference(ordinary: dict[str, Streams]):
    lengths = run_lengths(ordinary["poisson"].sr, 50)

    assert lengths.mean() + 2.33 * lengths.std() / math.sqrt(len(lengths)) < 50


def test_power():
    """EXPO-1D, N_R = 100,000: 25 streams of 30 chunks with 13 events at N(4, 0.64) among 2,000, E >= 100.

    The figures to compare with are from 25 streams too: by chunk 8, 15, 30 the Poisson form had crossed in 3, 12, 25
    of them, a two-sample form with five pool events for each event in 1, 11, 19. Ours must be compatible (Fisher's
    exact test at 1 %).
    """
    rng = np.random.default_rng(11)
    model = KernelModel.prepare(Reference(rng.exponential(size=(100_000, 1))), centres=1000, sigma=0.7)
    looks, crossed = np.array([8, 15, 30]), np.zeros((2, 3), dtype=int)
    for stream in range(25):
        chunks = [
            np.concatenate(
                [rng.exponential(size=rng.poisson(2_000)), rng.normal(4, 0.64, size=rng.poisson(13))]
            )
            for _ in range(30)
        ]
        columns = [events[:, None] for events in chunks]
        fits = model.fit_together(columns, [2_000.0] * 30)
        process = EProcess(model.basis, model.features, None, "rate")
        peaks = np.empty((2, 30))
        for k, (events, fitted) in enumerate(zip(columns, fits, strict=True)):
            coins, fresh = np.random.default_rng([stream, k]), rng.exponential(size=(13_000, 1))
            process.apply(fitted.coefficients, 2_000.0, events, fresh, coins)
            peaks[:, k] = process.poisson.log_peak, process.two_sample.log_peak
        crossed += peaks[:, looks - 1] >= math.log(100)

    for ours, wanted in zip(crossed.ravel().tolist(), (3, 12, 25, 1, 11, 19), strict=True):
        table = [[ours, 25 - ours], [wanted, 25 - wanted]]
        assert stats.fisher_exact(table).pvalue > 0.01, crossed
