"""References: content, versions, weights, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest
import safetensors.numpy
from tests.api.bodies import ARROW, JSON, NPY, arrow, check_problem, events, npy

from nplmon.api.references import content_hash
from nplmon.broker import Broker

pytestmark = pytest.mark.anyio

SAMPLE = events(300, seed=4)


async def put(
    client: httpx.AsyncClient, body: bytes, kind: str = NPY, name: str = "sm", **query: str
) -> httpx.Response:
    return await client.put(
        f"/v1/references/{name}", params=query, content=body, headers={"Content-Type": kind}
    )


async def test_reference_is_described_and_stored(client: httpx.AsyncClient, broker: Broker) -> None:
    answer = await put(client, npy(SAMPLE), features="pt,eta", units="GeV,")
    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/references/sm"
    reference = answer.json()
    assert reference["hash"] == content_hash(("pt", "eta"), ("GeV", ""), SAMPLE, None)
    assert (reference["name"], reference["features"], reference["units"]) == (
        "sm",
        ["pt", "eta"],
        ["GeV", ""],
    )
    assert (reference["events"], reference["weighted"], reference["effective_events"]) == (300, False, 300.0)
    wide = SAMPLE.astype("f8")
    assert reference["means"] == pytest.approx(wide.mean(axis=0).tolist(), rel=1e-12)
    assert reference["standard_deviations"] == pytest.approx(wide.std(axis=0).tolist(), rel=1e-12)
    assert reference["minima"] == SAMPLE.min(axis=0).tolist()
    assert reference["maxima"] == SAMPLE.max(axis=0).tolist()
    stored = safetensors.numpy.load(await broker.references.body(reference["hash"]))
    assert list(stored) == ["events"]
    assert stored["events"].dtype == np.float32
    np.testing.assert_array_equal(stored["events"], SAMPLE)


async def test_versions(client: httpx.AsyncClient) -> None:
    first = await put(client, npy(SAMPLE), features="a,b")
    again = await put(client, npy(SAMPLE.astype("f8")), features="a,b")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    units = await put(client, npy(SAMPLE), features="a,b", units="m,s")
    newer = await put(client, npy(SAMPLE[::-1]), features="a,b")
    other = await put(client, npy(SAMPLE), features="a,b", name="other")
    assert {units.status_code, newer.status_code, other.status_code} == {201}
    assert len({answer.json()["hash"] for answer in (first, units, newer)}) == 3
    assert other.json() == {**first.json(), "name": "other"}
    assert (await client.get("/v1/references/sm")).json() == newer.json()
    listed = (await client.get("/v1/references")).json()
    assert listed == {"references": [other.json(), newer.json()]}


async def test_weights_of_every_kind_of_body_are_the_same(client: httpx.AsyncClient, broker: Broker) -> None:
    """Weights keep double precision; their column is no feature."""
    v = np.random.default_rng(5).uniform(0.1, 2, 300)
    table = np.column_stack([SAMPLE[:, 0], v, SAMPLE[:, 1]])
    as_json = json.dumps({"events": SAMPLE.tolist(), "features": ["a", "b"], "weights": v.tolist()}).encode()
    answers = [
        await put(client, npy(table), features="a,w,b", weights="w", units="m,,s"),
        await put(
            client, arrow({"a": SAMPLE[:, 0], "b": SAMPLE[:, 1], "w": v}), ARROW, weights="w", units="m,s"
        ),
        await put(
            client,
            arrow({"x": v, "w": v, "b": SAMPLE[:, 1], "a": SAMPLE[:, 0]}),
            ARROW,
            features="a,b",
            weights="w",
            units="m,s",
        ),
        await put(client, as_json, JSON, units="m,s"),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200], [a.text for a in answers]
    reference = answers[0].json()
    wide = SAMPLE.astype("f8")
    means = np.average(wide, axis=0, weights=v)
    assert (reference["features"], reference["units"]) == (["a", "b"], ["m", "s"])
    assert reference["means"] == pytest.approx(means.tolist(), rel=1e-12)
    assert reference["standard_deviations"] == pytest.approx(
        np.sqrt(np.average((wide - means) ** 2, axis=0, weights=v)).tolist(), rel=1e-12
    )
    assert reference["sum_weights"] == pytest.approx(v.sum(), rel=1e-12)
    assert reference["effective_events"] == pytest.approx(v.sum() ** 2 / (v @ v), rel=1e-12)
    stored = safetensors.numpy.load(await broker.references.body(reference["hash"]))
    np.testing.assert_array_equal(stored["weights"], v)


def with_column(column: np.ndarray) -> bytes:
    return npy(np.column_stack([SAMPLE, column]))


CONSTANT = np.column_stack([SAMPLE[:, 0], np.full(300, 0.1)])
ONCE = np.zeros(300)
ONCE[3] = 1.0
NEGATIVE = np.ones(300)
NEGATIVE[7] = -1.0
HUGE = np.full(300, 1e308)
HIDDEN = np.column_stack(
    [SAMPLE[:, 0], np.r_[np.ones(150), np.zeros(150)], np.r_[np.ones(150), np.zeros(150)]]
)

REFUSALS: dict[str, tuple[bytes, str, dict[str, str], int, str]] = {
    "npy without names": (npy(SAMPLE), NPY, {}, 422, "features"),
    "too few names": (npy(SAMPLE), NPY, {"features": "a"}, 422, "shape"),
    "empty name": (npy(SAMPLE), NPY, {"features": "a,"}, 422, "features"),
    "wrong name": (npy(SAMPLE), NPY, {"features": "a,9b"}, 422, "features"),
    "repeated name": (npy(SAMPLE), NPY, {"features": "a,a"}, 422, "features"),
    "json without names": (b'{"events": [[1, 2]]}', JSON, {}, 422, "features"),
    "json names twice": (b'{"events": [[1]], "features": ["a"]}', JSON, {"features": "b"}, 422, "features"),
    "arrow names": (arrow({"9": SAMPLE[:, 0]}), ARROW, {}, 422, "features"),
    "arrow column": (arrow({"a": SAMPLE[:, 0]}), ARROW, {"features": "b"}, 422, "features"),
    "units": (npy(SAMPLE), NPY, {"features": "a,b", "units": "GeV"}, 422, "features"),
    "long unit": (npy(SAMPLE), NPY, {"features": "a,b", "units": "m," + "x" * 40}, 422, "features"),
    "too few events": (npy(SAMPLE[:99]), NPY, {"features": "a,b"}, 422, "reference-too-small"),
    "constant feature": (npy(CONSTANT), NPY, {"features": "a,b"}, 422, "reference-constant"),
    "constant where it counts": (
        npy(HIDDEN),
        NPY,
        {"features": "a,b,w", "weights": "w"},
        422,
        "reference-constant",
    ),
    "no such weights": (npy(SAMPLE), NPY, {"features": "a,b", "weights": "w"}, 422, "weights"),
    "only weights": (npy(SAMPLE[:, :1]), NPY, {"features": "w", "weights": "w"}, 422, "weights"),
    "one counts": (with_column(ONCE), NPY, {"features": "a,b,w", "weights": "w"}, 422, "weights"),
    "none counts": (with_column(0 * ONCE), NPY, {"features": "a,b,w", "weights": "w"}, 422, "weights"),
    "negative": (with_column(NEGATIVE), NPY, {"features": "a,b,w", "weights": "w"}, 422, "weights"),
    "infinite sum": (with_column(HUGE), NPY, {"features": "a,b,w", "weights": "w"}, 422, "weights"),
    "not a number": (
        with_column(ONCE / 0.5 * np.nan),
        NPY,
        {"features": "a,b,w", "weights": "w"},
        422,
        "weights",
    ),
    "json weights": (
        json.dumps({"events": SAMPLE.tolist(), "features": ["a", "b"], "weights": [1.0]}).encode(),
        JSON,
        {},
        422,
        "weights",
    ),
    "json weights as text": (
        b'{"events": [[1]], "features": ["a"], "weights": "w"}',
        JSON,
        {},
        422,
        "weights",
    ),
    "not finite": (npy(np.where(SAMPLE > 2, np.nan, SAMPLE)), NPY, {"features": "a,b"}, 422, "not-finite"),
    "csv": (b"a,b", "text/csv", {"features": "a,b"}, 415, "content-type"),
    "too large": (b"\0" * 2_000_001, NPY, {"features": "a,b"}, 413, "body-too-large"),
    "truncated": (npy(SAMPLE)[:-5], NPY, {"features": "a,b"}, 400, "body-truncated"),
}


@pytest.mark.parametrize(("body", "kind", "query", "status", "slug"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_refusals(
    client: httpx.AsyncClient, body: bytes, kind: str, query: dict[str, str], status: int, slug: str
) -> None:
    check_problem(await put(client, body, kind, **query), status, slug)
    assert (await client.get("/v1/references")).json() == {"references": []}


async def test_unknown_and_wrong_names(client: httpx.AsyncClient) -> None:
    check_problem(await client.get("/v1/references/sm"), 404, "unknown-reference", "reference")
    check_problem(await client.get("/v1/references/.sm"), 422, "name", "name")
    check_problem(await put(client, npy(SAMPLE), name="a%20b", features="a,b"), 422, "name", "name")


async def test_monitor_keeps_its_version(client: httpx.AsyncClient, monitor: dict[str, Any]) -> None:
    await put(client, npy(SAMPLE), features="pt,eta")
    assert (await client.get("/v1/monitors/m")).json()["reference_hash"] == monitor["reference_hash"]
