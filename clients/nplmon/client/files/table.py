"""A table of events in a file: named columns, read in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nplmon.client.errors import FileError, MissingLibrary

Untyped: TypeAlias = Any
"""An object of a library without types (h5py, pyarrow, uproot)."""


class Table(Protocol):
    """One table of one file.

    Attributes
    ----------
    source:
        The file, for messages.
    columns:
        Names of the numeric columns in the file's order; None where the file has no names.
    """

    source: str
    columns: tuple[str, ...] | None

    def blocks(self, columns: Sequence[str] | None, rows: int) -> Iterator[NDArray[np.float32]]:
        """Yield float32 blocks of shape (<= about `rows`, len(columns)); None: all columns."""


def choose(source: str, columns: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Give `wanted`, after checking that each is among `columns`.

    Raises
    ------
    FileError
        If one is missing; the message names those there are.
    """
    missing = [name for name in wanted if name not in columns]
    if missing:
        there = ", ".join(columns[:24]) + (", ..." if len(columns) > 24 else "")
        raise FileError(f"{source} has no column {missing[0]!r}; its numeric columns are: {there or 'none'}")
    return tuple(wanted)


def pick(
    source: str, names: Sequence[str] | None, width: int, wanted: Sequence[str] | None
) -> list[int] | None:
    """Give the positions of `wanted` among `width` columns, or None for all; unnamed columns take its names.

    Raises
    ------
    FileError
        If a name is missing, or the columns have no names and `wanted` does not name them all.
    """
    if wanted is None:
        return None
    if names is not None:
        chosen = choose(source, names, wanted)
        return [names.index(name) for name in chosen]
    if len(wanted) != width:
        raise FileError(
            f"{source} has {width} columns without names, but --features names {len(wanted)}: name them all"
        )
    return None


def as_float32(source: str, name: str, column: NDArray[np.generic]) -> NDArray[np.float32]:
    """Convert a column of numbers to float32.

    Raises
    ------
    FileError
        If it holds anything else.
    """
    if column.dtype.kind not in "biuf":
        raise FileError(
            f"{source}: column {name!r} has type {column.dtype}, not numbers; choose others with --features"
        )
    # A value beyond float32 becomes inf here, and the service refuses it by name.
    with np.errstate(over="ignore"):
        return column.astype(np.float32, copy=False)


def missing_library(source: str, library: str) -> MissingLibrary:
    """Make the error for a format whose library is not installed."""
    return MissingLibrary(f"reading {source} needs {library}; install it with: pip install 'nplmon[files]'")
