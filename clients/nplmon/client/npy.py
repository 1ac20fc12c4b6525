"""Event bodies in the npy format, sent from the array's own memory."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import ArrayLike, NDArray

CONTENT_TYPE = "application/x-npy"
_PIECE = 1 << 20


class NpyBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The npy bytes of one array, produced in pieces as often as a retry needs them.

    Parameters
    ----------
    events:
        Shape (N,) or (N, d). float32 and float64 are sent as they are; other numbers become float32.

    Raises
    ------
    TypeError
        If the array does not hold real numbers.

    Examples
    --------
    >>> body = NpyBody([[1.0, 2.0]])
    >>> np.load(io.BytesIO(b"".join(body)))
    array([[1., 2.]])
    """

    def __init__(self, events: ArrayLike) -> None:
        array = _as_real(np.asarray(events))
        if not (array.flags.c_contiguous or array.flags.f_contiguous):
            array = np.ascontiguousarray(array)
        header = io.BytesIO()
        npy_format.write_array_header_1_0(header, npy_format.header_data_from_array_1_0(array))
        self.header = header.getvalue()
        # The transpose of a Fortran-ordered array is C-ordered: the same memory, in order, without a copy.
        self.memory = np.ravel(array if array.flags.c_contiguous else array.T).view(np.uint8).data
        self.length = len(self.header) + len(self.memory)

    def __iter__(self) -> Iterator[bytes]:
        yield self.header
        for start in range(0, len(self.memory), _PIECE):
            yield bytes(self.memory[start : start + _PIECE])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def _as_real(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "f" and array.dtype.itemsize in (4, 8):
        return array
    if array.dtype.kind in "iufb":
        return array.astype(np.float32)
    raise TypeError(
        f"events have dtype {array.dtype}; give real numbers (float32 or float64), one column per feature"
    )
