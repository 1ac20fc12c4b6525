"""Tables in .h5 and .hdf5 files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nplmon.client.errors import FileError
from nplmon.client.files.npy import one_length
from nplmon.client.files.table import Untyped, as_float32, choose, missing_library, pick


class Hdf5Table:
    """One 2-D dataset with names, one compound dataset, or 1-D datasets whose paths are the columns.

    The names of a 2-D dataset come from its attribute `features` or `columns`, or from such a dataset.
    """

    def __init__(self, path: Path, source: str) -> None:
        try:
            import h5py  # noqa: PLC0415  # an extra
        except ImportError:
            raise missing_library(source, "h5py") from None
        self.source = source
        self._path = path
        self._h5py = h5py
        self._events: str | None = None
        self.columns: tuple[str, ...] | None = None
        try:
            with h5py.File(path, "r") as file:
                self._survey(file)
        except OSError as error:
            raise FileError(f"{source} is not a readable HDF5 file: {error}") from None

    def blocks(self, columns: Sequence[str] | None, rows: int) -> Iterator[NDArray[np.float32]]:
        """Yield float32 blocks; see `Table.blocks`."""
        with self._h5py.File(self._path, "r") as file:
            if self._events is None:
                yield from self._from_columns(file, columns, rows)
            elif file[self._events].dtype.names:
                yield from self._from_compound(file[self._events], columns, rows)
            else:
                yield from self._from_matrix(file[self._events], columns, rows)

    def _survey(self, file: Untyped) -> None:
        matrices: list[str] = []
        compounds: list[str] = []
        self._lengths: dict[str, int] = {}

        def visit(name: str, node: Untyped) -> None:
            if not isinstance(node, self._h5py.Dataset):
                return
            if node.dtype.names and node.ndim == 1:
                compounds.append(name)
            elif node.dtype.kind in "biuf" and node.ndim == 2:
                matrices.append(name)
            elif node.dtype.kind in "biuf" and node.ndim == 1:
                self._lengths[name] = node.shape[0]

        file.visititems(visit)
        tables = matrices + compounds
        self._events = "events" if "events" in tables else tables[0] if len(tables) == 1 else None
        if self._events is None:
            self.columns = tuple(self._lengths)
        elif file[self._events].dtype.names:
            self.columns = file[self._events].dtype.names
        else:
            self.columns = self._names(file, file[self._events])

    def _names(self, file: Untyped, matrix: Untyped) -> tuple[str, ...] | None:
        for key in ("features", "columns"):
            for holder in (matrix.attrs, matrix.parent, file):
                if key in holder:
                    found = np.atleast_1d(np.asarray(holder[key])).tolist()
                    names = tuple(n.decode() if isinstance(n, bytes) else str(n) for n in found)
                    if len(names) != matrix.shape[1]:
                        raise FileError(
                            f"{self.source}: {key!r} has {len(names)} names for {matrix.shape[1]} columns"
                        )
                    return names
        return None

    def _from_columns(
        self, file: Untyped, columns: Sequence[str] | None, rows: int
    ) -> Iterator[NDArray[np.float32]]:
        chosen = choose(
            self.source, tuple(self._lengths), columns if columns is not None else tuple(self._lengths)
        )
        length = one_length(self.source, {name: self._lengths[name] for name in chosen})
        for start in range(0, length, rows):
            parts = [as_float32(self.source, name, file[name][start : start + rows]) for name in chosen]
            yield np.column_stack(parts)

    def _from_compound(
        self, table: Untyped, columns: Sequence[str] | None, rows: int
    ) -> Iterator[NDArray[np.float32]]:
        chosen = choose(self.source, table.dtype.names, columns if columns is not None else table.dtype.names)
        for start in range(0, table.shape[0], rows):
            block = table[start : start + rows]
            yield np.column_stack([as_float32(self.source, name, block[name]) for name in chosen])

    def _from_matrix(
        self, matrix: Untyped, columns: Sequence[str] | None, rows: int
    ) -> Iterator[NDArray[np.float32]]:
        picked = pick(self.source, self.columns, matrix.shape[1], columns)
        for start in range(0, matrix.shape[0], rows):
            block = as_float32(self.source, self._events or "", matrix[start : start + rows])
            yield block if picked is None else block[:, picked]
