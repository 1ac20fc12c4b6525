"""The problems with their scenarios: EXPO-1D, dimuon 5-D, the order of a real CMS file; SKAB is apart."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from benchmarks.detection.problem import Disturbed, Problem

from nplmon.simulators import dimuon, expo
from nplmon.simulators.faults import DeadSector, EfficiencyLoss, Fault, GainShift, NoiseBurst, PileUpDrift

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Events = NDArray[np.float32]
    Draw = Callable[[np.random.Generator, int], Events]

DATA = Path(os.environ.get("NPLMON_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
SEED = 2026
THEIR_CENTRES = 400
"""Of the features that stand for the kernel of others, in five dimensions: their values differ by 2e-3 at most."""
EXPO_STRENGTHS = (1.0, 0.4)
RESONANCE = (0.005, 0.01, 0.02)
_PTS = ("pt1", "pt2")
_SECTOR = {"eta1": (0.5, 1.5), "delta_phi": (2.9, 3.4)}
FAULTS: dict[str, tuple[Fault, tuple[float, ...]]] = {
    "gain shift": (GainShift(dimuon.FEATURES, _PTS), (-0.005, -0.01, -0.02)),
    "dead sector": (DeadSector(dimuon.FEATURES, _SECTOR), (0.15, 0.3, 1.0)),
    "noise": (NoiseBurst(), (0.01, 0.02, 0.04)),
    "efficiency": (EfficiencyLoss(dimuon.FEATURES, "pt2", threshold=20.0, scale=5.0), (0.2, 0.35, 0.7)),
    "pile-up": (PileUpDrift(dimuon.FEATURES, _PTS), (0.01, 0.02, 0.05)),
}
"""As the simulators have them, each at three strengths; pile-up grows by its strength in every chunk."""
GROWING = "pile-up"


class AbsentError(Exception):
    """The data of a problem are not there; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A disturbance of a problem.

    Attributes
    ----------
    name, strength:
        As they stand in the table.
    draw:
        Gives the events of the chunk that is the n-th from the change on, counted from 1; not standardised.
    """

    name: str
    strength: str
    draw: Draw

    def disturbed(self, problem: Problem, streams: int, chunks: int, seed: int) -> Disturbed:
        """Draw the chunks of some streams."""
        drawn = [
            [
                problem.standard(self.draw(np.random.default_rng([SEED, seed, stream, number]), number))
                for number in range(1, chunks + 1)
            ]
            for stream in range(streams)
        ]
        return Disturbed(problem=problem, chunks=drawn)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A problem and what may disturb it."""

    problem: Problem
    scenarios: list[Scenario]


def expo_1d(*, quick: bool) -> Source:
    """N_R = 200,000, N = 2,000, M = 1000."""
    rng = np.random.default_rng(SEED)
    reference, pool, events, block, centres = (
        (4_000, 20_000, 200, 50, 60) if quick else (200_000, 2_000_000, expo.EXPECTED, 100, 1_000)
    )
    problem = _problem(
        "EXPO-1D",
        expo.sample(rng, reference),
        expo.sample(rng, pool),
        events=events,
        block=block,
        centres=centres,
    )

    def signal(name: str, strength: float) -> Draw:
        return lambda rng, _: expo.sample_chunk(rng, events, name, strength=strength)

    return Source(
        problem=problem,
        scenarios=[
            Scenario(name=name, strength=f"{strength:g}", draw=signal(name, strength))
            for name in expo.SIGNALS
            for strength in EXPO_STRENGTHS
        ],
    )


