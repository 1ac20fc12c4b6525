"""Chunks: accepted means stored; duplicates, conflicts, limits, and where a chunk is."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
from blake3 import blake3
from tests.api.bodies import ARROW, FEATURES, NPY, PUSH, Push, arrow, check_problem, events, npy
from tests.api.workers import Workers

from nplmon.broker import Broker

pytestmark = pytest.mark.anyio


async def test_accepted_chunk_is_stored_in_canonical_form(push: Push, broker: Broker) -> None:
    chunk = events(20)
    answer = await push(npy(chunk), headers={"Nplmon-Chunk-Id": "c1"})
    assert answer.status_code == 202
    receipt = answer.json()
    assert (receipt["chunk"], receipt["sequence"], receipt["events"]) == ("c1", 1, 20)
    assert answer.headers["location"] == "/v1/monitors/m/chunks/c1?run=r"
    assert await broker.statistics.payload("m", "r", 1) == chunk.tobytes()
    expected = blake3(chunk.astype("<f4").tobytes() + "\0".join(FEATURES).encode()).hexdigest()
    assert receipt["digest"] == expected


async def test_every_form_of_the_same_events_is_the_same_chunk(push: Push) -> None:
    chunk = events(20)
    forms = [
        (npy(chunk), NPY, {}),
        (npy(chunk.astype("f8")), NPY, {}),
        (npy(chunk.astype(">f4")), NPY, {}),
        (npy(chunk.astype(">f8")), NPY, {}),
        (npy(np.asfortranarray(chunk)), NPY, {}),
        (npy(chunk[:, ::-1]), NPY, {"features": "eta,pt"}),
        (npy(np.column_stack([chunk, chunk[:, 0]])), NPY, {"features": "pt,eta,extra"}),
        (arrow({"eta": chunk[:, 1], "x": ["s"] * 20, "pt": chunk[:, 0].astype("f8")}), ARROW, {}),
        (httpx.Request("POST", "http://x", json={"events": chunk.tolist()}).content, "application/json", {}),
    ]
    receipts = []
    for number, (body, kind, query) in enumerate(forms):
        answer = await push(body, kind, **query)
        assert answer.status_code == (202 if number == 0 else 200), answer.text
        assert ("nplmon-duplicate" in answer.headers) == (number > 0)
        receipts.append(answer.json())
    assert all(receipt == receipts[0] for receipt in receipts)
    assert receipts[0]["chunk"] == receipts[0]["digest"]


async def test_json_chunk_may_carry_what_headers_say(client: httpx.AsyncClient, push: Push) -> None:
    body = {
        "events": [[1, 2], [3, 4]],
        "features": ["eta", "pt"],
        "id": "c",
        "exposure": 2.5,
        "source_time": "2026-01-01T00:00:00Z",
    }
    receipt = (await client.post(PUSH, json=body)).json()
    assert receipt["chunk"] == "c"
    assert receipt["exposure"] == 2.5
    assert receipt["source_time"] == 1767225600.0


async def test_one_feature_may_be_one_dimensional(
    client: httpx.AsyncClient, reference: dict, push: Push
) -> None:
    await client.post("/v1/monitors", json={"name": "one", "reference": "sm", "features": ["eta"]})
    answer = await push(npy(events(10)[:, 0]), path="/v1/monitors/one/runs/r/chunks")
    assert (answer.status_code, answer.json()["events"]) == (202, 10)


async def test_duplicate_and_conflict(push: Push) -> None:
    first = await push(chunk="c")
    again = await push(chunk="c")
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.headers["nplmon-duplicate"] == "true"
    assert again.json() == first.json()
    check_problem(await push(npy(events(20, seed=9)), chunk="c"), 409, "chunk-conflict", "chunk")
    # The exposure is part of what a chunk means, though not of its digest.
    check_problem(await push(chunk="c", exposure="3"), 409, "chunk-conflict", "exposure")


async def test_full_backlog_asks_to_wait(push: Push) -> None:
    for seed in range(4):
        assert (await push(npy(events(5, seed)))).status_code == 202
    answer = await push(npy(events(5, 99)))
    check_problem(answer, 429, "backlog-full", "backlog")
    assert int(answer.headers["retry-after"]) >= 1
    assert (await push(npy(events(5, 0)))).status_code == 200, "a duplicate needs no room"


async def test_closed_run_takes_no_chunk(client: httpx.AsyncClient, push: Push) -> None:
    await push()
    await client.post("/v1/monitors/m/runs/r/close")
    check_problem(await push(npy(events(5, 3))), 409, "run-closed", "run")


async def test_changed_monitor_is_read_again(
    client: httpx.AsyncClient, broker: Broker, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A monitor that changes while a body comes in: the events are chosen anew, for the epoch that is."""
    stale = await broker.monitors.get("m")
    await client.patch("/v1/monitors/m", json={"features": ["eta"]})
    fresh, calls = broker.monitors.get, []

    async def get(name: str) -> object:
        calls.append(name)
        return stale if len(calls) == 1 else await fresh(name)

    monkeypatch.setattr(broker.monitors, "get", get)
    answer = await push(npy(events(20)), features="pt,eta")
    assert answer.status_code == 202
    assert answer.json()["monitor_epoch"] == 2
    assert await broker.statistics.payload("m", "r", 1) == events(20)[:, 1].tobytes()


