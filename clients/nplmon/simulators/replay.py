"""Files played as a stream: ordinary files, and from a stated chunk on files that are known to be disturbed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from nplmon.client.files import open_table, pieces
from nplmon.simulators.errors import within
from nplmon.simulators.scenario import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["replay"]


def replay(
    ordinary: Sequence[str | Path],
    size: int,
    *,
    features: Sequence[str] | None = None,
    disturbed: Sequence[str | Path] = (),
    start: int | None = None,
) -> Iterator[Chunk]:
    """Yield full chunks of files in their order, read when asked for.

    Parameters
    ----------
    ordinary : sequence of paths
        Any format that `nplmon.client.files` reads.
    size : int
        Events in a chunk; what is left at the end of the files is not given.
    features : sequence of str, optional
        Columns in order; default all.
    disturbed : sequence of paths
        Files that follow the ordinary ones.
    start : int, optional
        Number of the first chunk from `disturbed`, from 1; default after the last full ordinary chunk.

    Yields
    ------
    Chunk

    Raises
    ------
    FileError
        If a file cannot be read.
    SimulationError
        If `size` or `start` is below 1.
    """
    within("size", size, 1, float("inf"))
    before = None
    if start is not None:
        within("start", start, 1, float("inf"))
        before = start - 1
    number = 0
    for files, anomalous, count in ((ordinary, False, before), (disturbed, True, None)):
        cut = pieces(map(open_table, files), size, features, rest=False)
        for piece in itertools.islice(cut, count):
            number += 1
            yield Chunk(number=number, events=piece.events, anomalous=anomalous)
