"""Tables in .parquet, .feather and .arrow files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nplmon.client.errors import FileError
from nplmon.client.files.table import Untyped, as_float32, choose, missing_library


class ArrowTable:
    """A file that pyarrow reads; columns that are not plain numbers are left out of `columns`."""

    def __init__(self, path: Path, source: str) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415  # an extra
            import pyarrow.parquet  # noqa: PLC0415  # an extra
        except ImportError:
            raise missing_library(source, "pyarrow") from None
        self.source = source
        self._path = path
        self._pa = pa
        try:
            with path.open("rb") as opened:
                schema = self._schema(opened)
        except pa.ArrowException as error:
            raise FileError(f"{source} is not a readable {path.suffix} file: {_first_line(error)}") from None
        self._names = tuple(schema.names)
        kinds = pa.types
        self.columns: tuple[str, ...] | None = tuple(
            f.name
            for f in schema
            if kinds.is_integer(f.type) or kinds.is_floating(f.type) or kinds.is_boolean(f.type)
        )

    def blocks(self, columns: Sequence[str] | None, rows: int) -> Iterator[NDArray[np.float32]]:
        """Yield float32 blocks; see `Table.blocks`."""
        chosen = choose(self.source, self._names, columns if columns is not None else self.columns or ())
        if not chosen:
            raise FileError(f"{self.source} has no numeric column; its columns are: {', '.join(self._names)}")
        try:
            with self._path.open("rb") as opened:
                for batch in self._batches(opened, list(chosen), rows):
                    yield np.column_stack([self._column(batch, name) for name in chosen])
        except self._pa.ArrowException as error:
            raise FileError(f"{self.source} is damaged: {_first_line(error)}") from None

    def _schema(self, opened: Untyped) -> Untyped:
        if self._path.suffix == ".parquet":
            return self._pa.parquet.ParquetFile(opened).schema_arrow
        return self._ipc(opened).schema

    def _batches(self, opened: Untyped, columns: list[str], rows: int) -> Iterator[Untyped]:
        if self._path.suffix == ".parquet":
            yield from self._pa.parquet.ParquetFile(opened).iter_batches(batch_size=rows, columns=columns)
            return
        reader = self._ipc(opened)
        if hasattr(reader, "num_record_batches"):
            yield from (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            yield from reader

    def _ipc(self, opened: Untyped) -> Untyped:
        # Feather and Arrow files begin with a magic word; anything else is tried as a stream of batches.
        magic = opened.read(6)
        opened.seek(0)
        return self._pa.ipc.open_file(opened) if magic == b"ARROW1" else self._pa.ipc.open_stream(opened)

    def _column(self, batch: Untyped, name: str) -> NDArray[np.float32]:
        column = batch.column(name)
        if column.null_count:
            raise FileError(
                f"{self.source}: column {name!r} has {column.null_count} nulls; fill or drop them"
            )
        if self._pa.types.is_nested(column.type):
            raise FileError(
                f"{self.source}: column {name!r} holds {column.type}, not one number per event; flatten it"
            )
        return as_float32(self.source, name, column.to_numpy(zero_copy_only=False))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
