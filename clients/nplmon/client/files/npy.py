"""Tables in .npy and .npz files, and npy streams."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from nplmon.client.errors import FileError
from nplmon.client.files.table import as_float32, choose, pick


class NpyStream:
    """One array, read from a binary stream in blocks of rows; never a pickle."""

    def __init__(self, stream: IO[bytes], source: str) -> None:
        self.source = source
        self._stream = stream
        try:
            version = npy_format.read_magic(stream)
            reader = (
                npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            )
            self.shape, self._fortran, self.dtype = reader(stream)
        except ValueError as error:
            raise FileError(f"{source} is not in the npy format: {error}") from None
        if self.dtype.hasobject:
            raise FileError(
                f"{source} holds Python objects (a pickle), which are never read; save plain numbers"
            )
        if len(self.shape) not in (1, 2):
            raise FileError(f"{source} has shape {self.shape}; expected (events, features) or (events,)")

    @property
    def width(self) -> int:
        """Columns; 1 for a 1-D array."""
        return self.shape[1] if len(self.shape) == 2 else len(self.dtype.names or (1,))

    def rows(self, size: int) -> Iterator[NDArray[Any]]:
        """Yield blocks of `size` rows, of shape (n, width), or (n,) for 1-D; all at once in Fortran order."""
        total = self.shape[0]
        if self._fortran and len(self.shape) == 2:
            # Rows are scattered over the whole file in this order: it has to be read to its end.
            yield self._read(total * self.shape[1]).reshape(self.shape[::-1]).T
            return
        width = self.shape[1] if len(self.shape) == 2 else 1
        for start in range(0, total, size):
            count = min(size, total - start)
            block = self._read(count * width)
            yield block.reshape(count, width) if len(self.shape) == 2 else block

    def _read(self, count: int) -> NDArray[Any]:
        needed = count * self.dtype.itemsize
        parts: list[bytes] = []
        while needed > 0:
            try:
                part = self._stream.read(needed)
            except (zipfile.BadZipFile, EOFError) as error:
                raise FileError(f"{self.source} is damaged: {error}") from None
            if not part:
                raise FileError(f"{self.source} ends {needed} bytes too early; was it still being written?")
            parts.append(part)
            needed -= len(part)
        return np.frombuffer(b"".join(parts), dtype=self.dtype)


class NpyTable:
    """A .npy file or stream: without names, or with those of a structured type."""

    def __init__(self, source: str, *, path: Path | None = None, stream: IO[bytes] | None = None) -> None:
        self.source = source
        self._path = path
        if path is not None:
            with path.open("rb") as opened:
                self._array = NpyStream(opened, source)
        elif stream is not None:
            self._array = NpyStream(stream, source)
        else:
            raise ValueError("a path or a stream is needed")
        self.columns: tuple[str, ...] | None = self._array.dtype.names

    def blocks(self, columns: Sequence[str] | None, rows: int) -> Iterator[NDArray[np.float32]]:
        """Yield float32 blocks; see `Table.blocks`."""
        with ExitStack() as stack:
            if self._path is not None:
                self._array = NpyStream(stack.enter_context(self._path.open("rb")), self.source)
            yield from _blocks(self._array, self.columns, columns, rows)


class NpzTable:
    """A .npz file: `events` (2-D) with `features` (names), or one 1-D array per feature."""

    def __init__(self, path: Path, source: str) -> None:
        self.source = source
        self._path = path
        shapes: dict[str, tuple[int, ...]] = {}
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    with archive.open(member) as stream:
                        array = NpyStream(stream, f"{source}:{member}")
                        if array.dtype.kind in "biuf" or array.dtype.names:
                            shapes[member.removesuffix(".npy")] = array.shape
        except (zipfile.BadZipFile, OSError) as error:
            raise FileError(f"{source} is not a readable npz file: {error}") from None
        tables = [name for name, shape in shapes.items() if len(shape) == 2]
        self._events = "events" if "events" in tables else tables[0] if len(tables) == 1 else None
        if self._events is not None:
            self.columns = self._names(shapes[self._events][1])
            return
        if tables:
            raise FileError(
                f"{source} has several 2-D arrays ({', '.join(tables)}); call the one meant 'events'"
            )
        self.columns = tuple(name for name, shape in shapes.items() if len(shape) == 1)
        self._lengths = {name: shape[0] for name, shape in shapes.items()}

    def blocks(self, columns: Sequence[str] | None, rows: int) -> Iterator[NDArray[np.float32]]:
        """Yield float32 blocks; see `Table.blocks`."""
        with zipfile.ZipFile(self._path) as archive, ExitStack() as stack:
            if self._events is not None:
                array = self._open(archive, self._events, stack)
                yield from _blocks(array, self.columns, columns, rows)
                return
            chosen = choose(
                self.source, self.columns or (), columns if columns is not None else self.columns or ()
            )
            one_length(self.source, {name: self._lengths[name] for name in chosen})
            arrays = [self._open(archive, name, stack).rows(rows) for name in chosen]
            for parts in zip(*arrays, strict=True):
                converted = [as_float32(self.source, *pair) for pair in zip(chosen, parts, strict=True)]
                yield np.column_stack(converted)

    def _open(self, archive: zipfile.ZipFile, name: str, stack: ExitStack) -> NpyStream:
        member = name if name in archive.namelist() else f"{name}.npy"
        return NpyStream(stack.enter_context(archive.open(member)), f"{self.source}:{name}")

    def _names(self, width: int) -> tuple[str, ...] | None:
        with np.load(self._path, allow_pickle=False) as arrays:
            if "features" not in arrays.files:
                return None
            names = tuple(str(name) for name in np.atleast_1d(arrays["features"]))
        if len(names) != width:
            raise FileError(f"{self.source}: 'features' has {len(names)} names for {width} columns")
        return names


def one_length(source: str, lengths: dict[str, int]) -> int:
    """Give the common length of columns.

    Raises
    ------
    FileError
        If there is none.
    """
    if len(set(lengths.values())) != 1:
        shown = (
            ", ".join(f"{name} {length}" for name, length in list(lengths.items())[:8]) or "no column at all"
        )
        raise FileError(
            f"{source}: columns must have one length, but there are: {shown}; choose with --features"
        )
    return next(iter(lengths.values()))


def _blocks(
    array: NpyStream, names: tuple[str, ...] | None, columns: Sequence[str] | None, rows: int
) -> Iterator[NDArray[np.float32]]:
    source = array.source
    if array.dtype.names:
        chosen = choose(source, array.dtype.names, columns if columns is not None else array.dtype.names)
        for block in array.rows(rows):
            yield np.column_stack([as_float32(source, name, block[name]) for name in chosen])
        return
    picked = pick(source, names, array.width, columns)
    for block in array.rows(rows):
        table = as_float32(source, "events", block).reshape(len(block), -1)
        yield table if picked is None else table[:, picked]
