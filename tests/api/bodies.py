"""Bodies to send, and what a refusal must look like."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

FEATURES = ("pt", "eta")
JSON = "application/json"
NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"
PUSH = "/v1/monitors/m/runs/r/chunks"

Push = Callable[..., Any]


def npy(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def arrow(columns: dict[str, Any], **options: Any) -> bytes:
    table = pa.table(columns)
    file = io.BytesIO()
    with pa.ipc.new_stream(file, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=7)
    return file.getvalue()


def events(count: int, seed: int = 1, features: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, features)).astype(np.float32)


def check_problem(
    answer: httpx.Response, status: int, slug: str, field_: str | None = None
) -> dict[str, Any]:
    """Check that a refusal has all its members, and the ones expected."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (status, f"/problems/{slug}"), problem
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["remedy"]
    assert "value" in problem
    if field_ is None:
        assert problem["field"]
    else:
        assert problem["field"] == field_
    return problem
