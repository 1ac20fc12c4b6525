"""What the demonstration plays: a reference, ordinary chunks, then anomalous ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nplmon.client.files import open_table, read
from nplmon.simulators.scenario import Chunk, scenario

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

ORDINARY = ANOMALOUS = 20
REFERENCE_EVENTS = 100_000
SIMULATED_CHUNK = 1_000
"""Events in a chunk: 40 of them stay inside the exposure budget of half the reference."""
RESONANCE = 0.01
REAL_CHUNK = 5_000
SEED = 1


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A reference sample and the chunks that are compared with it.

    Attributes
    ----------
    description:
        In words, for the summary.
    anomaly:
        What is wrong with the anomalous chunks, in words.
    features, units:
        Of the columns.
    reference:
        float32 (N_R, d).
    chunks:
        In the order of the stream; drawn or cut when asked for.
    ordinary, total:
        The number of ordinary chunks, which come first, and of all chunks.
    """

    description: str
    anomaly: str
    features: tuple[str, ...]
    units: tuple[str, ...]
    reference: NDArray[np.float32]
    chunks: Iterable[Chunk]
    ordinary: int
    total: int


def simulated_stream() -> Stream:
    """Give dimuon events of the simulator: 20 ordinary chunks, then 20 with a resonance at 300 GeV."""
    source = scenario("dimuon-resonance")
    total = ORDINARY + ANOMALOUS
    return Stream(
        description=f"simulated dimuon events in {len(source.features)} features, {SIMULATED_CHUNK:,} a chunk",
        anomaly=f"a resonance at 300 GeV in {RESONANCE:.0%} of the events",
        features=source.features,
        units=source.units,
        reference=source.reference(REFERENCE_EVENTS, seed=SEED),
        chunks=source.chunks(
            total, seed=SEED, events=SIMULATED_CHUNK, start=ORDINARY + 1, strength=RESONANCE, fluctuate=True
        ),
        ordinary=ORDINARY,
        total=total,
    )


def real_stream(reference: Path, anomaly: Path | None, features: Sequence[str] | None) -> Stream:
    """Give events of files: half of the first file is the reference, the rest the ordinary stream.

    Parameters
    ----------
    reference:
        A file of ordinary events in random order.
    anomaly:
        A file of events that differ; None plays ordinary chunks only.
    features:
        Columns to use; None takes all but a column `mass`, which the others determine.

    Raises
    ------
    FileError
        If a file cannot be read or lacks a column.
    ValueError
        If it has too few events.
    """
    if features is None:
        columns = open_table(reference).columns
        if columns is None:
            raise ValueError(f"the columns of {reference} have no names: name them with --features a,b,c")
        features = [name for name in columns if name != "mass"]
    table, _ = read(reference, features)
    half = len(table) // 2
    reference_events, rest = table[:half], table[half:]
    odd = None if anomaly is None else read(anomaly, features)[0]
    shortest = min(len(rest), len(rest) if odd is None else len(odd))
    size = min(REAL_CHUNK, shortest // ORDINARY)
    if half < 1000 or size < 50:
        raise ValueError(
            f"{reference} and {anomaly} give a reference of {half} events and chunks of {size}: "
            "at least 1,000 and 50 are needed; give larger files"
        )
    total = ORDINARY + (ANOMALOUS if odd is not None else 0)

    def chunks() -> Iterator[Chunk]:
        for number in range(1, total + 1):
            anomalous = number > ORDINARY
            source, start = (
                (odd, (number - ORDINARY - 1) * size) if anomalous else (rest, (number - 1) * size)
            )
            if source is not None:
                yield Chunk(number=number, events=source[start : start + size], anomalous=anomalous)

    return Stream(
        description=f"events of {reference.name} in {len(features)} features, {size:,} a chunk",
        anomaly="nothing" if anomaly is None else f"events of {anomaly.name}",
        features=tuple(features),
        units=("",) * len(features),
        reference=reference_events,
        chunks=chunks(),
        ordinary=ORDINARY,
        total=total,
    )
