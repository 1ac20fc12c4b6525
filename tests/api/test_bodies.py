"""Bodies: every kind of bad body is refused by name, nothing is stored, and nothing crashes."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import struct
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.bodies import ARROW, JSON, NPY, PUSH, Push, arrow, check_problem, events, npy

from nplmon.api.arrow import read_arrow
from nplmon.api.bodies import read_body
from nplmon.api.json_events import PointsBody, read_json
from nplmon.api.npy import read_npy
from nplmon.api.problems import Problem
from nplmon.broker import Broker

pytestmark = pytest.mark.anyio

GOOD = events(20)


def header(
    descr: str = "'<f4'", shape: str = "(20, 2)", order: str = "False", data: bytes = GOOD.tobytes()
) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def with_value(value: float, dtype: str = "f4") -> np.ndarray:
    chunk = GOOD.astype(dtype)
    chunk[7, 1] = value
    return chunk


NPY_REFUSALS: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 400, "body-truncated"),
    "text": (b"pt,eta\n1,2\n", 400, "body-unreadable"),
    "pickle": (b"\x80\x04\x95\x10\x00\x00\x00", 400, "body-unreadable"),
    "zip": (b"PK\x03\x04" + b"\0" * 50, 400, "body-unreadable"),
    "magic alone": (b"\x93NUMPY", 400, "body-truncated"),
    "cut in the header": (npy(GOOD)[:40], 400, "body-truncated"),
    "cut in the data": (npy(GOOD)[:-1], 400, "body-truncated"),
    "more than declared": (npy(GOOD) + b"\0", 400, "body-unreadable"),
    "version 9": (b"\x93NUMPY\x09\x00" + npy(GOOD)[8:], 400, "body-unreadable"),
    "version 3": (b"\x93NUMPY\x03\x00" + npy(GOOD)[8:], 422, "dtype"),
    "long header": (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1), 400, "body-unreadable"),
    "code in the header": (header(descr="__import__('os').system('true')"), 400, "body-unreadable"),
    "missing key": (header().replace(b"fortran_order", b"fortran_ordex"), 400, "body-unreadable"),
    "repeated key": (header().replace(b"'shape': (20, 2)", b"'descr': '<f4'  "), 400, "body-unreadable"),
    "negative shape": (header(shape="(-1, 2)"), 400, "body-unreadable"),
    "object array": (npy(np.array([[1, "a"]], dtype=object), allow_pickle=True), 422, "dtype"),
    "structured": (npy(np.zeros(5, dtype=[("pt", "f4"), ("eta", "f4")])), 422, "dtype"),
    "integers": (npy(np.ones((5, 2), dtype=int)), 422, "dtype"),
    "complex": (npy(np.ones((5, 2), dtype=complex)), 422, "dtype"),
    "strings": (npy(np.array([["a", "b"]])), 422, "dtype"),
    "half": (npy(GOOD.astype("f2")), 422, "dtype"),
    "three dimensions": (npy(np.ones((5, 2, 1), dtype="f4")), 422, "shape"),
    "no dimension": (npy(np.float32(1)), 422, "shape"),
    "one dimension": (npy(np.ones(5, dtype="f4")), 422, "shape"),
    "no columns": (npy(np.ones((5, 0), dtype="f4")), 422, "shape"),
    "three columns": (npy(events(5, features=3)), 422, "shape"),
    "no events": (npy(np.ones((0, 2), dtype="f4")), 422, "no-events"),
    "absurd shape": (header(shape="(999999999999999999, 2)"), 400, "body-truncated"),
    "overflowing shape": (header(shape="(4611686018427387905, 4)"), 400, "body-truncated"),
    "endless digits": (header(shape=f"({'9' * 5000}, 2)"), 400, "body-unreadable"),
    "nan": (npy(with_value(np.nan)), 422, "not-finite"),
    "infinity": (npy(with_value(-np.inf)), 422, "not-finite"),
    "infinite as float32": (npy(with_value(1e39, "f8")), 422, "not-finite"),
}

COLUMNS: dict[str, Any] = {"pt": GOOD[:, 0], "eta": GOOD[:, 1]}


def arrow_with(value: object, kind: pa.DataType) -> bytes:
    return arrow({"pt": GOOD[:, 0], "eta": pa.array([1] * 7 + [value] + [1] * 12, type=kind)})


def without_batches() -> bytes:
    file = io.BytesIO()
    pa.ipc.new_stream(file, pa.schema([("pt", pa.float32()), ("eta", pa.float32())])).close()
    return file.getvalue()


def file_format() -> bytes:
    file = io.BytesIO()
    table = pa.table(COLUMNS)
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


ARROW_REFUSALS: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 400, "body-unreadable"),
    "text": (b"pt,eta\n1,2\n", 400, "body-truncated"),
    "file format": (file_format(), 400, "body-truncated"),
    "cut in a batch": (arrow(COLUMNS)[:-20], 400, "body-truncated"),
    "cut between batches": (arrow(COLUMNS)[:-8], 400, "body-truncated"),
    "two streams": (arrow(COLUMNS) * 2, 400, "body-unreadable"),
    "compressed": (arrow(COLUMNS, compression="lz4"), 415, "content-type"),
    "missing column": (arrow({"pt": GOOD[:, 0]}), 422, "features"),
    "strings": (arrow({"pt": GOOD[:, 0], "eta": ["a"] * 20}), 422, "dtype"),
    "booleans": (arrow({"pt": GOOD[:, 0], "eta": [True] * 20}), 422, "dtype"),
    "lists": (arrow({"pt": GOOD[:, 0], "eta": [[1.0]] * 20}), 422, "dtype"),
    "null": (arrow_with(None, pa.float32()), 422, "not-finite"),
    "null integer": (arrow_with(None, pa.int64()), 422, "not-finite"),
    "nan": (arrow_with(np.nan, pa.float64()), 422, "not-finite"),
    "too large": (arrow_with(1e39, pa.float64()), 422, "not-finite"),
    "no batches": (without_batches(), 422, "no-events"),
    "empty batch": (arrow({"pt": GOOD[:0, 0], "eta": GOOD[:0, 1]}), 422, "no-events"),
}

JSON_REFUSALS: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 400, "body-truncated"),
    "cut": (b'{"events": [[1, 2', 400, "body-truncated"),
    "text": (b"pt,eta", 400, "body-unreadable"),
    "not utf-8": (b'{"events": [[1, 2]], "id": "\xff"}', 400, "body-unreadable"),
    "nan": (b'{"events": [[1, NaN]]}', 400, "body-unreadable"),
    "deep": (b'{"events": ' + b"[" * 100_000, 422, "shape"),
    "array": (b"[[1, 2]]", 422, "settings"),
    "no events member": (b"{}", 422, "no-events"),
    "no events": (b'{"events": []}', 422, "no-events"),
    "empty rows": (b'{"events": [[], []]}', 422, "shape"),
    "ragged": (b'{"events": [[1, 2], [3]]}', 422, "shape"),
    "flat": (b'{"events": [1, 2]}', 422, "shape"),
    "three deep": (b'{"events": [[[1, 2]]]}', 422, "shape"),
    "not a list": (b'{"events": "x"}', 422, "shape"),
    "three columns": (b'{"events": [[1, 2, 3]]}', 422, "shape"),
    "string": (b'{"events": [[1, "2"]]}', 422, "dtype"),
    "null": (b'{"events": [[1, null]]}', 422, "dtype"),
    "boolean": (b'{"events": [[1, true]]}', 422, "dtype"),
    "out of range": (b'{"events": [[1, 1e999]]}', 422, "not-finite"),
    "out of float32": (b'{"events": [[1, 1e39]]}', 422, "not-finite"),
    "unknown member": (b'{"events": [[1, 2]], "expsure": 1}', 422, "settings"),
    "wrong feature": (b'{"events": [[1, 2]], "features": ["pt", "phi"]}', 422, "features"),
    "features not a list": (b'{"events": [[1, 2]], "features": 3}', 422, "features"),
    "features that disagree": (b'{"events": [[1, 2]], "features": ["pt"]}', 422, "shape"),
    "exposure as text": (b'{"events": [[1, 2]], "exposure": "1"}', 422, "exposure"),
    "exposure 0": (b'{"events": [[1, 2]], "exposure": 0}', 422, "exposure"),
    "id as number": (b'{"events": [[1, 2]], "id": 7}', 422, "name"),
    "id that is no name": (b'{"events": [[1, 2]], "id": "a b"}', 422, "name"),
    "half a surrogate": (b'{"events": [[1, 2]], "id": "\\ud800 and more"}', 400, "body-unreadable"),
}

REFUSALS = [
    pytest.param(body, kind, status, slug, id=f"{name}: {case}")
    for name, kind, cases in (
        ("npy", NPY, NPY_REFUSALS),
        ("arrow", ARROW, ARROW_REFUSALS),
        ("json", JSON, JSON_REFUSALS),
    )
    for case, (body, status, slug) in cases.items()
]


@pytest.mark.parametrize(("body", "kind", "status", "slug"), REFUSALS)
async def test_bad_body_is_refused(
    push: Push, client: httpx.AsyncClient, body: bytes, kind: str, status: int, slug: str
) -> None:
    check_problem(await push(body, kind), status, slug)
    assert (await client.get("/v1/monitors/m/runs")).json() == {"runs": []}, "nothing is stored"


@pytest.mark.parametrize("body", [npy(with_value(np.nan)), npy(with_value(np.nan)[::-1][::-1])])
async def test_the_bad_value_is_named(push: Push, body: bytes) -> None:
    problem = check_problem(await push(body), 422, "not-finite", "eta")
    assert problem["value"] == "nan in row 7"
    problem = check_problem(await push(arrow_with(None, pa.float32()), ARROW), 422, "not-finite", "eta")
    assert problem["value"] == "null in row 7"


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"Content-Type": ""}, "Content-Type"),
        ({"Content-Type": "text/csv"}, "Content-Type"),
        ({"Content-Type": "application/octet-stream"}, "Content-Type"),
        ({"Content-Encoding": "gzip"}, "Content-Encoding"),
    ],
)
async def test_content_type(push: Push, headers: dict[str, str], field: str) -> None:
    check_problem(await push(gzip.compress(npy(GOOD)), headers=headers), 415, "content-type", field)


async def test_content_type_may_have_parameters(push: Push) -> None:
    body = json.dumps({"events": GOOD.tolist()}).encode()
    answer = await push(body, "Application/JSON; charset=utf-8", headers={"Content-Encoding": "identity"})
    assert answer.status_code == 202


async def test_declared_length_over_the_limit_is_refused_unread(
    client: httpx.AsyncClient, push: Push
) -> None:
    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    answer = await client.post(
        PUSH, content=body(), headers={"Content-Type": NPY, "Content-Length": "1000001"}
    )
    check_problem(answer, 413, "body-too-large", "body")


async def test_undeclared_length_over_the_limit_is_cut_off(client: httpx.AsyncClient, push: Push) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"\0" * 100_000

    answer = await client.post(PUSH, content=body(), headers={"Content-Type": NPY})
    check_problem(answer, 413, "body-too-large", "body")
    assert sent == 11, "reading stopped where the limit was passed"


async def test_body_at_the_limit_is_read(push: Push) -> None:
    start = len(npy(events(1000))) - 8000
    assert len(body := npy(events((1_000_000 - start) // 8))) <= 1_000_000
    assert (await push(body)).status_code == 202


async def test_body_shorter_than_declared(push: Push) -> None:
    body = npy(GOOD)
    answer = await push(body, headers={"Content-Length": str(len(body) + 10)})
    check_problem(answer, 400, "body-truncated", "body")


async def test_lost_client_is_no_fault() -> None:
    from starlette.requests import Request

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    with pytest.raises(Problem) as refusal:
        await read_body(Request(scope, receive), 100)
    assert refusal.value.slug == "body-truncated"


def test_absurd_shapes_are_refused_before_any_allocation() -> None:
    body = header(shape="(999999999999, 2)")
    tracemalloc.start()
    with pytest.raises(Problem):
        read_npy(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_arrow_bomb_is_refused_unread() -> None:
    """Zeros compress a thousandfold; the stream is refused before it is decompressed."""
    body = arrow({"pt": np.zeros(10)}, compression="zstd")
    before = pa.total_allocated_bytes()
    with pytest.raises(Problem) as refusal:
        read_arrow(body)
    assert refusal.value.slug == "content-type"
    assert pa.total_allocated_bytes() == before


@given(st.data())
def test_damaged_bodies_never_crash(data: st.DataObject) -> None:
    """Bodies with some bytes changed and cut anywhere either read or are a `Problem`."""
    good, read = data.draw(
        st.sampled_from(
            [
                (npy(GOOD), read_npy),
                (arrow(COLUMNS), read_arrow),
                (b'{"events": [[1.5, 2], [3e0, -4]]}', lambda body: read_json(body, PointsBody)),
            ]
        )
    )
    body = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Problem):
        read(bytes(body[: data.draw(st.integers(0, len(body)))]))


async def test_big_body_does_not_hold_the_event_loop(
    broker: Broker, monitor: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work on a body above the threshold happens in another thread."""
    import threading

    from nplmon.api.bodies import off_loop

    here = threading.get_ident()
    assert await off_loop(1_000_000, threading.get_ident) == here
    assert await off_loop(1_000_001, threading.get_ident) != here