@pytest.mark.parametrize(
    ("query", "slug", "field"),
    [
        ({"exposure": "0"}, "exposure", "exposure"),
        ({"exposure": "-1"}, "exposure", "exposure"),
        ({"exposure": "nan"}, "exposure", "exposure"),
        ({"exposure": "inf"}, "exposure", "exposure"),
        ({"exposure": "much"}, "exposure", "exposure"),
        ({"chunk": "a b"}, "name", "chunk"),
        ({"chunk": ""}, "name", "chunk"),
        ({"chunk": "a\n"}, "name", "chunk"),
        ({"chunk": "x" * 129}, "name", "chunk"),
        ({"source_time": "yesterday"}, "settings", "source_time"),
        ({"source_time": "2026-01-01T00:00:00"}, "settings", "source_time"),
        ({"source_time": "nan"}, "settings", "source_time"),
        ({"source_time": "1e300"}, "settings", "source_time"),
        ({"features": "pt"}, "shape", "events"),
        ({"features": "pt,pt"}, "features", "features"),
        ({"features": "pt,phi"}, "features", "eta"),
        ({"features": "pt,!"}, "features", "features"),
    ],
)
async def test_what_is_said_about_a_chunk_is_checked(push: Push, query: dict, slug: str, field: str) -> None:
    check_problem(await push(**query), 422, slug, field)


async def test_header_and_query_must_agree(push: Push) -> None:
    check_problem(await push(headers={"Nplmon-Chunk-Id": "a"}, chunk="b"), 422, "name", "chunk")
    assert (await push(headers={"Nplmon-Exposure": "2.0"}, exposure="2")).json()["exposure"] == 2.0


@pytest.mark.parametrize("exposure", ["1e-300", "1e-4", "1e5", "1e300"])
async def test_an_exposure_of_another_unit_is_refused(
    client: httpx.AsyncClient, push: Push, exposure: str
) -> None:
    """It would spoil the statistic of the whole run: expected and observed count may differ by a factor 1000."""
    await client.patch("/v1/monitors/m", json={"mode": "rate", "rate": 10})
    check_problem(await push(exposure=exposure), 422, "exposure", "exposure")
    assert (await client.get("/v1/monitors/m/runs")).json() == {"runs": []}
    assert (await push(exposure="2")).status_code == 202