def dimuon_5d(*, quick: bool) -> Source:
    """N_R = 100,000, N = 1,000, M = 1000, events of a full simulation."""
    path = DATA / "dimuon_sm.npz"
    if not path.exists():
        raise AbsentError(f"dimuon 5-D: there is no {path}")
    rng = np.random.default_rng(SEED)
    with np.load(path) as file:
        sample = file["events"][:, :5]
    sample = sample[rng.permutation(len(sample))]
    reference, events, block, centres = (4_000, 200, 50, 60) if quick else (100_000, 1_000, 50, 1_000)
    pool = sample[reference : reference + 20_000] if quick else sample[reference:]
    problem = _problem(
        "dimuon 5-D",
        sample[:reference],
        pool,
        events=events,
        block=block,
        centres=centres,
        their_centres=min(centres, THEIR_CENTRES),
    )

    def ordinary(rng: np.random.Generator) -> Events:
        return np.asarray(pool[rng.integers(0, len(pool), size=events)])

    def resonance(fraction: float) -> Draw:
        def draw(rng: np.random.Generator, _: int) -> Events:
            signal = int(rng.binomial(events, fraction))
            return np.concatenate([ordinary(rng)[signal:], dimuon.sample_resonance(rng, signal)])

        return draw

    def faulty(fault: Fault, strength: float, *, growing: bool) -> Draw:
        def draw(rng: np.random.Generator, number: int) -> Events:
            spoiled = dimuon.ordered(fault(rng, ordinary(rng), strength * (number if growing else 1)))
            return spoiled[dimuon.accepted(spoiled)]

        return draw

    scenarios = [Scenario(name="resonance", strength=f"{f:g}", draw=resonance(f)) for f in RESONANCE]
    scenarios += [
        Scenario(name=name, strength=f"{one:g}", draw=faulty(fault, one, growing=name == GROWING))
        for name, (fault, strengths) in FAULTS.items()
        for one in strengths
    ]
    return Source(problem=problem, scenarios=scenarios)


def cms_order(*, quick: bool) -> Source:
    """Real pairs of muons: shuffled they are the null, in the order of the file they drift.

    The reference is a random part of all the file; a stream begins at a random place of the rest and goes on in its
    order.
    """
    path = DATA / "cms_open_data" / "dimuons_100k.hdf5"
    if not path.exists():
        raise AbsentError(f"CMS order: there is no {path}")
    with h5py.File(path) as file:
        px, py, pz = (
            np.asarray(file[f"muons/{name}"], dtype=np.float64).reshape(-1, 2) for name in ("px", "py", "pz")
        )
    sample = _pairs(px, py, pz)
    rng = np.random.default_rng(SEED)
    size, events, block, centres = (4_000, 200, 50, 60) if quick else (30_000, 1_000, 50, 400)
    chosen = np.zeros(len(sample), dtype=bool)
    chosen[rng.choice(len(sample), size, replace=False)] = True
    rest = sample[~chosen]
    problem = _problem(
        "CMS order",
        sample[chosen],
        rng.permutation(rest),
        events=events,
        block=block,
        centres=centres,
        their_centres=min(centres, THEIR_CENTRES),
    )
    places: dict[int, int] = {}

    def draw(rng: np.random.Generator, number: int) -> Events:
        if number == 1:
            places[0] = int(rng.integers(0, len(rest)))
        start = places[0] + (number - 1) * events
        return np.asarray(rest[np.arange(start, start + events) % len(rest)])

    return Source(problem=problem, scenarios=[Scenario(name="file order", strength="", draw=draw)])


SOURCES = {"expo": expo_1d, "dimuon": dimuon_5d, "cms": cms_order}


def sources(names: list[str], *, quick: bool) -> Iterator[Source | str]:
    """Give the problems, and a line for each whose data are not there."""
    for name in names:
        try:
            yield SOURCES[name](quick=quick)
        except AbsentError as error:
            yield f"left out: {error}"


def _problem(
    name: str,
    reference: Events,
    pool: Events,
    *,
    events: int,
    block: int,
    centres: int,
    their_centres: int = 0,
) -> Problem:
    mean, scale = reference.mean(axis=0, dtype=np.float64), reference.std(axis=0, dtype=np.float64)

    def standard(events: NDArray[np.floating]) -> Events:
        return ((events - mean) / scale).astype(np.float32)

    return Problem(
        name=name,
        reference=standard(reference),
        pool=standard(pool[: len(pool) // block * block]),
        events=events,
        block=block,
        centres=centres,
        their_centres=their_centres,
        standard=standard,
    )


def _pairs(px: NDArray[np.float64], py: NDArray[np.float64], pz: NDArray[np.float64]) -> Events:
    """Give pt1, pt2, eta1, eta2 and delta_phi of pairs, the harder muon first; float32 (N, 5)."""
    pt, phi = np.hypot(px, py), np.arctan2(py, px)
    eta = np.arcsinh(pz / pt)
    pairs = np.column_stack([pt, eta, np.mod(phi[:, 1] - phi[:, 0], 2 * np.pi)]).astype(np.float32)
    return dimuon.ordered(pairs)
