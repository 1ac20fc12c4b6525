"""The chunks of the data: pieces of equal size, or one for each file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nplmon.offline.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.offline.sample import Sample


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """One chunk of the data: where it is from, and what is expected of it.

    Attributes
    ----------
    events:
        (N_k, d).
    expected:
        lam_k.
    file:
        The file that it begins in.
    first:
        Its first event there, counted from 0.
    """

    events: NDArray[np.floating]
    expected: float
    file: str
    first: int


def cut(
    data: Sample, size: int | None, expected: Sequence[float] | None = None, *, rest: bool = True
) -> list[Chunk]:
    """Cut data into chunks: of `size` events across the files, or one for each file.

    Parameters
    ----------
    data:
        The sample.
    size:
        Events of a chunk; None: each file is one.
    expected:
        Expected counts of the files; None takes the observed ones.
    rest:
        Whether the last chunk is taken if it is not full.

    Raises
    ------
    AnalysisError
        If the expected counts do not fit the files, or come with a size, or no chunk is full.
    """
    starts = np.cumsum([0, *(source.events for source in data.sources)])
    if size is None:
        counts = [float(source.events) for source in data.sources] if expected is None else list(expected)
        if len(counts) != len(data.sources):
            raise AnalysisError(
                f"{len(counts)} expected counts for {len(data.sources)} files: give one for each file"
            )
        return [
            Chunk(events=events, expected=count, file=source.file, first=0)
            for events, count, source in zip(data.parts(), counts, data.sources, strict=True)
        ]
    if expected is not None:
        raise AnalysisError(
            "chunks cut by --chunk-size have no count to compare: in mode rate give one file per chunk"
        )
    chunks = []
    for start in range(0, len(data.events), size):
        events = data.events[start : start + size]
        if len(events) < size and not rest:
            break
        number = int(np.searchsorted(starts, start, side="right")) - 1
        first = start - int(starts[number])
        chunks.append(
            Chunk(events=events, expected=float(len(events)), file=data.sources[number].file, first=first)
        )
    if not chunks:
        raise AnalysisError(
            f"{len(data.events):,} events are less than one chunk of {size:,}: lower --chunk-size"
        )
    return chunks


def union(chunks: Sequence[Chunk]) -> Chunk:
    """Put chunks together to one."""
    events = np.concatenate([chunk.events for chunk in chunks])
    return replace(chunks[0], events=events, expected=sum(chunk.expected for chunk in chunks))
