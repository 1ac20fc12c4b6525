"""Detector faults, applicable to any sample: what goes wrong with an instrument rather than with physics.

A fault is called with a generator, the events (N, d) and its strength; it gives float32 events of the same
columns, sometimes fewer or more of them. Strength 0 changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nplmon.simulators.errors import SimulationError, within

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["DeadSector", "EfficiencyLoss", "Fault", "GainShift", "NoiseBurst", "PileUpDrift"]


class Fault(Protocol):
    """Anything that spoils events."""

    def __call__(
        self, rng: np.random.Generator, events: NDArray[np.float32], strength: float, /
    ) -> NDArray[np.float32]:
        """Give the events as the faulty detector records them."""


@dataclass(frozen=True)
class DeadSector:
    """Events inside a box of two features are lost, each with probability `strength`.

    Parameters
    ----------
    features : sequence of str
        Names of the columns.
    sector : mapping
        Two feature names, each with its (low, high).

    Raises
    ------
    SimulationError
        If the sector does not name two features of the sample.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> events = rng.random((1000, 2), dtype=np.float32)
    >>> dead = DeadSector(("a", "b"), {"a": (0.0, 0.5), "b": (0.0, 0.5)})(rng, events, 1.0)
    >>> bool(((dead < 0.5).all(axis=1)).any()), bool(700 < len(dead) < 800)
    (False, True)
    """

    features: Sequence[str]
    sector: Mapping[str, tuple[float, float]]

    def __post_init__(self) -> None:
        _columns(self.features, tuple(self.sector))
        if len(self.sector) != 2:
            msg = f"the sector names {len(self.sector)} features: name two"
            raise SimulationError(msg)

    def __call__(
        self, rng: np.random.Generator, events: NDArray[np.float32], strength: float, /
    ) -> NDArray[np.float32]:
        """Drop the events of the sector."""
        within("strength", strength, 0.0, 1.0)
        inside = np.ones(len(events), dtype=np.bool_)
        for name, (low, high) in self.sector.items():
            column = events[:, self.features.index(name)]
            inside &= (column >= low) & (column < high)
        return events[~(inside & (rng.random(len(events)) < strength))]


@dataclass(frozen=True)
class GainShift:
    """The named features are measured (1 + strength) times too large; -0.02 is a gain that is 2 % low.

    Cuts that were made on the true values should be made again on the result.

    Examples
    --------
    >>> import numpy as np
    >>> events = np.full((1, 2), 10, dtype=np.float32)
    >>> GainShift(("pt", "eta"), ("pt",))(np.random.default_rng(1), events, -0.1)
    array([[ 9., 10.]], dtype=float32)
    """

    features: Sequence[str]
    shifted: Sequence[str]

    def __post_init__(self) -> None:
        _columns(self.features, self.shifted)

    def __call__(
        self, _rng: np.random.Generator, events: NDArray[np.float32], strength: float, /
    ) -> NDArray[np.float32]:
        """Scale the shifted features."""
        within("strength", strength, -0.9, 9.0)
        result = events.copy()
        result[:, _columns(self.features, self.shifted)] *= np.float32(1 + strength)
        return result


@dataclass(frozen=True)
class NoiseBurst:
    """Events without physics are added, `strength` per true one, every feature by itself.

    Each feature is uniform between the 1 % and 99 % quantiles of the chunk: noise fills the readout's range
    and knows no correlation.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> NoiseBurst()(rng, rng.random((1000, 3), dtype=np.float32), 0.05).shape
    (1050, 3)
    """

    def __call__(
        self, rng: np.random.Generator, events: NDArray[np.float32], strength: float, /
    ) -> NDArray[np.float32]:
        """Add the noise, in random order among the rest."""
        within("strength", strength, 0.0, 10.0)
        added = round(strength * len(events))
        if added == 0:
            return events
        low, high = np.quantile(events, [0.01, 0.99], axis=0)
        noise = rng.uniform(low, high, size=(added, events.shape[1])).astype(np.float32)
        return rng.permutation(np.concatenate([events, noise]))


@dataclass(frozen=True)
class EfficiencyLoss:
    """A slower turn-on: an event is lost with probability strength x exp(-(x - threshold) / scale).

    Parameters
    ----------
    features : sequence of str
        Names of the columns.
    feature : str
        The one that the efficiency depends on, x; below the threshold the loss is `strength` throughout.
    threshold, scale : float
        In the feature's unit.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> events = np.repeat(np.float32([[20], [40]]), 1000, axis=0)
    >>> left = EfficiencyLoss(("pt",), "pt", threshold=20.0, scale=5.0)(rng, events, 0.5)
    >>> bool(450 < (left == 20).sum() < 550), bool((left == 40).sum() > 970)
    (True, True)
    """

    features: Sequence[str]
    feature: str
    threshold: float
    scale: float

    def __post_init__(self) -> None:
        _columns(self.features, (self.feature,))
        within("scale", self.scale, 1e-9, np.inf)

    def __call__(
        self, rng: np.random.Generator, events: NDArray[np.float32], strength: float, /
    ) -> NDArray[np.float32]:
        """Drop what the turn-on loses."""
        within("strength", strength, 0.0, 1.0)
        over = events[:, self.features.index(self.feature)].astype(np.float64) - self.threshold
        lost = strength * np.exp(-np.maximum(over, 0.0) / self.scale)
        return events[rng.random(len(events)) >= lost]


@dataclass(frozen=True)
class PileUpDrift:
    """Soft collisions add energy to the named features, `strength` on average.

    The addition is exponential and shared by the features of one event, which sit in the same crossing. The caller
    raises the strength chunk by chunk; `Scenario.drifts` does.

    Examples
    --------
    >>> import numpy as np
    >>> events = np.full((10_000, 1), 50, dtype=np.float32)
    >>> drifted = PileUpDrift(("pt",), ("pt",))(np.random.default_rng(1), events, 1.0)
    >>> bool(abs(drifted.mean() - 51.0) < 0.05)
    True
    """

    features: Sequence[str]
    raised: Sequence[str]

    def __post_init__(self) -> None:
        _columns(self.features, self.raised)

    def __call__(
        self, rng: np.random.Generator, events: NDArray[np.float32], strength: float, /
    ) -> NDArray[np.float32]:
        """Add the energy of this chunk's pile-up."""
        within("strength", strength, 0.0, 1e6)
        extra = np.float32(strength) * rng.standard_exponential((len(events), 1), dtype=np.float32)
        result = events.copy()
        result[:, _columns(self.features, self.raised)] += extra
        return result


def _columns(features: Sequence[str], names: Sequence[str]) -> list[int]:
    """Places of the named features."""
    for name in names:
        if name not in features:
            msg = f"no feature {name!r}: choose from {', '.join(features)}"
            raise SimulationError(msg)
    return [features.index(name) for name in names]
