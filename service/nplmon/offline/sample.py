"""A sample of events from files, with the names and units of its features and the digests of the files."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nplmon.client import FileError
from nplmon.client.files import open_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BLOCK = 1 << 18
"""Events read at once."""
DISTINCT = 0.99
"""Of a sample's events: below it the features are discrete, and two samples share events by chance."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file: its name as given, the SHA-256 of its bytes (hexadecimal), and the number of its events."""

    file: str
    sha256: str
    events: int


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Events of one or several files, in the order of the files.

    Attributes
    ----------
    events:
        float32 (N, d).
    weights:
        float64 (N,), or None for 1 each.
    features, units:
        Names and units of the d columns; "" where a unit is not known.
    sources:
        The files.
    """

    events: NDArray[np.float32]
    weights: NDArray[np.float64] | None = None
    features: tuple[str, ...]
    units: tuple[str, ...]
    sources: tuple[Source, ...]

    def parts(self) -> list[NDArray[np.float32]]:
        """Give the events of each file."""
        return np.split(self.events, np.cumsum([source.events for source in self.sources])[:-1])

    def shared_with(self, other: Sample) -> float:
        """Give the share of the events that are events of `other` too, bit for bit.

        0 where the features of `other` are discrete, so that equal events mean nothing.

        Examples
        --------
        >>> x = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
        >>> one, half = (Sample(events=e, features=("a", "b"), units=("", ""), sources=()) for e in (x, x[:50]))
        >>> half.shared_with(one), one.shared_with(half)
        (1.0, 0.5)
        """
        theirs = np.unique(_rows(other.events))
        if len(theirs) < DISTINCT * len(other.events):
            return 0.0
        return float(np.isin(_rows(self.events), theirs).mean())


def read_sample(
    files: Sequence[str],
    features: Sequence[str] | None = None,
    *,
    units: Sequence[str] | None = None,
    weights: str | None = None,
) -> Sample:
    """Read files one after the other.

    Parameters
    ----------
    files:
        Whatever `nplmon.client.files` reads.
    features:
        Columns in order; None takes all of the first file but the weights. Where a file does not name its columns,
        all of them are taken, and called x1, x2, ... unless they are named here.
    units:
        One for each feature; None takes those in an npz file that `nplmon simulate` wrote.
    weights:
        The column that holds event weights.

    Raises
    ------
    FileError
        If a file cannot be read, holds no events, misses a column, or has a value that is not finite.
    """
    columns = _columns(files[0], features, weights)
    tables: list[NDArray[np.float32]] = []
    for file in files:
        blocks = list(open_table(file).blocks(columns, BLOCK))
        if not blocks:
            raise FileError(f"{file} holds no events")
        tables.append(np.concatenate(blocks))
        if tables[-1].shape[1] != tables[0].shape[1]:
            raise FileError(
                f"{file} has {tables[-1].shape[1]} columns, the files before it {tables[0].shape[1]}; "
                "choose the same with --features"
            )
    read = columns or [f"x{number}" for number in range(1, tables[0].shape[1] + 1)]
    for file, table in zip(files, tables, strict=True):
        _require_finite(file, table, read)
    table = np.concatenate(tables)
    names = tuple(name for name in read if name != weights)
    if not names:
        raise FileError(f"{files[0]}: no column is left beside the weights; name some with --features")
    if len(set(names)) != len(names):
        raise FileError(f"--features {','.join(names)}: a name comes twice")
    if units is not None and len(units) != len(names):
        raise FileError(f"--units names {len(units)} for {len(names)} features: {', '.join(names)}")
    known = _units(files[0]) if units is None else {}
    kept = [read.index(name) for name in names]
    return Sample(
        events=np.ascontiguousarray(table[:, kept]),
        weights=None if weights is None else table[:, read.index(weights)].astype(np.float64),
        features=names,
        units=tuple(units) if units is not None else tuple(known.get(name, "") for name in names),
        sources=tuple(
            Source(file=file, sha256=_digest(file), events=len(part))
            for file, part in zip(files, tables, strict=True)
        ),
    )


def _columns(file: str, features: Sequence[str] | None, weights: str | None) -> list[str] | None:
    """Choose the columns to read, the weights last; None for all of a file that does not name them."""
    there = open_table(file).columns
    if there is None:
        if features is None and weights is not None:
            raise FileError(f"{file} has no column names: name them with --features, the weights among them")
        return None if features is None else list(features)  # all of them, as the file has them
    wanted = [name for name in (there if features is None else features) if name != weights]
    return wanted if weights is None else [*wanted, weights]


def _rows(events: NDArray[np.float32]) -> NDArray[np.void]:
    """View each event as one opaque value, (N,); 0 has one sign here."""
    plain = np.ascontiguousarray(events) + np.float32(0)
    return plain.view(np.dtype((np.void, plain.dtype.itemsize * plain.shape[1])))[:, 0]


def _require_finite(file: str, table: NDArray[np.float32], names: Sequence[str]) -> None:
    bad = ~np.isfinite(table)
    if not bad.any():
        return
    event, column = (int(place[0]) for place in np.nonzero(bad))
    raise FileError(
        f"{file}: event {event} (counted from 0) has {names[column]} = {table[event, column]}; "
        f"{int(bad.any(axis=1).sum()):,} of {len(table):,} events are not finite: remove them first"
    )


def _path(file: str) -> Path:
    """Leave out the tree of FILE.root:TREE."""
    return Path(file) if Path(file).exists() else Path(file.rpartition(":")[0])


def _digest(file: str) -> str:
    with _path(file).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _units(file: str) -> dict[str, str]:
    """Read the units that an npz file has beside its events; none from another file."""
    path = _path(file)
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return {}
    with np.load(path, allow_pickle=False) as arrays:
        if not {"features", "units"} <= set(arrays.files):
            return {}
        pairs = zip(arrays["features"].tolist(), arrays["units"].tolist(), strict=False)
        return {str(name): str(unit) for name, unit in pairs}
