"""Monitors: made, changed with a new epoch, deleted; settings are checked."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from redis import Redis
from tests.api.bodies import Push, check_problem, events, npy

from nplmon.broker import Broker, EpochMoved
from nplmon.broker.embedded import EmbeddedStore
from nplmon.broker.messages import Monitor

pytestmark = pytest.mark.anyio


async def create(client: httpx.AsyncClient, **members: Any) -> httpx.Response:
    return await client.post("/v1/monitors", json={"name": "n", "reference": "sm", **members})


async def change(client: httpx.AsyncClient, **members: Any) -> httpx.Response:
    return await client.patch("/v1/monitors/m", json=members)


async def test_defaults(client: httpx.AsyncClient, reference: dict[str, Any]) -> None:
    answer = await create(client)
    assert (answer.status_code, answer.headers["location"]) == (201, "/v1/monitors/n")
    monitor = answer.json()
    assert monitor.pop("created_at") == monitor.pop("changed_at")
    assert monitor == {
        "name": "n",
        "epoch": 1,
        "reference": "sm",
        "reference_hash": reference["hash"],
        "features": ["pt", "eta"],
        "units": ["GeV", ""],
        "mode": "shape",
        "rate": None,
        "control": None,
        # As many centres as the reference has events, not the default 1000.
        "kernel": {
            "centres": 500,
            "lambda": 1e-5,
            "sigmas": [],
            "sigma_quantiles": [0.25, 0.5, 0.75],
            "seed": 0,
        },
        "tolerance": {"effect_size": None, "templates": []},
        "alarm": {
            "expected_run_length": 1000.0,
            "warning_run_length": 100.0,
            "statistic": "t_score",
            "false_alarm_probability": 0.01,
        },
        "handling": {"runbook": "", "contact": "", "stale_after": 600.0, "webhooks": [], "emails": []},
        "description": "",
    }


async def test_everything_can_be_chosen(client: httpx.AsyncClient, reference: dict[str, Any]) -> None:
    chosen = {
        "features": ["eta", "pt"],
        "mode": "rate",
        "rate": 1500.0,
        "kernel": {"centres": 10, "lambda": 1e-4, "sigmas": [2.5], "sigma_quantiles": [0.5], "seed": 3},
        "alarm": {
            "expected_run_length": 200.0,
            "warning_run_length": 200.0,
            "statistic": "t_score",
            "false_alarm_probability": 0.001,
        },
        "description": "muons",
    }
    monitor = (await create(client, **chosen)).json()
    assert {name: monitor[name] for name in chosen} == chosen
    assert monitor["units"] == ["", "GeV"]
    assert (await client.get("/v1/monitors/n")).json() == monitor
    assert (await client.get("/v1/monitors")).json() == {"monitors": [monitor]}


async def test_kernel_widths_are_sorted_and_the_last_word_counts(
    client: httpx.AsyncClient, reference: dict[str, Any]
) -> None:
    """Widths win over quantiles; quantiles asked for later replace them."""

    async def changed(kernel: dict[str, Any]) -> tuple[list[float], list[float]]:
        answer = await client.patch("/v1/monitors/n", json={"kernel": kernel})
        assert answer.status_code == 200, answer.text
        found = answer.json()["kernel"]
        return found["sigmas"], found["sigma_quantiles"]

    made = (await create(client, name="n", kernel={"sigmas": [2.0, 0.5]})).json()
    assert made["kernel"]["sigmas"] == [0.5, 2.0]
    assert await changed({"seed": 1}) == ([0.5, 2.0], [0.25, 0.5, 0.75])
    assert await changed({"sigma_quantiles": [0.9, 0.1]}) == ([], [0.1, 0.9])
    assert await changed({"sigmas": [1.0]}) == ([1.0], [0.1, 0.9])


@pytest.mark.parametrize(
    ("members", "slug", "field"),
    [
        ({"name": "a b"}, "name", "name"),
        ({"name": 3}, "settings", "name"),
        ({"reference": "a b"}, "name", "reference"),
        ({"features": []}, "features", "features"),
        ({"features": ["phi"]}, "features", "features"),
        ({"features": ["pt", "pt"]}, "features", "features"),
        ({"features": "pt"}, "features", "features"),
        ({"features": [1]}, "features", "features.0"),
        ({"mode": "sideways"}, "settings", "mode"),
        ({"mode": "rate"}, "settings", "rate"),
        ({"mode": "rate", "rate": 0}, "settings", "rate"),
        ({"rate": -1}, "settings", "rate"),
        ({"rate": "1"}, "settings", "rate"),
        ({"control": {"events": 0, "exposure": 1.0}}, "settings", "control.events"),
        ({"control": {"events": 1.5, "exposure": 1.0}}, "settings", "control.events"),
        ({"control": {"events": 100, "exposure": 0.0}}, "settings", "control.exposure"),
        ({"control": {"events": 100, "exposure": -1.0}}, "settings", "control.exposure"),
        ({"control": {"events": 100}}, "settings", "control.exposure"),
        ({"rate": 5.0, "control": {"events": 100, "exposure": 1.0}}, "settings", "control"),
        ({"mode": "rate", "control": {"events": 100, "exposure": 1.0}}, "settings", "rate"),
        ({"kernel": {"centres": 9}}, "settings", "kernel.centres"),
        ({"kernel": {"centres": 20_001}}, "settings", "kernel.centres"),
        ({"kernel": {"centres": 10.5}}, "settings", "kernel.centres"),
        ({"kernel": {"centres": True}}, "settings", "kernel.centres"),
        ({"kernel": {"lambda": 0}}, "settings", "kernel.lambda"),
        ({"kernel": {"lambda": 2}}, "settings", "kernel.lambda"),
        ({"kernel": {"sigmas": [1, 0]}}, "settings", "kernel.sigmas.1"),
        ({"kernel": {"sigma_quantiles": [1]}}, "settings", "kernel.sigma_quantiles.0"),
        ({"kernel": {"sigma_quantiles": []}}, "settings", "kernel.sigma_quantiles"),
        ({"kernel": {"sigmas": [1.0, 2.0, 1.0]}}, "settings", "kernel.sigmas"),
        ({"kernel": {"sigmas": [0.5 * i for i in range(1, 10)]}}, "settings", "kernel.sigmas"),
        ({"kernel": {"sigma_quantiles": [0.5, 0.5]}}, "settings", "kernel.sigma_quantiles"),
        ({"kernel": {"sigma": 1.0}}, "settings", "kernel.sigma"),
        ({"kernel": {"seed": -1}}, "settings", "kernel.seed"),
        ({"kernel": {"width": 1}}, "settings", "kernel.width"),
        ({"alarm": {"false_alarm_probability": 0}}, "settings", "alarm.false_alarm_probability"),
        ({"tolerance": {"effect_size": 0}}, "settings", "tolerance.effect_size"),
        ({"tolerance": {"effect_size": "1"}}, "settings", "tolerance.effect_size"),
        ({"tolerance": {"templates": "up"}}, "settings", "tolerance.templates"),
        ({"tolerance": {"templates": ["a b"]}}, "settings", "tolerance.templates.0"),
        ({"tolerance": {"templates": [f"t{i}" for i in range(9)]}}, "settings", "tolerance.templates"),
        ({"tolerance": {"templates": ["sm"]}}, "settings", "tolerance.templates"),
        ({"alarm": {"warning_probability": 0.1}}, "settings", "alarm.warning_probability"),
        ({"alarm": {"warning_run_length": 1.9}}, "settings", "alarm.warning_run_length"),
        ({"alarm": {"warning_run_length": 1001}}, "settings", "alarm.warning_run_length"),
        ({"alarm": {"expected_run_length": 99}}, "settings", "alarm.warning_run_length"),
        ({"alarm": {"expected_run_length": 100_001}}, "settings", "alarm.expected_run_length"),
        ({"alarm": {"expected_run_length": "1000"}}, "settings", "alarm.expected_run_length"),
        ({"alarm": {"statistic": "t_ref"}}, "settings", "alarm.statistic"),
        ({"description": "x" * 2001}, "settings", "description"),
        ({"epoch": 3}, "settings", "epoch"),
    ],
)
async def test_wrong_settings(
    client: httpx.AsyncClient,
    reference: dict[str, Any],
    members: dict[str, Any],
    slug: str,
    field: str | None,
) -> None:
    check_problem(await create(client, **members), 422, slug, field)
    assert (await client.get("/v1/monitors")).json() == {"monitors": []}


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (b"", 400, "body-truncated"),
        (b'{"name": ', 400, "body-truncated"),
        (b"name=m", 400, "body-unreadable"),
        (b"[]", 422, "settings"),
        (b'{"name": "n"}', 422, "settings"),
        (b'{"name": "n", "reference": "sm", "rate": NaN}', 422, "settings"),
        (b" " * 1_000_001, 413, "body-too-large"),
    ],
)
async def test_unreadable_settings(client: httpx.AsyncClient, body: bytes, status: int, slug: str) -> None:
    answer = await client.post("/v1/monitors", content=body, headers={"Content-Type": "application/json"})
    check_problem(answer, status, slug)


async def test_settings_are_json(client: httpx.AsyncClient) -> None:
    check_problem(await client.post("/v1/monitors", data={"name": "m"}), 415, "content-type", "Content-Type")
    check_problem(await client.patch("/v1/monitors/m", content=b"{}"), 415, "content-type", "Content-Type")


async def test_unknown_reference_and_existing_monitor(
    client: httpx.AsyncClient, monitor: dict[str, Any]
) -> None:
    check_problem(await create(client, reference="bsm"), 404, "unknown-reference", "reference")
    check_problem(await create(client, name="m"), 409, "monitor-exists", "name")
    assert (await client.get("/v1/monitors/m")).json() == monitor


async def test_change_begins_an_epoch(
    client: httpx.AsyncClient, monitor: dict[str, Any], broker: Broker
) -> None:
    answer = await change(client, kernel={"lambda": 1e-4}, alarm={"warning_run_length": 50.0})
    assert answer.status_code == 200
    changed = answer.json()
    assert changed["changed_at"] > monitor["changed_at"]
    assert changed == {
        **monitor,
        "epoch": 2,
        "kernel": {**monitor["kernel"], "lambda": 1e-4},
        "alarm": {**monitor["alarm"], "warning_run_length": 50.0},
        "changed_at": changed["changed_at"],
    }
    assert (await broker.monitors.at("m", 1)).kernel.lambda_ == 1e-5
    assert (await change(client, kernel={"lambda": 1e-4})).json() == changed, "no change, no epoch"


async def test_change_is_checked_against_what_stays(
    client: httpx.AsyncClient, monitor: dict[str, Any]
) -> None:
    check_problem(await change(client, mode="rate"), 422, "settings", "rate")
    check_problem(await change(client, alarm={"warning_run_length": 2000}), 422, "settings")
    check_problem(await change(client, alarm={"expected_run_length": 50}), 422, "settings")
    check_problem(await change(client, features=["phi"]), 422, "features", "features")
    check_problem(await change(client, name="q"), 422, "settings", "name")
    check_problem(await change(client, reference="bsm"), 404, "unknown-reference", "reference")
    assert (await client.get("/v1/monitors/m")).json() == monitor
    check_problem(await client.patch("/v1/monitors/q", json={}), 404, "unknown-monitor", "monitor")


async def test_a_rate_and_a_control_take_the_place_of_each_other(
    client: httpx.AsyncClient, monitor: dict[str, Any]
) -> None:
    control = {"events": 500, "exposure": 2.5}
    assert (await change(client, rate=200.0)).json()["rate"] == 200.0
    changed = (await change(client, control=control)).json()
    assert (changed["rate"], changed["control"]) == (None, control)
    check_problem(await change(client, mode="rate"), 422, "settings", "rate")
    changed = (await change(client, rate=100.0)).json()
    assert (changed["rate"], changed["control"]) == (100.0, None)
    assert (await change(client, rate=None)).json()["rate"] is None


async def test_new_version_of_the_reference(client: httpx.AsyncClient, monitor: dict[str, Any]) -> None:
    newer = (
        await client.put(
            "/v1/references/sm?features=x,pt",
            content=npy(events(200, seed=8)),
            headers={"Content-Type": "application/x-npy"},
        )
    ).json()
    assert (await change(client, kernel={"seed": 1})).json()["reference_hash"] == monitor["reference_hash"]
    check_problem(await change(client, reference="sm"), 422, "features", "features")
    changed = (await change(client, reference="sm", features=["pt"])).json()
    assert (changed["reference_hash"], changed["features"]) == (newer["hash"], ["pt"])


async def test_open_run_forbids_all_but_the_description(client: httpx.AsyncClient, push: Push) -> None:
    await push()
    check_problem(await change(client, kernel={"seed": 1}), 409, "runs-open", "runs")
    described = (await change(client, description="muons")).json()
    assert (described["description"], described["epoch"]) == ("muons", 1)
    await client.post("/v1/monitors/m/runs/r/close")
    assert (await change(client, kernel={"seed": 1})).json()["epoch"] == 2


async def test_two_changes_at_once_are_both_made(
    client: httpx.AsyncClient, monitor: dict[str, Any], broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = broker.monitors.change
    calls = 0

    async def outrun(changed: Monitor, *, statistical: bool, who: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise EpochMoved("m", 2)
        await made(changed, statistical=statistical)

    monkeypatch.setattr(broker.monitors, "change", outrun)
    assert (await change(client, kernel={"seed": 1})).status_code == 200
    monkeypatch.setattr(broker.monitors, "change", made)


async def test_delete(client: httpx.AsyncClient, push: Push, store: EmbeddedStore) -> None:
    await push()
    answer = await client.delete("/v1/monitors/m")
    assert (answer.status_code, answer.content) == (204, b"")
    check_problem(await client.delete("/v1/monitors/m"), 404, "unknown-monitor", "monitor")
    with Redis(unix_socket_path=str(store.socket)) as redis:
        assert redis.keys("nplmon:{m}:*") == []
