"""System: store, queues, workers, references and pools, dead letters; and what is done about the last."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from tests.api.bodies import NPY, PUSH, Push, check_problem, events, npy
from tests.api.workers import Workers

from nplmon.broker import Broker
from nplmon.broker.messages import Worker

pytestmark = pytest.mark.anyio


async def system(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/v1/system")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
async def dead(push: Push, broker: Broker) -> str:
    """Give the id of a chunk that was given up."""
    await push(chunk="c")
    (lease,) = await broker.leases.take("w", ["m"], count=1, block_seconds=0.1)
    assert await broker.leases.hand_back("w", lease, "no luck", 1) == "dead"
    return "c"


async def test_an_empty_service(client: httpx.AsyncClient) -> None:
    found = await system(client)
    assert (found["queues"], found["workers"], found["monitors"], found["dead"]) == ([], [], [], [])
    store = found["store"]
    assert store["kind"] == "valkey"
    assert store["version"][0].isdigit()
    assert store["memory_bytes"] > 100_000
    assert (store["memory_limit_bytes"], store["append_only"]) == (None, True)
    assert abs(found["now"] - time.time()) < 60


async def test_queues(client: httpx.AsyncClient, push: Push, broker: Broker, workers: Workers) -> None:
    await push(npy(events(5, 1)))
    await workers.finish()
    first = (await push(npy(events(5, 2)))).json()
    await push(npy(events(5, 3)))
    await broker.leases.take("w", ["m"], count=1, block_seconds=0.1)
    (queue,) = (await system(client))["queues"]
    assert (queue["monitor"], queue["waiting"], queue["leased"]) == ("m", 1, 1)
    assert queue["oldest_accepted_at"] == pytest.approx(first["accepted_at"])
    assert (queue["unapplied"], queue["dead"]) == (3, 0), "one is fitted and not applied"


async def test_workers(client: httpx.AsyncClient, broker: Broker) -> None:
    worker = Worker(
        name="t1",
        role="trainer",
        device="cuda:0",
        host="h",
        pid=7,
        metrics_port=9,
        started_at=1.0,
        seen_at=2.0,
        chunks=30,
        chunks_per_second=0.5,
    )
    await broker.workers.beat(worker, 10)
    (found,) = (await system(client))["workers"]
    assert (found["name"], found["device"], found["chunks_per_second"]) == ("t1", "cuda:0", 0.5)


async def test_what_a_monitor_draws_on(
    client: httpx.AsyncClient, push: Push, workers: Workers, broker: Broker
) -> None:
    (before,) = (await system(client))["monitors"]
    assert (before["reference"], before["reference_events"], before["effective_events"]) == ("sm", 500, 500)
    assert (before["pool_events"], before["pool_left"], before["calibration"]) == (0, None, None)
    assert (before["exposure_ratio"], before["exposure_budget"]) == (None, None)
    await client.put("/v1/references/sm/pool", content=npy(events(600, 9)), headers={"Content-Type": NPY})
    reference = (await client.get("/v1/monitors/m")).json()["reference_hash"]
    await broker.connection.ask("HSET", "nplmon:{m}:pool", reference, 40)
    await push()
    await workers.finish()
    await workers.apply()
    answer = await client.post("/v1/monitors/m/calibration", json={"toys": 20_000, "chunks": 2, "events": 20})
    assert answer.status_code == 202, answer.text
    (after,) = (await system(client))["monitors"]
    assert (after["pool_events"], after["pool_left"]) == (600, 560)
    assert (after["exposure_ratio"], after["exposure_budget"]) == (0.1, 0.5)
    calibration = after["calibration"]
    assert (calibration["state"], calibration["toys"], calibration["toys_done"]) == ("running", 20_000, 0)


async def test_a_dead_chunk_is_listed_and_deleted_for_good(
    client: httpx.AsyncClient, dead: str, push: Push
) -> None:
    (letter,) = (await system(client))["dead"]
    assert (letter["monitor"], letter["receipt"]["chunk"], letter["error"]) == ("m", dead, "no luck")
    assert (await system(client))["queues"][0]["dead"] == 1
    answer = await client.delete(f"{PUSH}/{dead}?who=Ada")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await system(client))["dead"] == []
    assert (await client.get("/v1/overview")).json()["tiles"][0]["dead"] == 0
    entries = (await client.get("/v1/monitors/m/journal")).json()["entries"]
    told = [one for one in entries if one["kind"] == "dead-deleted"]
    assert [(one["run"], one["chunk"], one["who"]) for one in told] == [("r", dead, "Ada")]
    for method, path in (("DELETE", dead), ("POST", f"{dead}/replay")):
        check_problem(await client.request(method, f"{PUSH}/{path}"), 404, "unknown-chunk", "chunk")
    check_problem(await client.get(f"/v1/monitors/m/chunks/{dead}"), 404, "unknown-chunk", "chunk")
    assert (await push(npy(events(9, 4)), chunk=dead)).status_code == 202, "the id is free"


async def test_only_a_dead_chunk_can_be_deleted(
    client: httpx.AsyncClient, push: Push, workers: Workers
) -> None:
    await push(chunk="c")
    check_problem(await client.delete(f"{PUSH}/c"), 404, "unknown-chunk", "chunk")
    await workers.finish()
    await workers.apply()
    check_problem(await client.delete(f"{PUSH}/c"), 404, "unknown-chunk", "chunk")
    assert (await client.get("/v1/monitors/m/chunks/c")).json()["state"] == "applied"
    assert "dead-deleted" not in (await client.get("/v1/monitors/m/journal")).text
    check_problem(await client.delete("/v1/monitors/m/runs/q/chunks/c"), 404, "unknown-run", "run")
    check_problem(await client.delete("/v1/monitors/q/runs/r/chunks/c"), 404, "unknown-monitor", "monitor")
