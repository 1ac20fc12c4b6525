"""Alarms as people handle them: acknowledged, tested, journaled; how a monitor says what to do."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.api.bodies import Push, check_problem
from tests.api.workers import Workers

from nplmon.broker.messages import Alarm

pytestmark = pytest.mark.anyio

ACKNOWLEDGE = "/v1/monitors/m/runs/r/acknowledge"
RAISED = Alarm(level="alarm", kind="t_score", chunk="c", sequence=1, since=2.0, rule="t_score = 9 >= 8")
SAID = {"who": "a shifter", "comment": "the toroid is off", "level": "alarm", "sequence": 1}


@pytest.fixture
async def alarmed(push: Push, workers: Workers) -> None:
    """Make a run with an alarm raised by its first chunk."""
    await push()
    await workers.finish()
    await workers.apply(alarm=RAISED)


async def test_an_alarm_is_acknowledged(client: httpx.AsyncClient, alarmed: None) -> None:
    run = (await client.post(ACKNOWLEDGE, json=SAID)).json()
    assert {**SAID, "at": run["acknowledged"]["at"]} == run["acknowledged"]
    assert (await client.get("/v1/monitors/m/runs/r")).json() == run
    entries = (await client.get("/v1/monitors/m/journal")).json()["entries"]
    assert [entry["kind"] for entry in entries] == ["acknowledged", "run-opened"]
    assert (entries[0]["who"], entries[0]["text"], entries[0]["run"]) == (SAID["who"], SAID["comment"], "r")
    since = (await client.get("/v1/monitors/m/journal", params={"since": entries[1]["id"]})).json()
    assert since["entries"] == entries[:1]
    assert len((await client.get("/v1/monitors/m/journal?limit=1")).json()["entries"]) == 1


async def test_only_the_alarm_that_was_looked_at(client: httpx.AsyncClient, alarmed: None) -> None:
    risen = await client.post(ACKNOWLEDGE, json=SAID | {"level": "warning"})
    check_problem(risen, 409, "alarm-changed", "alarm")
    assert "chunk number 1" in risen.json()["detail"]
    check_problem(await client.post(ACKNOWLEDGE, json=SAID | {"sequence": 2}), 409, "alarm-changed", "alarm")
    await client.post("/v1/monitors/m/runs/r/reset")
    check_problem(await client.post(ACKNOWLEDGE, json=SAID), 409, "no-alarm", "run")


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"who": " "}, "who"),
        ({"who": "x" * 101}, "who"),
        ({"comment": ""}, "comment"),
        ({"level": "ok"}, "level"),
        ({"sequence": 0}, "sequence"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_who_acknowledges_says_so(
    client: httpx.AsyncClient, alarmed: None, members: dict[str, Any], field: str
) -> None:
    check_problem(await client.post(ACKNOWLEDGE, json=SAID | members), 422, "settings", field)


async def test_a_test_alarm(client: httpx.AsyncClient, monitor: dict[str, Any]) -> None:
    path = "/v1/monitors/m/test-alarm"
    assert (await client.get(path)).json() == {"test": None}
    answer = await client.post(path, json={"who": "me", "comment": "does it ring?", "seconds": 60})
    assert answer.status_code == 201
    fired = answer.json()
    assert fired["until"] - fired["since"] == pytest.approx(60)
    assert (await client.get(path)).json() == {"test": fired}
    for _ in range(2):
        assert (await client.delete(path, params={"who": "you"})).status_code == 204
    assert (await client.get(path)).json() == {"test": None}
    entries = (await client.get("/v1/monitors/m/journal")).json()["entries"]
    assert [(entry["kind"], entry["who"]) for entry in entries] == [
        ("test-ended", "you"),
        ("test-begun", "me"),
    ]
    check_problem(await client.post(path, json={"who": "me", "seconds": 7200}), 422, "settings", "seconds")


async def test_handling_may_change_at_any_time(
    client: httpx.AsyncClient, monitor: dict[str, Any], push: Push
) -> None:
    await push()
    handling = {
        "runbook": "# Call\n- the *expert*",
        "contact": "phone 7",
        "stale_after": 60.0,
        "webhooks": ["http://127.0.0.1:9/hook"],
        "emails": ["dq@example.org"],
    }
    changed = (await client.patch("/v1/monitors/m", json={"handling": handling})).json()
    assert (changed["handling"], changed["epoch"]) == (handling, 1)
    changed = (await client.patch("/v1/monitors/m", json={"handling": {"contact": "phone 8"}})).json()
    assert changed["handling"] == handling | {"contact": "phone 8"}
    entries = (await client.get("/v1/monitors/m/journal")).json()["entries"]
    assert [entry["kind"] for entry in entries] == ["monitor-changed", "monitor-changed", "run-opened"]


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"webhooks": ["ftp://host/x"]}, "handling.webhooks.0"),
        ({"webhooks": ["https://user:secret@host/x"]}, "handling.webhooks.0"),
        ({"webhooks": ["http://h/"] * 21}, "handling.webhooks"),
        ({"emails": ["not an address"]}, "handling.emails.0"),
        ({"emails": ["a@b\r\nBcc: c@d"]}, "handling.emails.0"),
        ({"stale_after": 0.5}, "handling.stale_after"),
        ({"runbook": "x" * 20_001}, "handling.runbook"),
        ({"pager": "1"}, "handling.pager"),
    ],
)
async def test_wrong_handling_is_refused(
    client: httpx.AsyncClient, monitor: dict[str, Any], members: dict[str, Any], field: str
) -> None:
    check_problem(await client.patch("/v1/monitors/m", json={"handling": members}), 422, "settings", field)
