"""Named scenarios: streams of chunks that are ordinary up to a stated chunk and disturbed from there on.

Every chunk has its own generator, made from (seed, scenario, chunk number): chunk 37 is the same with or
without the 36 before it, so that a simulation that was cut off goes on from any chunk.
"""

from __future__ import annotations

import itertools
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from nplmon.simulators import dimuon, expo, level1
from nplmon.simulators.errors import SimulationError, positive_count, within
from nplmon.simulators.faults import (
    DeadSector,
    EfficiencyLoss,
    Fault,
    GainShift,
    NoiseBurst,
    PileUpDrift,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Sampler = Callable[[np.random.Generator, int], NDArray[np.float32]]

__all__ = ["SCENARIOS", "Chunk", "Scenario", "scenario"]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Events (N, d) of float32, their place in the stream counted from 1, and whether they are disturbed."""

    number: int
    events: NDArray[np.float32]
    anomalous: bool


class Disturbance(Protocol):
    """Draws a disturbed chunk; `fluctuate` makes its counts Poisson."""

    def __call__(
        self, rng: np.random.Generator, events: int, strength: float, fluctuate: bool, /
    ) -> NDArray[np.float32]:
        """Give the events."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What a stream contains, with its usual sizes.

    Parameters
    ----------
    name, description : str
    features, units : tuple of str
    ordinary : callable
        (rng, events) -> events under H0.
    disturbed : callable, optional
        (rng, events, strength, fluctuate) -> events from the start on; None for a quiet scenario.
    events : int
        Usual (expected) events in a chunk.
    start : int
        Number of the first disturbed chunk, from 1.
    strength : float
        Usual strength; `strength_means` says of what.
    drifts : bool
        Strength is per chunk: it grows as (number - start + 1).
    """

    name: str
    description: str
    features: tuple[str, ...]
    units: tuple[str, ...]
    ordinary: Sampler
    disturbed: Disturbance | None = None
    events: int = 5000
    start: int = 21
    strength: float = 0.0
    strength_means: str = ""
    drifts: bool = False

    def reference(self, events: int, *, seed: int = 1) -> NDArray[np.float32]:
        """Draw a sample of H0 that shares no event with any chunk, of the same seed or another.

        Parameters
        ----------
        events : int
        seed : int

        Returns
        -------
        array (events, d) of float32
        """
        return self.ordinary(self._generator(seed, 0), events)

    def held_out(self, number: int, events: int, *, seed: int = 1) -> NDArray[np.float32]:
        """Draw a sample of H0 that shares no event with reference, chunks or held-out samples of other numbers.

        Parameters
        ----------
        number : int
            From 0.
        events : int
        seed : int

        Returns
        -------
        array (events, d) of float32
        """
        positive_count("number", number)
        return self.ordinary(self._generator(seed, number, 1), events)

    def chunk(
        self,
        number: int,
        *,
        seed: int = 1,
        events: int | None = None,
        start: int | None = None,
        strength: float | None = None,
        fluctuate: bool = False,
    ) -> Chunk:
        """Draw one chunk of the stream, by itself.

        Parameters
        ----------
        number : int
            From 1.
        seed : int
        events : int, optional
            Expected events before the disturbance; default the scenario's.
        start : int, optional
            Number of the first disturbed chunk; default the scenario's, ignored when it is quiet.
        strength : float, optional
            Of the disturbance; default the scenario's.
        fluctuate : bool
            Poisson counts instead of fixed ones.

        Returns
        -------
        Chunk

        Raises
        ------
        ValueError
            If a number is out of range.
        """
        within("chunk number", number, 1, np.inf)
        begins = self.start if start is None else start
        within("start", begins, 1, np.inf)
        size = self.events if events is None else events
        positive_count("events", size)
        rng = self._generator(seed, number)
        if self.disturbed is None or number < begins:
            return Chunk(
                number=number, events=self.ordinary(rng, _count(rng, size, fluctuate)), anomalous=False
            )
        amount = self.strength if strength is None else strength
        if self.drifts:
            amount *= number - begins + 1
        return Chunk(number=number, events=self.disturbed(rng, size, amount, fluctuate), anomalous=True)

    def chunks(
        self,
        count: int | None = None,
        *,
        first: int = 1,
        seed: int = 1,
        events: int | None = None,
        start: int | None = None,
        strength: float | None = None,
        fluctuate: bool = False,
    ) -> Iterator[Chunk]:
        """Give chunks one by one, drawn when asked for; without `count` it never ends.

        `first` is the number of the first chunk; the rest as in `chunk`.

        Raises
        ------
        SimulationError
            At once, not at the first disturbed chunk, if a number is out of range.

        Examples
        --------
        >>> [c.anomalous for c in scenario("expo-13").chunks(3, events=100, start=3)]
        [False, False, True]
        """
        begins = self.start if start is None else start
        positive_count("events", self.events if events is None else events)
        within("first", first, 1, np.inf)
        within("start", begins, 1, np.inf)
        self.chunk(begins, seed=seed, events=0, start=begins, strength=strength)
        numbers = itertools.count(first) if count is None else range(first, first + count)
        return (
            self.chunk(number, seed=seed, events=events, start=start, strength=strength, fluctuate=fluctuate)
            for number in numbers
        )

    def _generator(self, seed: int, number: int, *use: int) -> np.random.Generator:
        positive_count("seed", seed)
        return np.random.default_rng([seed, zlib.crc32(self.name.encode()), number, *use])


def scenario(name: str) -> Scenario:
    """Look up a scenario.

    Raises
    ------
    SimulationError
        If there is none of this name.

    Examples
    --------
    >>> scenario("dimuon-resonance").features
    ('pt1', 'pt2', 'eta1', 'eta2', 'delta_phi')
    """
    if name not in SCENARIOS:
        msg = f"no scenario {name!r}: choose one of {', '.join(SCENARIOS)}"
        raise SimulationError(msg)
    return SCENARIOS[name]


def _count(rng: np.random.Generator, expected: int, fluctuate: bool) -> int:
    return int(rng.poisson(expected)) if fluctuate else expected


def _expo(name: str, description: str, signal: str | None = None) -> Scenario:
    def disturbed(
        rng: np.random.Generator, events: int, strength: float, fluctuate: bool
    ) -> NDArray[np.float32]:
        return expo.sample_chunk(rng, events, signal, strength=strength, fluctuate=fluctuate)

    return Scenario(
        name=name,
        description=description,
        features=expo.FEATURES,
        units=expo.UNITS,
        ordinary=expo.sample,
        disturbed=None if signal is None else disturbed,
        events=expo.EXPECTED,
        strength=0.0 if signal is None else 1.0,
        strength_means="" if signal is None else "signal in units of the benchmark's",
    )


def _dimuon(
    name: str,
    description: str,
    disturbed: Disturbance | None = None,
    strength: float = 0.0,
    strength_means: str = "",
    *,
    drifts: bool = False,
) -> Scenario:
    return Scenario(
        name=name,
        description=description,
        features=dimuon.FEATURES,
        units=dimuon.UNITS,
        ordinary=dimuon.sample,
        disturbed=disturbed,
        strength=strength,
        strength_means=strength_means,
        drifts=drifts,
    )


def _resonance(
    rng: np.random.Generator, events: int, strength: float, fluctuate: bool
) -> NDArray[np.float32]:
    return dimuon.sample_mixture(rng, _count(rng, events, fluctuate), fraction=strength)


def _level1(rng: np.random.Generator, events: int, strength: float, fluctuate: bool) -> NDArray[np.float32]:
    return level1.sample_mixture(rng, _count(rng, events, fluctuate), fraction=strength)


def _faulty(fault: Fault) -> Disturbance:
    def disturbed(
        rng: np.random.Generator, events: int, strength: float, fluctuate: bool
    ) -> NDArray[np.float32]:
        pairs = dimuon.sample(rng, _count(rng, events, fluctuate))
        spoiled = dimuon.ordered(fault(rng, pairs, strength))
        # The trigger cuts on what the faulty detector measures.
        return spoiled[dimuon.accepted(spoiled)]

    return disturbed


_PTS = ("pt1", "pt2")
_SECTOR = {"eta1": (0.5, 1.5), "delta_phi": (2.9, 3.4)}

SCENARIOS = {
    made.name: made
    for made in (
        _expo("expo-quiet", "EXPO-1D, no signal"),
        _expo("expo-bulk", "EXPO-1D with a peak in the bulk, 90 events at N(1.6, 0.16)", "bulk"),
        _expo("expo-tail", "EXPO-1D with a peak in the tail, 10 events at N(6.4, 0.16)", "tail"),
        _expo("expo-extreme-tail", "EXPO-1D with 5 events at N(9, 0.16)", "extreme-tail"),
        _expo("expo-excess", "EXPO-1D with 90 events of x^2 e^-x", "excess"),
        _expo("expo-13", "EXPO-1D with 13 events at N(4, 0.64)", "13"),
        _dimuon("dimuon-quiet", "pairs of muons, Standard Model only"),
        _dimuon(
            "dimuon-resonance",
            "pairs of muons with a narrow resonance at 300 GeV",
            _resonance,
            0.01,
            "fraction of the events from the resonance",
        ),
        _dimuon(
            "dimuon-gain-shift",
            "muon momenta measured too low",
            _faulty(GainShift(dimuon.FEATURES, _PTS)),
            -0.01,
            "relative shift of pt1 and pt2",
        ),
        _dimuon(
            "dimuon-dead-sector",
            "no events with eta1 in 0.5 to 1.5 and delta_phi in 2.9 to 3.4",
            _faulty(DeadSector(dimuon.FEATURES, _SECTOR)),
            1.0,
            "probability to lose an event of the sector",
        ),
        _dimuon(
            "dimuon-noise",
            "bursts of events without correlations",
            _faulty(NoiseBurst()),
            0.02,
            "noise events per true event, before the cuts",
        ),
        _dimuon(
            "dimuon-efficiency",
            "soft second muons lost, a slower turn-on at 20 GeV",
            _faulty(EfficiencyLoss(dimuon.FEATURES, "pt2", threshold=20.0, scale=5.0)),
            0.5,
            "probability to lose an event at threshold",
        ),
        _dimuon(
            "dimuon-pileup",
            "energy of soft collisions added to both muons, more in every chunk",
            _faulty(PileUpDrift(dimuon.FEATURES, _PTS)),
            0.02,
            "GeV added on average, more by this in every chunk",
            drifts=True,
        ),
        Scenario(
            name="level1",
            description="Level-1-trigger-like, 24 features, then a heavy particle with two hard muons",
            features=level1.FEATURES,
            units=level1.UNITS,
            ordinary=level1.sample,
            disturbed=_level1,
            events=20_000,
            strength=0.002,
            strength_means="fraction of the events from the heavy particle",
        ),
    )
}
"""All scenarios by name."""
