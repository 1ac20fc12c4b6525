"""The NumPy file format (NEP 1), read strictly: nothing is evaluated, unpickled or allocated on its word."""

from __future__ import annotations

import math
import re

import numpy as np

from nplmon.api.problems import Problem
from nplmon.api.tables import Matrix

MAGIC = b"\x93NUMPY"
HEADER_LIMIT = 10_000
TYPES = {"<f4", "<f8", ">f4", ">f8"}

_ITEM = r"""\s*(?:
    (?P<q{n}>['"])descr(?P=q{n})\s*:\s*(?P<p{n}>['"])(?P<descr{n}>[^'"]*)(?P=p{n})
  | ['"]fortran_order['"]\s*:\s*(?P<fortran{n}>True|False)
  | ['"]shape['"]\s*:\s*\((?P<shape{n}>\s*(?:[0-9]{{1,19}}L?\s*(?:,\s*[0-9]{{1,19}}L?\s*)*,?\s*)?)\)
)\s*"""
_HEADER = re.compile(
    r"\{" + ",".join(_ITEM.format(n=n) for n in range(3)) + r",?\s*\}\s*", re.VERBOSE | re.ASCII
)
_STRUCTURED = re.compile(r"""['"]descr['"]\s*:\s*[\[(]""")


def read_npy(body: bytes | bytearray) -> Matrix:
    """Read a one- or two-dimensional array of float32 or float64 without copying it.

    Parameters
    ----------
    body:
        A whole .npy file, version 1.0 or 2.0.

    Returns
    -------
    Matrix
        (N, d); a one-dimensional array is one column. A view of `body`.

    Raises
    ------
    Problem
        `body-unreadable`, `body-truncated`, `dtype`, `shape`, `no-events`.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> np.save(file, np.ones((3, 2), dtype=np.float32))
    >>> read_npy(file.getvalue()).values.shape
    (3, 2)
    """
    start, header = _header(body)
    descr, fortran, shape = _fields(header)
    if descr not in TYPES:
        raise Problem(
            "dtype",
            f"The array has dtype {descr!r}.",
            field="dtype",
            value=descr,
            remedy="Send float32 or float64: array.astype('float32').",
        )
    if len(shape) not in {1, 2} or (len(shape) == 2 and shape[1] == 0):
        raise Problem(
            "shape",
            f"The array has shape {shape}.",
            field="shape",
            value=str(shape),
            remedy="Send an array of shape (events, features).",
        )
    if shape[0] == 0:
        raise Problem(
            "no-events", "The array has 0 events.", field="events", value=0, remedy="Send at least one event."
        )
    dtype = np.dtype(descr)
    # Python integers: no shape can overflow this comparison, and nothing is allocated before it.
    declared, present = math.prod(shape) * dtype.itemsize, len(body) - start
    if present < declared:
        raise Problem(
            "body-truncated",
            f"The header declares {declared} bytes of shape {shape}, but {present} follow.",
            field="body",
            value=present,
            remedy="Send the whole array.",
        )
    if present > declared:
        raise _unreadable(
            f"The header declares {declared} bytes of shape {shape}, but {present} follow.", present
        )
    flat = np.frombuffer(body, dtype=dtype, offset=start)
    columns = shape[1] if len(shape) == 2 else 1
    return Matrix(flat.reshape((shape[0], columns), order="F" if fortran else "C"))


def _header(body: bytes | bytearray) -> tuple[int, str]:
    """Find where the data begin, and the header's text."""
    if len(body) < len(MAGIC) + 2:
        if MAGIC.startswith(bytes(body[: len(MAGIC)])):
            raise _truncated(len(body))
        raise _unreadable("It does not begin with the .npy magic bytes.", bytes(body[:6]))
    if bytes(body[: len(MAGIC)]) != MAGIC:
        raise _unreadable("It does not begin with the .npy magic bytes.", bytes(body[:6]))
    version = (body[6], body[7])
    if version == (3, 0):
        raise _structured()
    if version not in {(1, 0), (2, 0)}:
        raise _unreadable(f"The .npy version is {version[0]}.{version[1]}.", f"{version[0]}.{version[1]}")
    start = 10 if version == (1, 0) else 12
    if len(body) < start:
        raise _truncated(len(body))
    length = int.from_bytes(body[8:start], "little")
    if length > HEADER_LIMIT:
        raise _unreadable(f"The header is {length} bytes long; at most {HEADER_LIMIT} are read.", length)
    if len(body) < start + length:
        raise _truncated(len(body))
    return start + length, bytes(body[start : start + length]).decode("latin1")


def _fields(header: str) -> tuple[str, bool, tuple[int, ...]]:
    """Give descr, fortran_order and shape."""
    match = _HEADER.fullmatch(header)
    found = {} if match is None else {key.rstrip("012"): v for key, v in match.groupdict().items() if v}
    if match is not None and any(match[f"shape{n}"] == "" for n in range(3)):
        found["shape"] = ""
    if not {"descr", "fortran", "shape"} <= found.keys():
        if _STRUCTURED.search(header):
            raise _structured()
        raise _unreadable("The header is not that of an array.", header)
    shape = tuple(int(size.strip().rstrip("L")) for size in found["shape"].split(",") if size.strip())
    return found["descr"], found["fortran"] == "True", shape


def _structured() -> Problem:
    return Problem(
        "dtype",
        "The array has named fields.",
        field="dtype",
        value="structured",
        remedy="Send float32 of shape (events, features): numpy.lib.recfunctions.structured_to_unstructured.",
    )


def _truncated(size: int) -> Problem:
    return Problem(
        "body-truncated",
        f"The body ends after {size} bytes, inside the .npy header.",
        field="body",
        value=size,
        remedy="Send the whole array.",
    )


def _unreadable(reason: str, value: object) -> Problem:
    return Problem(
        "body-unreadable",
        f"The body is not a plain .npy file. {reason}",
        field="body",
        value=value,
        remedy="Write it with numpy.save(file, array, allow_pickle=False) from float32 or float64.",
    )
