"""SKAB: sensors of a water circuit, with labels; a reference without anomalies of another month.

The level of the sensors is another one in every file. Each file is therefore standardised by its own first rows, and
the anomaly-free file, cut into runs as long, in the same way: the reference then has what is normal after a start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from benchmarks.detection.problem import Disturbed, Problem, Streams
from benchmarks.detection.sources import DATA, SEED, AbsentError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BEGINNING: Final = 250
"""Rows, of 1 s, by which a file is standardised."""
EVENTS: Final = 20
QUIET, DISTURBED = 15, 15
SENSORS: Final = 8
ANOMALY: Final = 9
"""Column of the label, after time and sensors."""
GROUPS: Final = {"valves": ("valve1", "valve2"), "other": ("other",)}
"""Valves closed a little; leaks, imbalance, water added, cavitation, heat."""


def problem(*, quick: bool) -> Problem:
    """N_R = 6,600, N = 20 rows, 8 sensors."""
    path = DATA / "skab" / "anomaly-free" / "anomaly-free.csv"
    if not path.exists():
        raise AbsentError(f"SKAB: there is no {path}")
    rows = _table(path)
    run = BEGINNING + (QUIET + DISTURBED) * EVENTS
    parts = [_standardised(rows[start : start + run]) for start in range(0, len(rows) - run + 1, run)]
    events = np.concatenate(parts)
    mean, scale = events.mean(axis=0, dtype=np.float64), events.std(axis=0, dtype=np.float64)

    def standard(events: NDArray[np.floating]) -> NDArray[np.float32]:
        return ((events - mean) / scale).astype(np.float32)

    # In random order, as a part of it must stand for all.
    reference = np.random.default_rng(SEED).permutation(standard(events))
    return Problem(
        name="SKAB",
        reference=reference,
        pool=reference[: len(reference) // EVENTS * EVENTS],
        events=EVENTS,
        block=EVENTS,
        centres=60 if quick else 500,
        # Far rows are near few others: their kernels need centres of their own.
        their_centres=60 if quick else 2_000,
        standard=standard,
    )


def streams(made: Problem) -> tuple[Streams, dict[str, Streams]]:
    """Give the quiet part of all files, and the files of each group with as many chunks after the anomaly's start."""
    quiet: list[list[NDArray[np.float32]]] = []
    groups: dict[str, Streams] = {}
    for name, folders in GROUPS.items():
        found = []
        for path in sorted(path for folder in folders for path in (DATA / "skab" / folder).glob("*.csv")):
            rows = _table(path)
            start = int(np.flatnonzero(rows[:, ANOMALY - 1])[0])
            first, last = start - QUIET * EVENTS, start + DISTURBED * EVENTS
            if first < BEGINNING or last > len(rows):
                continue  # its anomaly begins too early
            events = made.standard(_standardised(rows)[first - BEGINNING : last - BEGINNING])
            found.append(np.split(events, QUIET + DISTURBED))
        quiet += [chunks[:QUIET] for chunks in found]
        groups[name] = _streams(made, found)
    return _streams(made, quiet), groups


def _streams(made: Problem, chunks: list[list[NDArray[np.float32]]]) -> Streams:
    blocks = np.zeros((len(chunks), 0, 1), dtype=np.intp)
    return Streams(problem=made, blocks=blocks, disturbed=Disturbed(problem=made, chunks=chunks))


def _table(path: Path) -> NDArray[np.float64]:
    """Read the numbers of a file: sensors, and labels where it has them."""
    with path.open(encoding="utf-8") as file:
        columns = len(file.readline().split(";"))
    return np.loadtxt(path, delimiter=";", skiprows=1, usecols=range(1, columns), ndmin=2)


def _standardised(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """Standardise what follows the beginning by the beginning."""
    beginning = rows[:BEGINNING, :SENSORS]
    scale = np.maximum(beginning.std(axis=0), 1e-6)
    return np.asarray((rows[BEGINNING:, :SENSORS] - beginning.mean(axis=0)) / scale, dtype=np.float32)
