"""Calibrations by toys over HTTP: asked for, followed, cancelled, and refused with a remedy."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
from tests.api.bodies import JSON, NPY, Push, check_problem, events, npy
from tests.api.workers import Workers

from nplmon.api import calibrations
from nplmon.broker import Broker

pytestmark = pytest.mark.anyio

PATH = "/v1/monitors/m/calibration"
ASKED = {"toys": 30, "events": 20}


@pytest.fixture(autouse=True)
def short_run_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrations, "alarm_run_lengths", lambda monitor: (3.0, 2.0))


async def ask(client: httpx.AsyncClient, **members: Any) -> httpx.Response:
    return await client.post(PATH, json=members)


async def fill_pool(client: httpx.AsyncClient, count: int) -> None:
    answer = await client.put(
        "/v1/references/sm/pool", content=npy(events(count, seed=5)), headers={"Content-Type": NPY}
    )
    assert answer.status_code == 201, answer.text


async def finish_all(broker: Broker) -> None:
    while batch := await broker.toys.take("t", ["m"], idle_seconds=60, deliveries_limit=3, in_flight=set()):
        await broker.toys.finish("t", batch, b"toys", seconds=0.1, size=10)


async def test_asked_for_and_followed(
    client: httpx.AsyncClient, monitor: dict[str, Any], broker: Broker
) -> None:
    answer = await ask(client, **ASKED)
    assert answer.status_code == 202, answer.text
    said = answer.json()
    one = said["calibration"]
    assert said["trainers"] == 0
    assert (one["state"], one["toys_done"], one["toys_needed"]) == ("running", 0, 30)
    assert (one["run_length"], one["warning_run_length"]) == (3.0, 2.0)
    assert (await client.get(PATH)).json() == said
    await finish_all(broker)
    assert (await client.get(PATH)).json()["calibration"]["toys_done"] == 30


async def test_without_a_pool_the_reference_is_split_and_that_is_told(
    client: httpx.AsyncClient, monitor: dict[str, Any]
) -> None:
    """500 events: 166 are the most that is split off, enough for 5 chunks of 20 with six deviations to spare."""
    one = (await ask(client, **ASKED)).json()["calibration"]
    plan = one["plan"]
    assert (plan["source"], plan["chunks"], plan["pool_events"]) == ("disjoint", 5, 160)
    assert "160 of the reference's 500 events are split off" in one["note"]
    assert "a reference of 340" in one["note"]


async def test_a_pool_is_preferred_where_it_is_large_enough(
    client: httpx.AsyncClient, monitor: dict[str, Any]
) -> None:
    await fill_pool(client, 11_000)
    one = (await ask(client, **ASKED)).json()["calibration"]
    assert (one["plan"]["source"], one["plan"]["chunks"], one["plan"]["pool_events"]) == (
        "fixed-reference",
        50,
        11000,
    )
    assert one["note"] == ""
    small = (await ask(client, **ASKED, chunks=300, source="fixed-reference")).json()["calibration"]
    assert "a toy takes 55% of the pool" in small["note"]


async def test_templates_are_told(client: httpx.AsyncClient, monitor: dict[str, Any]) -> None:
    """Then t_profiled decides on the alarm, which no toys calibrate: nobody shall think so."""
    await client.put(
        "/v1/references/up?features=pt,eta&units=GeV,",
        content=npy(events(500, seed=8) * 1.1),
        headers={"Content-Type": NPY},
    )
    answer = await client.patch("/v1/monitors/m", json={"tolerance": {"templates": ["up"]}})
    assert answer.status_code == 200, answer.text
    assert "t_profiled" in (await ask(client, **ASKED)).json()["calibration"]["note"]


async def test_the_same_request_goes_on_and_another_replaces(
    client: httpx.AsyncClient, monitor: dict[str, Any], broker: Broker
) -> None:
    first = (await ask(client, **ASKED)).json()["calibration"]
    await finish_all(broker)
    # Also with less said, with another order of it, and after the pool has grown.
    await fill_pool(client, 6_000)
    for again in ({}, {"events": 20.0, "toys": 30}, {"statistics": ["t_score"]}):
        answer = await ask(client, **again)
        assert answer.status_code == 200
        assert answer.json()["calibration"]["toys_done"] == 30
        assert answer.json()["calibration"]["key"] == first["key"]
    answer = await ask(client, toys=31)
    assert answer.status_code == 202
    one = answer.json()["calibration"]
    assert (one["plan"]["toys"], one["plan"]["events"], one["toys_done"]) == (31, 20.0, 0)


async def test_a_failed_one_goes_on(
    client: httpx.AsyncClient, monitor: dict[str, Any], broker: Broker
) -> None:
    await ask(client, **ASKED)
    batch = await broker.toys.take("t", ["m"], idle_seconds=60, deliveries_limit=3, in_flight=set())
    assert batch is not None
    await broker.toys.hand_back("t", batch, "ValueError: a bad day", 1)
    failed = (await client.get(PATH)).json()["calibration"]
    assert (failed["state"], failed["reason"]) == ("failed", "toy 1 of 30: ValueError: a bad day")
    answer = await client.post(PATH)
    assert (answer.status_code, answer.json()["calibration"]["state"]) == (202, "running")


async def test_the_size_of_a_chunk_is_that_of_the_last_run(
    client: httpx.AsyncClient, monitor: dict[str, Any], push: Push, workers: Workers
) -> None:
    problem = check_problem(await ask(client), 422, "calibration", "events")
    assert "no chunk of this monitor is applied" in problem["detail"]
    await push()
    await workers.finish()
    await workers.apply()
    one = (await ask(client)).json()["calibration"]
    assert (one["plan"]["events"], one["plan"]["toys"]) == (1.0, 30)


async def test_cancelled(client: httpx.AsyncClient, monitor: dict[str, Any]) -> None:
    check_problem(await client.get(PATH), 404, "no-calibration", "monitor")
    check_problem(await client.delete(PATH), 404, "no-calibration", "monitor")
    await ask(client, **ASKED)
    answer = await client.delete(PATH)
    assert (answer.status_code, answer.json()["calibration"]["state"]) == (200, "cancelled")
    assert (await client.get(PATH)).json()["calibration"]["state"] == "cancelled"
    # A new one has its own defaults again.
    check_problem(await ask(client, toys=30), 422, "calibration", "events")


async def test_a_changed_monitor_makes_it_void(client: httpx.AsyncClient, monitor: dict[str, Any]) -> None:
    await ask(client, **ASKED)
    await client.patch("/v1/monitors/m", json={"kernel": {"seed": 5}})
    one = (await client.get(PATH)).json()["calibration"]
    assert (one["state"], one["reason"]) == (
        "void",
        "the monitor was changed and is at epoch 2; calibrate it again",
    )
    check_problem(await ask(client), 422, "calibration", "events")
    assert (await ask(client, **ASKED)).json()["calibration"]["monitor_epoch"] == 2


@pytest.mark.parametrize(
    ("members", "field", "remedy"),
    [
        ({"toys": 29}, "toys", "at least 30"),
        ({"chunks": 10}, "chunks", "fewer chunks"),
        ({"events": 200}, "events", "/pool"),
        ({"source": "fixed-reference"}, "source", "disjoint"),
        ({"toys": 200_001}, "toys", "Ask for fewer"),
        ({"toys": 200_000, "chunks": 4, "statistics": ["t_agg", "t_score"] * 2}, "toys", None),
        ({"toys": 200_000, "chunks": 2, "events": 1, "statistics": ["t_agg", "t_ref"]}, "toys", None),
    ],
)
async def test_what_cannot_be_made_is_refused_with_its_remedy(
    client: httpx.AsyncClient,
    monitor: dict[str, Any],
    members: dict[str, Any],
    field: str,
    remedy: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nplmon.api.calibration_request.RESULT_LIMIT", 10_000_000)
    problem = check_problem(await ask(client, **ASKED | members), 422, "calibration", field)
    if remedy is not None:
        assert remedy in problem["remedy"]
    check_problem(await client.get(PATH), 404, "no-calibration", "monitor")


async def test_of_a_weighted_reference_only_fixed_toys(client: httpx.AsyncClient) -> None:
    """Weighted events and those of a pool are not exchangeable: disjoint toys would be of another null."""
    sample = np.column_stack([events(500, seed=0), np.linspace(0.5, 1.5, 500)])
    await client.put(
        "/v1/references/sm",
        params={"features": "pt,eta,w", "weights": "w"},
        content=npy(sample),
        headers={"Content-Type": NPY},
    )
    await client.post("/v1/monitors", json={"name": "m", "reference": "sm"})
    problem = check_problem(await ask(client, **ASKED, source="disjoint"), 422, "calibration", "source")
    assert "weighted" in problem["detail"]
    problem = check_problem(await ask(client, **ASKED), 422, "calibration", "source")
    assert "no pool" in problem["detail"]
    await fill_pool(client, 600)
    answer = await ask(client, **ASKED)
    assert answer.json()["calibration"]["plan"]["source"] == "fixed-reference"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"toys": 0}, "toys"),
        ({"toys": 1.5}, "toys"),
        ({"events": 0}, "events"),
        ({"events": "NaN"}, "events"),
        ({"chunks": -1}, "chunks"),
        ({"source": "pool"}, "source"),
        ({"seed": -1}, "seed"),
        ({"statistics": []}, "statistics"),
        ({"statistics": ["t_x"]}, "statistics.0"),
        ({"widths": 3}, "widths"),
    ],
)
async def test_nonsense_is_refused(
    client: httpx.AsyncClient, monitor: dict[str, Any], members: dict[str, Any], field: str
) -> None:
    check_problem(await ask(client, **members), 422, "settings", field)


async def test_other_bodies_and_monitors_are_refused(
    client: httpx.AsyncClient, monitor: dict[str, Any]
) -> None:
    answer = await client.post(PATH, content=b"x", headers={"Content-Type": "text/plain"})
    check_problem(answer, 415, "content-type", "Content-Type")
    answer = await client.post(PATH, content=b"[", headers={"Content-Type": JSON})
    check_problem(answer, 400, "body-truncated", "body")
    for method in ("GET", "POST", "DELETE"):
        answer = await client.request(method, "/v1/monitors/q/calibration")
        check_problem(answer, 404, "unknown-monitor", "monitor")
