"""Runs: opened by a chunk, closed, reset."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.api.bodies import Push, check_problem, events, npy
from tests.api.workers import Workers

pytestmark = pytest.mark.anyio

RUN = "/v1/monitors/m/runs/r"


async def test_runs_are_listed_newest_first(client: httpx.AsyncClient, push: Push) -> None:
    assert (await client.get("/v1/monitors/m/runs")).json() == {"runs": []}
    await push()
    await push(path="/v1/monitors/m/runs/s/chunks")
    runs = (await client.get("/v1/monitors/m/runs")).json()["runs"]
    assert [run["name"] for run in runs] == ["s", "r"]
    assert (await client.get(RUN)).json() == runs[1]
    assert (runs[1]["state"], runs[1]["accepted"], runs[1]["epoch"]) == ("open", 1, 1)


async def test_close_and_reset(client: httpx.AsyncClient, push: Push, workers: Workers) -> None:
    await push()
    closed = (await client.post(f"{RUN}/close")).json()
    assert (closed["state"], closed["accepted"]) == ("closed", 1)
    assert (await client.post(f"{RUN}/close")).json() == closed
    await workers.finish()
    await workers.apply()
    assert (await client.get(RUN)).json()["applied"] == 1, "what was accepted is still applied"
    reset = (await client.post(f"{RUN}/reset")).json()
    assert (reset["state"], reset["epoch"], reset["accepted"], reset["applied"]) == ("open", 2, 0, 0)
    assert (await client.get("/v1/monitors/m/statistic")).json()["snapshot"] is None
    assert (await push(npy(events(20)))).json()["sequence"] == 1


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/close"), ("POST", "/reset")])
async def test_unknown(client: httpx.AsyncClient, monitor: dict[str, Any], method: str, path: str) -> None:
    check_problem(await client.request(method, RUN + path), 404, "unknown-run", "run")
    check_problem(
        await client.request(method, f"/v1/monitors/q/runs/r{path}"), 404, "unknown-monitor", "monitor"
    )
    check_problem(await client.request(method, f"/v1/monitors/m/runs/+r{path}"), 422, "name", "run")
    check_problem(await client.get("/v1/monitors/q/runs"), 404, "unknown-monitor", "monitor")
