"""Thresholds on the rate by expected run length: against simulated counts, toys and what one look must give."""

from __future__ import annotations

import numpy as np
import pytest

from nplmon.nplm.errors import StateError
from nplmon.nplm.rate import Counted
from nplmon.nplm.run_length import run_length_thresholds
from nplmon.nplm.survivors import Survivors

ERT, TOYS, CHUNKS = 50, 10_000, 100


def z_of(variance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw |Z| after each look from its covariance: Brownian motion in the variance, from the last look back."""
    steps = np.diff(np.append(0.0, variance[::-1]))
    motion = np.cumsum(rng.standard_normal((TOYS, len(variance))) * np.sqrt(steps), axis=1)[:, ::-1]
    return np.abs(motion / np.sqrt(variance))


@pytest.mark.parametrize("control", [np.inf, 3_000.0], ids=["known rate", "control"])
def test_simulated_runs_cross_with_the_hazard_asked_for(control: float) -> None:
    """10,000 runs of 100 chunks whose sizes vary by a factor of 30: crossings per chunk at risk are 1 / ERT.

    Their number is Poisson to a part in 50 (about 8,700), and lies within 3.3 deviations (99.9 %); that of the first
    ten and of the last ten chunks too. Thresholds for equal chunks, or without the control's error, fail.
    """
    rng = np.random.default_rng(81)
    variance = 1 / np.cumsum(np.exp(rng.uniform(3, 6.4, CHUNKS))) + 1 / control
    runs = Survivors(ERT)
    thresholds = []
    for v in variance:
        runs.look(v)
        thresholds.append(runs._threshold)
    crossed = z_of(variance, rng) >= np.array(thresholds)
    at_risk = np.cumprod(~crossed, axis=1).sum(axis=0) + 0.0
    at_risk = np.append(TOYS, at_risk[:-1])
    first = np.bincount(crossed.argmax(axis=1)[crossed.any(axis=1)], minlength=CHUNKS)
    for chunks in (slice(None), slice(10), slice(-10, None)):
        expected = at_risk[chunks].sum() / ERT
        assert abs(first[chunks].sum() - expected) < 3.3 * expected**0.5


def test_counts_of_poisson_chunks_alarm_as_rarely_as_asked_for() -> None:
    """2,000 runs of up to 150 chunks of 40 expected events against a known rate, exact p-values.

    The run length, censored at 150, has an error of 1 / sqrt(alarms), about 1,900: 2.6 of them (99 %) are 6 %. Counts
    are discrete and p two-sided, so that it may be longer by a few percent, not shorter.
    """
    rng = np.random.default_rng(82)
    runs = Survivors(ERT)
    log_p = np.array([runs.look(1 / (40.0 * n)) for n in range(1, 151)])
    totals = np.cumsum(rng.poisson(40, size=(2_000, 150)), axis=1)
    crossed = np.zeros(totals.shape, dtype=bool)
    for n in range(150):
        counts, inverse = np.unique(totals[:, n], return_inverse=True)
        found = [Counted(int(count), n + 1.0).against_rate(40.0).log_p for count in counts]
        crossed[:, n] = np.array(found)[inverse] <= log_p[n]
    alarms = crossed.any(axis=1)
    length = np.where(alarms, crossed.argmax(axis=1) + 1, 150).sum() / alarms.sum()
    assert 0.94 * ERT < length < 1.12 * ERT


def test_it_gives_what_toys_give() -> None:
    """Thresholds of `run_length_thresholds` from 10,000 toys: within 1.7 times their 95 % intervals."""
    variance = 1 / np.arange(1.0, CHUNKS + 1)
    toys = run_length_thresholds(z_of(variance, np.random.default_rng(83)), ERT)
    runs = Survivors(ERT)
    for n in range(CHUNKS):
        runs.look(variance[n])
        assert abs(runs._threshold - toys.values[n]) < 1.7 * (toys.upper[n] - toys.lower[n])


@pytest.mark.parametrize("run_length", [2, 100, 1e6, 1e8])
def test_the_first_look_is_at_p_of_one_over_ert(run_length: float) -> None:
    assert np.exp(Survivors(run_length).look(0.01)) == pytest.approx(1 / run_length, rel=0.02)


def test_looks_that_are_nearly_the_same_are_one() -> None:
    """300 looks at an exposure that grows by 1e-6 each see nothing new: no run crosses in them.

    At the next look of its own ten chunks' crossings are due, whose share of the survivors is that of ten hazards, and
    not the 300 chunks', which would be most of them.
    """
    many, ten, one = Survivors(ERT), Survivors(ERT), Survivors(ERT)
    first = many.look(0.01)
    assert first == ten.look(0.01) == one.look(0.01)
    for k in range(300):
        assert many.look(0.01 / (1 + 1e-6 * k)) == first
    for k in range(9):
        ten.look(0.01 / (1 + 1e-6 * k))
    assert many.look(0.005) == pytest.approx(ten.look(0.005))
    assert many.log_p > one.look(0.005) + np.log(5)


def test_it_goes_on_from_what_was_saved() -> None:
    runs, other = Survivors(ERT), Survivors(ERT)
    for n in range(1, 6):
        runs.look(1 / n)
    other.restore(runs.to_array())
    assert other.log_p == runs.log_p
    assert [runs.look(1 / n) for n in range(6, 10)] == [other.look(1 / n) for n in range(6, 10)]
    with pytest.raises(StateError, match="is no distribution"):
        other.restore(np.zeros(5))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="run length of 1 chunks"):
        Survivors(1)
    runs = Survivors(ERT)
    runs.look(0.5)
    for variance in (0.0, -1.0, 0.6, float("nan")):
        with pytest.raises(ValueError, match="positive and falls"):
            runs.look(variance)
