"""EXPO-1D, the one-dimensional benchmark of the NPLM papers: e^-x and five ways to disturb it.

n(x|H0) = N e^-x for x >= 0, with N = 2000 in a chunk; a signal adds N_S events to it
(arXiv:1806.02350, arXiv:2204.02317).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nplmon.simulators.errors import SimulationError, positive_count, within

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "EXPECTED",
    "FEATURES",
    "SIGNALS",
    "UNITS",
    "Signal",
    "density",
    "sample",
    "sample_chunk",
    "sample_signal",
    "signal_density",
]

FEATURES = ("x",)
UNITS = ("",)

EXPECTED = 2000
"""Expected background events in one chunk of the benchmark."""


class Signal(NamedTuple):
    """A disturbance of the exponential.

    `location` and `width` are those of a Gaussian peak; `width` 0 means the excess x^2 e^-x / 2 instead.
    `fraction` is N_S / N.
    """

    location: float
    width: float
    fraction: float


SIGNALS = {
    "bulk": Signal(1.6, 0.16, 4.5e-2),
    "tail": Signal(6.4, 0.16, 5e-3),
    "extreme-tail": Signal(9.0, 0.16, 2.5e-3),
    "excess": Signal(3.0, 0.0, 4.5e-2),
    "13": Signal(4.0, 0.64, 13 / EXPECTED),
}


def sample(rng: np.random.Generator, events: int) -> NDArray[np.float32]:
    """Draw from e^-x.

    Parameters
    ----------
    rng : numpy Generator
    events : int

    Returns
    -------
    array (events, 1) of float32

    Raises
    ------
    SimulationError
        If `events` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> x = sample(np.random.default_rng(1), 10_000)
    >>> x.shape, bool(abs(x.mean() - 1) < 0.03)
    ((10000, 1), True)
    """
    positive_count("events", events)
    return rng.standard_exponential((events, 1), dtype=np.float32)


def sample_signal(rng: np.random.Generator, events: int, signal: str = "bulk") -> NDArray[np.float32]:
    """Draw events of one benchmark signal alone.

    Parameters
    ----------
    rng : numpy Generator
    events : int
    signal : str
        A key of `SIGNALS`. Peaks are folded at 0, which none of them comes near.

    Returns
    -------
    array (events, 1) of float32

    Raises
    ------
    SimulationError
        If the signal is unknown or `events` negative.

    Examples
    --------
    >>> import numpy as np
    >>> bool(abs(sample_signal(np.random.default_rng(1), 1000, "tail").mean() - 6.4) < 0.02)
    True
    """
    positive_count("events", events)
    shape = _known(signal)
    if shape.width == 0:
        return rng.standard_gamma(3.0, (events, 1), dtype=np.float32)
    peak = shape.location + shape.width * rng.standard_normal((events, 1), dtype=np.float32)
    folded: NDArray[np.float32] = np.abs(peak)
    return folded


def sample_chunk(
    rng: np.random.Generator,
    expected: float = EXPECTED,
    signal: str | None = None,
    *,
    strength: float = 1.0,
    fluctuate: bool = True,
) -> NDArray[np.float32]:
    """Draw one chunk: background and, if named, `strength` times the benchmark's signal on top of it.

    Parameters
    ----------
    rng : numpy Generator
    expected : float
        Expected background events, N.
    signal : str, optional
        A key of `SIGNALS`; N_S = strength x fraction x N events are expected from it.
    strength : float
        In units of the benchmark's signal.
    fluctuate : bool
        Poisson counts, as in an experiment; else the expected counts, rounded.

    Returns
    -------
    array (events, 1) of float32, in random order

    Raises
    ------
    SimulationError
        If the signal is unknown, or `expected` or `strength` negative.

    Examples
    --------
    >>> import numpy as np
    >>> sample_chunk(np.random.default_rng(1), 2000, "13", fluctuate=False).shape
    (2013, 1)
    """
    within("expected", expected, 0.0, 1e9)
    within("strength", strength, 0.0, 1000.0)
    added = 0.0 if signal is None else strength * _known(signal).fraction * expected
    background, extra = (int(rng.poisson(mean)) if fluctuate else round(mean) for mean in (expected, added))
    if signal is None or extra == 0:
        return sample(rng, background)
    return rng.permutation(np.concatenate([sample(rng, background), sample_signal(rng, extra, signal)]))


def density(x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Background density e^-x, normalised to one event."""
    x = np.asarray(x, dtype=np.float64)
    return np.where(x >= 0, np.exp(-x), 0.0)


def signal_density(x: NDArray[np.floating], signal: str = "bulk") -> NDArray[np.float64]:
    """Density of one benchmark signal, normalised to one event.

    Examples
    --------
    >>> import numpy as np
    >>> signal_density(np.array([4.0]), "13").round(3)
    array([0.623])
    """
    x = np.asarray(x, dtype=np.float64)
    shape = _known(signal)
    if shape.width == 0:
        return np.where(x >= 0, 0.5 * x**2 * np.exp(-x), 0.0)
    pull = (x - shape.location) / shape.width
    peak: NDArray[np.float64] = np.exp(-0.5 * pull**2) / (shape.width * np.sqrt(2 * np.pi))
    return peak


def _known(signal: str) -> Signal:
    if signal not in SIGNALS:
        msg = f"signal is {signal!r}: choose one of {', '.join(SIGNALS)}"
        raise SimulationError(msg)
    return SIGNALS[signal]
