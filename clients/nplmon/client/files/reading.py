"""From files to chunks of events."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from nplmon.client.errors import FileError
from nplmon.client.files.arrow import ArrowTable
from nplmon.client.files.delimited import TextTable
from nplmon.client.files.hdf5 import Hdf5Table
from nplmon.client.files.npy import NpyTable, NpzTable
from nplmon.client.files.root import RootTable
from nplmon.client.files.table import Table

SUFFIXES = (".npy", ".npz", ".csv", ".tsv", ".txt", ".parquet", ".feather", ".arrow", ".h5", ".hdf5", ".root")


@dataclass(frozen=True)
class Piece:
    """The events of one chunk, and where they begin: file, and the number of the chunk in it from 0."""

    events: NDArray[np.float32]
    source: str
    index: int


def open_table(name: str | Path) -> Table:
    """Open the table in a file; `FILE.root:TREE` chooses a tree.

    Raises
    ------
    FileError
        If there is no such file, or it cannot be read, or its format is not known.
    """
    path, tree = _split_tree(str(name))
    source = str(name)
    if path.is_dir():
        raise FileError(
            f"{source} is a directory; name its files, or add --follow to push what comes into it"
        )
    if not path.exists():
        raise FileError(f"no file {source!r} (seen from {Path.cwd()})")
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            return NpyTable(source, path=path)
        if suffix == ".npz":
            return NpzTable(path, source)
        if suffix in (".csv", ".tsv", ".txt"):
            return TextTable(source, path=path)
        if suffix in (".parquet", ".feather", ".arrow"):
            return ArrowTable(path, source)
        if suffix in (".h5", ".hdf5"):
            return Hdf5Table(path, source)
        if suffix == ".root":
            return RootTable(path, source, tree)
    except PermissionError:
        raise FileError(f"no permission to read {source!r}") from None
    raise FileError(f"the format of {source!r} is not known; known are {', '.join(SUFFIXES)}")


def open_stream(stream: IO[bytes], source: str = "standard input") -> Table:
    """Open a table that comes through a stream: npy if it begins as one, else text."""
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[type-var]  # any readable stream
    if buffered.peek(6)[:6] == b"\x93NUMPY":
        return NpyTable(source, stream=buffered)
    return TextTable(source, lines=io.TextIOWrapper(buffered, encoding="utf-8-sig"))


def pieces(
    tables: Iterable[Table], size: int, features: Sequence[str] | None = None, *, rest: bool = True
) -> Iterator[Piece]:
    """Cut tables into chunks of `size` events; what is left of one goes on into the next.

    Parameters
    ----------
    size:
        Events per chunk.
    features:
        Columns in order; None: all numeric columns.
    rest:
        Whether the last chunk, with fewer events, is given too.

    Raises
    ------
    FileError
        If a table cannot be read, or has another number of columns than those before it.
    """
    held: list[NDArray[np.float32]] = []
    count, width = 0, None
    begin: tuple[str, int] | None = None
    for table in tables:
        index = 0
        for block in table.blocks(features, size):
            width = width or block.shape[1]
            if block.shape[1] != width:
                raise FileError(
                    f"{table.source} has {block.shape[1]} columns, the files before it {width}; "
                    "choose the same with --features"
                )
            left = block
            while len(left):
                if begin is None:
                    begin, index = (table.source, index), index + 1
                part, left = left[: size - count], left[size - count :]
                held.append(part)
                count += len(part)
                if count == size:
                    yield Piece(_joined(held), *begin)
                    held, count, begin = [], 0, None
    if rest and begin is not None:
        yield Piece(_joined(held), *begin)


def read(
    name: str | Path, features: Sequence[str] | None = None
) -> tuple[NDArray[np.float32], tuple[str, ...] | None]:
    """Read a whole table: its events, shape (N, d), and its columns' names (None if it has none)."""
    table = open_table(name)
    blocks = list(table.blocks(features, 1 << 18))
    if not blocks:
        raise FileError(f"{name} holds no events")
    return _joined(blocks), tuple(features) if features is not None else table.columns


def _joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts))


def _split_tree(name: str) -> tuple[Path, str | None]:
    """Split off the tree of `FILE.root:TREE`.

    Examples
    --------
    >>> _split_tree("a.root:dir/events")[1]
    'dir/events'
    """
    head, separator, tree = name.rpartition(":")
    if separator and head.lower().endswith(".root") and not Path(name).exists():
        return Path(head), tree
    return Path(name), None
