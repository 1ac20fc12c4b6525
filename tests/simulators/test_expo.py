"""EXPO-1D has the densities that the papers state."""

from __future__ import annotations

import numpy as np
import pytest

from nplmon.simulators import expo
from nplmon.simulators.errors import SimulationError

X = np.linspace(0, 40, 400_001)


def _cumulative(density: np.ndarray) -> np.ndarray:
    pieces = 0.5 * (density[1:] + density[:-1]) * np.diff(X)
    return np.concatenate([[0.0], np.cumsum(pieces)])


def _distance_to(events: np.ndarray, density: np.ndarray) -> float:
    """KS distance of a sample to a density: sqrt(N) D is below 1.95 in 99.9 % of samples of that density."""
    x = np.sort(events[:, 0].astype(np.float64))
    expected = np.interp(x, X, _cumulative(density))
    steps = np.arange(len(x) + 1) / len(x)
    return float(max(np.abs(expected - steps[1:]).max(), np.abs(expected - steps[:-1]).max()))


def test_the_reference_is_exponential(rng):
    """sqrt(N) D < 1.95, the 99.9 % quantile of Kolmogorov's law."""
    events = expo.sample(rng, 100_000)
    assert events.shape == (100_000, 1)
    assert events.dtype == np.float32
    assert np.sqrt(len(events)) * _distance_to(events, expo.density(X)) < 1.95


@pytest.mark.parametrize("signal", expo.SIGNALS)
def test_each_signal_has_its_density(rng, signal):
    """sqrt(N) D < 1.95 for 20,000 events of each, and the density integrates to one."""
    density = expo.signal_density(X, signal)
    assert _cumulative(density)[-1] == pytest.approx(1.0, abs=1e-6)
    events = expo.sample_signal(rng, 20_000, signal)
    assert events.dtype == np.float32
    assert np.sqrt(len(events)) * _distance_to(events, density) < 1.95


def test_the_signals_are_the_published_ones():
    """Place, width and N_S/N; the excess is x^2 e^-x / 2, of mean 3."""
    assert {name: tuple(signal) for name, signal in expo.SIGNALS.items()} == {
        "bulk": (1.6, 0.16, 4.5e-2),
        "tail": (6.4, 0.16, 5e-3),
        "extreme-tail": (9.0, 0.16, 2.5e-3),
        "excess": (3.0, 0.0, 4.5e-2),
        "13": (4.0, 0.64, 13 / 2000),
    }


@pytest.mark.parametrize(
    ("signal", "events"), [("bulk", 90), ("tail", 10), ("extreme-tail", 5), ("excess", 90), ("13", 13)]
)
def test_the_benchmarks_add_their_published_number_of_events(rng, signal, events):
    """N = 2000 and N_S/N of 4.5e-2, 5e-3, 2.5e-3, 4.5e-2, and 13 events."""
    assert expo.sample_chunk(rng, 2000, signal, fluctuate=False).shape == (2000 + events, 1)
    assert expo.sample_chunk(rng, 2000, signal, strength=2.0, fluctuate=False).shape == (2000 + 2 * events, 1)


def test_fluctuating_counts_are_poisson(rng):
    """400 chunks of 2,013 expected: the mean within 4 sigma (9), variance/mean within 4 sigma (0.28) of 1."""
    counts = np.array([len(expo.sample_chunk(rng, 2000, "13")) for _ in range(400)])
    assert abs(counts.mean() - 2013) < 4 * np.sqrt(2013 / 400)
    assert abs(counts.var(ddof=1) / 2013 - 1) < 4 * np.sqrt(2 / 399)


def test_the_signal_is_mixed_in_at_random_places(rng):
    """Of 1,000 excess events among 1,000, the first half of the chunk holds 450 to 550 beyond x = 3 or so."""
    chunk = expo.sample_chunk(rng, 2000, "tail", strength=100, fluctuate=False)[:, 0]
    peak = np.abs(chunk - 6.4) < 0.8
    first = int(peak[: len(chunk) // 2].sum())
    assert peak.sum() == pytest.approx(1000, abs=15)
    assert abs(first - peak.sum() / 2) < 4 * np.sqrt(1000) / 2


def test_zero_events_and_refusals(rng):
    assert expo.sample(rng, 0).shape == (0, 1)
    assert expo.sample_chunk(rng, 0, "bulk").shape == (0, 1)
    with pytest.raises(SimulationError, match="events is -1: give 0 or more"):
        expo.sample(rng, -1)
    with pytest.raises(SimulationError, match=r"'hill'.*choose one of bulk, tail"):
        expo.sample_signal(rng, 10, "hill")
    with pytest.raises(SimulationError, match="strength is nan"):
        expo.sample_chunk(rng, 10, "bulk", strength=float("nan"))