@pytest.mark.parametrize("exposure", ["1e-300", "1e300"])
async def test_an_exposure_that_expects_nothing_or_everything_is_refused(
    client: httpx.AsyncClient, push: Push, exposure: str
) -> None:
    """Where the rate is tested apart, far fewer events than expected are news; to expect 0 or 1e300 is not."""
    await client.patch("/v1/monitors/m", json={"control": {"events": 1000, "exposure": 2.0}})
    check_problem(await push(exposure=exposure), 422, "exposure", "exposure")
    assert (await push(exposure="1000")).status_code == 202
    assert (
        await push(npy(events(5, 3)))
    ).status_code == 202  # the rate is unknown then, and the shape goes on


async def test_rate_needs_exposure(client: httpx.AsyncClient, push: Push) -> None:
    await client.patch("/v1/monitors/m", json={"mode": "rate", "rate": 10})
    check_problem(await push(), 422, "exposure", "exposure")
    assert (await push(exposure="2")).status_code == 202


@pytest.mark.parametrize("path", ["/v1/monitors/no/runs/r/chunks", PUSH])
async def test_unknown_monitor(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, content=npy(events(5)), headers={"Content-Type": NPY})
    check_problem(answer, 404, "unknown-monitor", "monitor")


async def test_wrong_names_in_the_path(push: Push) -> None:
    check_problem(await push(path="/v1/monitors/m/runs/-r/chunks"), 422, "name", "run")
    check_problem(await push(path="/v1/monitors/%20/runs/r/chunks"), 422, "name", "monitor")


async def test_where_a_chunk_is(
    client: httpx.AsyncClient, push: Push, workers: Workers, broker: Broker
) -> None:
    async def state() -> str:
        answer = await client.get("/v1/monitors/m/chunks/c", params={"run": "r"})
        assert answer.status_code == 200
        body = answer.json()
        assert (body["chunk"], body["run"], body["receipt"]["chunk"]) == ("c", "r", "c")
        assert (body["entry"] is None) == (body["state"] != "applied")
        return body["state"]

    await push(chunk="c")
    assert await state() == "queued"
    await workers.finish()
    assert await state() == "fitted"
    await workers.apply()
    assert await state() == "applied"
    entry = (await client.get("/v1/monitors/m/chunks/c")).json()["entry"]
    assert entry["statistics"]["t_agg"]["value"] == 0.0


async def test_unknown_chunk_and_run(client: httpx.AsyncClient, push: Push) -> None:
    check_problem(await client.get("/v1/monitors/m/chunks/c"), 404, "unknown-run", "run")
    await push(chunk="c")
    check_problem(await client.get("/v1/monitors/m/chunks/d"), 404, "unknown-chunk", "chunk")
    check_problem(await client.get("/v1/monitors/m/chunks/c?run=q"), 404, "unknown-run", "run")
    check_problem(await client.get("/v1/monitors/q/chunks/c"), 404, "unknown-monitor", "monitor")
    check_problem(await client.get("/v1/monitors/q/dead"), 404, "unknown-monitor", "monitor")
    check_problem(await client.post(f"{PUSH}/d/replay"), 404, "unknown-chunk", "chunk")


async def test_dead_chunk_can_be_replayed(client: httpx.AsyncClient, push: Push, broker: Broker) -> None:
    await push(chunk="c")
    (lease,) = await broker.leases.take("w", ["m"], count=1, block_seconds=0.1)
    assert await broker.leases.hand_back("w", lease, "no luck", 1) == "dead"
    (death,) = (await client.get("/v1/monitors/m/dead")).json()["dead"]
    assert (death["receipt"]["chunk"], death["error"]) == ("c", "no luck")
    assert (await client.get("/v1/monitors/m/chunks/c")).json()["state"] == "dead"
    answer = await client.post(f"{PUSH}/c/replay")
    assert (answer.status_code, answer.json()["sequence"]) == (202, 2)
    assert (await client.get("/v1/monitors/m/dead")).json() == {"dead": []}
