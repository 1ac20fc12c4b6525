"""The Arrow IPC stream format, read strictly: numbers by columns, whole, plain and without nulls."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from nplmon.api.problems import Problem
from nplmon.api.tables import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"

# Message.header and RecordBatch.compression in Arrow's Message.fbs: table field ids 2 and 3.
_HEADER_FIELD = 2
_COMPRESSION_FIELD = 3


def read_arrow(body: bytes | bytearray, features: Sequence[str] | None = None) -> Columns:
    """Read columns of numbers from an Arrow IPC stream.

    Parameters
    ----------
    body:
        A whole stream, with its end-of-stream marker, not compressed.
    features:
        The columns to read; None: all of them.

    Returns
    -------
    Columns
        In the order of `features`, or of the stream's schema.

    Raises
    ------
    Problem
        `body-unreadable`, `body-truncated`, `content-type` (compressed), `features` (missing or ambiguous),
        `dtype` (not numbers), `not-finite` (null).
    """
    buffer = pa.py_buffer(body)
    try:
        schema = pa.ipc.open_stream(buffer).schema
        names = tuple(schema.names) if features is None else tuple(features)
        places = [_place(schema, name) for name in names]
        _refuse_compressed(buffer)
        source = pa.BufferReader(buffer)
        # Only what is asked for is decoded; the rest of the body cannot cost anything.
        options = pa.ipc.IpcReadOptions(included_fields=sorted(places))
        batches = list(pa.ipc.open_stream(source, options=options))
        for batch in batches:
            batch.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError, struct.error) as error:
        raise _malformed(error, len(body)) from error
    end = source.tell()
    if bytes(body[end - len(END_OF_STREAM) : end]) != END_OF_STREAM:
        raise Problem(
            "body-truncated",
            f"The stream ends after {len(body)} bytes without its end-of-stream marker.",
            field="body",
            value=len(body),
            remedy="Send the whole stream; close the writer before sending.",
        )
    if end != len(body):
        raise Problem(
            "body-unreadable",
            f"{len(body) - end} bytes follow the end of the stream.",
            field="body",
            value=len(body) - end,
            remedy="Send one stream.",
        )
    return Columns(tuple(_column(batches, name) for name in names), names)


def _place(schema: pa.Schema, name: str) -> int:
    places = schema.get_all_field_indices(name)
    if len(places) != 1:
        reason = "missing" if not places else f"there {len(places)} times"
        raise Problem(
            "features",
            f"The column {name!r} is {reason}; the stream has {', '.join(schema.names[:20])}.",
            field=name,
            value=", ".join(schema.names),
            remedy=f"Send exactly one column named {name!r}.",
        )
    place = int(places[0])
    kind = schema.field(place).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise Problem(
            "dtype",
            f"The column {name!r} has type {kind}.",
            field=name,
            value=str(kind),
            remedy="Send a float or integer column: column.cast(pyarrow.float32()).",
        )
    return place


def _refuse_compressed(buffer: pa.Buffer) -> None:
    """Refuse compressed buffers, whose declared size would be allocated on the sender's word."""
    for message in pa.ipc.MessageReader.open_stream(pa.BufferReader(buffer)):
        if message.type != "record batch":
            continue
        # pyarrow has verified this flatbuffer when it read the message.
        metadata = message.metadata.to_pybytes()
        (root,) = struct.unpack_from("<I", metadata, 0)
        header = _field(metadata, root, _HEADER_FIELD)
        if header is None:
            continue
        (offset,) = struct.unpack_from("<I", metadata, header)
        if _field(metadata, header + offset, _COMPRESSION_FIELD) is not None:
            raise Problem(
                "content-type",
                "The record batches are compressed.",
                field="body",
                value="compressed",
                remedy="Write the stream without compression.",
            )


def _field(metadata: bytes, table: int, number: int) -> int | None:
    """Give the position of a flatbuffer table's field, None if it is absent."""
    (back,) = struct.unpack_from("<i", metadata, table)
    vtable = table - back
    (size,) = struct.unpack_from("<H", metadata, vtable)
    slot = 4 + 2 * number
    if slot + 2 > size:
        return None
    (offset,) = struct.unpack_from("<H", metadata, vtable + slot)
    return table + offset if offset else None


def _column(batches: Sequence[Any], name: str) -> np.ndarray[tuple[int], np.dtype[Any]]:
    """Join one column of all batches."""
    row = 0
    parts = []
    for batch in batches:
        column = batch.column(name)
        if column.null_count:
            place = row + column.is_null().index(pa.scalar(value=True)).as_py()
            raise Problem(
                "not-finite",
                f"The column {name!r} is null in row {place} (counted from 0).",
                field=name,
                value=f"null in row {place}",
                remedy="Drop or fill such events before sending.",
            )
        parts.append(column.to_numpy(zero_copy_only=False))
        row += len(column)
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)


def _malformed(error: Exception, size: int) -> Problem:
    text = str(error)
    short = any(hint in text for hint in ("Expected to be able to read", "only read", "bytes available"))
    if short:
        return Problem(
            "body-truncated",
            f"The stream ends early, after {size} bytes: {text[:200]}",
            field="body",
            value=size,
            remedy="Send the whole stream.",
        )
    return Problem(
        "body-unreadable",
        f"The body is not an Arrow IPC stream: {text[:200]}",
        field="body",
        value=size,
        remedy="Write it with pyarrow.ipc.new_stream (the stream format, not the file format).",
    )
