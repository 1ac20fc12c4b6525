"""Templates of a monitor: pinned to their version, checked against the monitor's features."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.api.bodies import NPY, check_problem, events, npy

pytestmark = pytest.mark.anyio


async def put(client: httpx.AsyncClient, name: str, seed: int, **params: str) -> dict[str, Any]:
    answer = await client.put(
        f"/v1/references/{name}",
        params={"features": "pt,eta", "units": "GeV,"} | params,
        content=npy(events(200, seed=seed)),
        headers={"Content-Type": NPY},
    )
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def change(client: httpx.AsyncClient, **tolerance: Any) -> httpx.Response:
    return await client.patch("/v1/monitors/m", json={"tolerance": tolerance})


async def test_templates_are_pinned_to_their_version(
    client: httpx.AsyncClient, monitor: dict[str, Any]
) -> None:
    """A newer upload of the name changes nothing until the monitor asks for it again."""
    up, down = await put(client, "up", 1), await put(client, "down", 2, features="eta,pt", units=",GeV")
    changed = (await change(client, templates=["up", "down"])).json()
    wanted = [{"name": "up", "hash": up["hash"]}, {"name": "down", "hash": down["hash"]}]
    assert changed["tolerance"] == {"effect_size": None, "templates": wanted}
    assert changed["epoch"] == 2
    newer = await put(client, "up", 3)
    changed = (await change(client, effect_size=0.02)).json()
    assert changed["tolerance"] == {"effect_size": 0.02, "templates": wanted}
    changed = (await change(client, templates=["up"])).json()
    assert changed["tolerance"] == {
        "effect_size": 0.02,
        "templates": [{"name": "up", "hash": newer["hash"]}],
    }
    changed = (await change(client, effect_size=None, templates=[])).json()
    assert changed["tolerance"] == {"effect_size": None, "templates": []}


async def test_templates_that_do_not_fit(client: httpx.AsyncClient, monitor: dict[str, Any]) -> None:
    await put(client, "phi", 1, features="pt,phi")
    await put(client, "mev", 2, units="MeV,")
    await put(client, "up", 3)
    for templates, said in (
        (["phi"], "no feature 'eta'"),
        (["mev"], "'MeV'"),
        (["up", "up"], "the events of 'up'"),
        (["sm"], "the events of 'sm'"),
    ):
        problem = check_problem(
            await change(client, templates=templates), 422, "settings", "tolerance.templates"
        )
        assert said in problem["detail"]
    check_problem(await change(client, templates=["nowhere"]), 404, "unknown-reference", "reference")
    assert (await client.get("/v1/monitors/m")).json() == monitor


async def test_e_detectors_know_no_templates(client: httpx.AsyncClient, monitor: dict[str, Any]) -> None:
    await put(client, "up", 3)
    answer = await client.patch(
        "/v1/monitors/m", json={"alarm": {"statistic": "log_sr"}, "tolerance": {"templates": ["up"]}}
    )
    problem = check_problem(answer, 422, "settings", "alarm.statistic")
    assert "not by log_sr" in problem["detail"]
    assert (await change(client, templates=["up"])).status_code == 200
    answer = await client.patch("/v1/monitors/m", json={"alarm": {"statistic": "log_cusum"}})
    check_problem(answer, 422, "settings", "alarm.statistic")


async def test_other_features_are_checked_against_the_templates_that_stay(
    client: httpx.AsyncClient, monitor: dict[str, Any]
) -> None:
    await put(client, "pt-only", 1, features="pt,phi")
    changed = await client.patch(
        "/v1/monitors/m", json={"features": ["pt"], "tolerance": {"templates": ["pt-only"]}}
    )
    assert changed.status_code == 200, changed.text
    answer = await client.patch("/v1/monitors/m", json={"features": ["pt", "eta"]})
    check_problem(answer, 422, "settings", "tolerance.templates")
