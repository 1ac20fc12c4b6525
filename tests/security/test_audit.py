"""The audit: each request that changed something, by whom, before its sender hears that it did."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import structlog
from tests.api.bodies import NPY, PUSH, events, npy
from tests.security.conftest import Keys, Serve, bearer

from nplmon.api import audited
from nplmon.api.scopes import RULES
from nplmon.broker import Broker, StoreFull
from nplmon.broker import audit as stream
from nplmon.broker.access_messages import AuditEntry

pytestmark = pytest.mark.anyio


async def told(broker: Broker, count: int = 100) -> list[tuple[str, str, str]]:
    return [(entry.who, entry.action, entry.object) for entry in await broker.audit.latest(count)]


async def test_who_did_what_is_written(
    client: httpx.AsyncClient, keys: Keys, monitors: tuple[str, str], admin: dict[str, str], broker: Broker
) -> None:
    push = {"content": npy(events(20)), "headers": {"Content-Type": NPY, **bearer(await keys("push"))}}
    assert (await client.post(PUSH, **push)).status_code == 202
    grace_key = await keys("operate", name="grace")
    grace = bearer(grace_key)
    assert (await client.post("/v1/monitors/m/runs/r/close", headers=grace)).status_code == 200
    assert (await client.post("/v1/monitors/m/runs/r/reset", headers=grace)).status_code == 200
    change = {"json": {"description": "x"}, "headers": admin}
    assert (await client.patch("/v1/monitors/m", **change)).status_code == 200
    made = await client.post("/v1/tokens", json={"name": "x", "scopes": ["read"]}, headers=admin)
    token = made.json()["info"]["id"]
    assert (await client.delete(f"/v1/tokens/{token}", headers=admin)).status_code == 204
    assert (await client.delete("/v1/monitors/m", headers=admin)).status_code == 204
    answer = await client.get("/v1/audit", headers=admin)
    entries: list[dict[str, Any]] = answer.json()["entries"]
    assert [(entry["who"], entry["action"], entry["object"], entry["status"]) for entry in entries[:6]] == [
        ("ada", "DELETE /v1/monitors/{monitor}", "/v1/monitors/m", 204),
        ("ada", "DELETE /v1/tokens/{token}", f"/v1/tokens/{token}", 204),
        ("ada", "POST /v1/tokens", f"/v1/tokens/{token}", 201),
        ("ada", "PATCH /v1/monitors/{monitor}", "/v1/monitors/m", 200),
        ("grace", "POST /v1/monitors/{monitor}/runs/{run}/reset", "/v1/monitors/m/runs/r/reset", 200),
        ("grace", "POST /v1/monitors/{monitor}/runs/{run}/close", "/v1/monitors/m/runs/r/close", 200),
    ]
    assert entries[4]["token"] == keys.ids[grace_key]
    assert {entry["address"] for entry in entries} == {"127.0.0.1"}
    assert all("/chunks" not in entry["action"] for entry in entries)
    assert {entry["object"] for entry in entries[6:]} >= {"/v1/monitors/m", "/v1/references/sm"}
    page = await client.get(f"/v1/audit?limit=2&before={entries[1]['id']}", headers=admin)
    assert page.json()["entries"] == entries[2:4]
    assert made.json()["token"] not in answer.text


async def test_the_journal_of_a_monitor_names_them_too(
    client: httpx.AsyncClient, keys: Keys, monitors: tuple[str, str], admin: dict[str, str]
) -> None:
    push = {"content": npy(events(20)), "headers": {"Content-Type": NPY, **bearer(await keys("push"))}}
    await client.post(PUSH, **push)
    grace = bearer(await keys("operate", "read", name="grace"))
    await client.post("/v1/monitors/m/runs/r/close", headers=grace)
    await client.post("/v1/monitors/m/runs/r/reset", headers=grace)
    await client.patch("/v1/monitors/m", json={"description": "x"}, headers=admin)
    journal = (await client.get("/v1/monitors/m/journal", headers=grace)).json()["entries"]
    assert {(entry["kind"], entry["who"]) for entry in journal} == {
        ("run-opened", ""),
        ("run-closed", "grace"),
        ("run-reset", "grace"),
        ("monitor-changed", "ada"),
    }


async def test_what_was_refused_or_only_read_is_not_there(
    client: httpx.AsyncClient, keys: Keys, monitors: tuple[str, str], admin: dict[str, str], broker: Broker
) -> None:
    before = await told(broker)
    reader = bearer(await keys("read"))
    assert (await client.get("/v1/monitors", headers=reader)).status_code == 200
    ratio = {"json": {"events": [[1, 2]]}, "headers": reader}
    await client.post("/v1/monitors/m/density-ratio", **ratio)
    assert (await client.delete("/v1/monitors/m", headers=reader)).status_code == 403
    assert (await client.delete("/v1/monitors/m")).status_code == 401
    assert (await client.delete("/v1/monitors/none", headers=admin)).status_code == 404
    assert (await client.post("/v1/monitors", json={"name": "!"}, headers=admin)).status_code == 422
    assert await told(broker) == before


async def test_signing_in_and_out_is_there(client: httpx.AsyncClient, keys: Keys, broker: Broker) -> None:
    await client.post("/v1/session", headers=bearer(await keys("read", name="grace")))
    await client.delete("/v1/session", headers={"Sec-Fetch-Site": "same-origin"})
    assert await told(broker) == [
        ("grace", "DELETE /v1/session", "/v1/session"),
        ("grace", "POST /v1/session", "/v1/session"),
    ]


async def test_an_open_service_writes_the_address(
    serve: Serve, monitors: tuple[str, str], broker: Broker
) -> None:
    async with serve("10.9.8.7", access="open") as client:
        assert (await client.delete("/v1/monitors/m")).status_code == 204
    (entry,) = await broker.audit.latest(1)
    assert (entry.who, entry.token, entry.address) == ("", "", "10.9.8.7")


async def test_what_is_done_although_it_cannot_be_written_is_logged(
    client: httpx.AsyncClient,
    monitors: tuple[str, str],
    admin: dict[str, str],
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def full(_: AuditEntry) -> None:
        raise StoreFull("OOM")

    monkeypatch.setattr(broker.audit, "append", full)
    said = structlog.testing.CapturingLogger()
    monkeypatch.setattr(audited, "log", said)
    assert (await client.delete("/v1/monitors/m", headers=admin)).status_code == 204
    (call,) = said.calls
    assert (call.method_name, call.args) == ("error", ("audit not written",))
    assert (call.kwargs["who"], call.kwargs["object"]) == ("ada", "/v1/monitors/m")
    assert call.kwargs["action"] == "DELETE /v1/monitors/{monitor}"


async def test_it_is_bounded(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server drops whole nodes of its list, of 100 entries by default."""
    monkeypatch.setattr(stream, "KEPT", 1000)
    entry = AuditEntry(who="ada", address="", action="x", object="y", status=200)
    for _ in range(1500):
        await broker.audit.append(entry)
    assert 1000 <= await broker.connection.ask("XLEN", "nplmon:audit") < 1150


def test_every_change_but_that_of_chunks_is_audited() -> None:
    """What is silent is pushing, and asking for the ratio at points that come in a body."""
    silent = {
        route for route, rule in RULES.items() if not route.startswith("GET ") and rule in ("push", "read")
    }
    assert silent == {
        "POST /v1/monitors/{monitor}/runs/{run}/chunks",
        "POST /v1/monitors/{monitor}/density-ratio",
    }


async def test_there_is_nothing_before_the_first_entry(
    client: httpx.AsyncClient, monitors: tuple[str, str], admin: dict[str, str]
) -> None:
    entries = (await client.get("/v1/audit", headers=admin)).json()["entries"]
    before = (await client.get("/v1/audit", params={"before": entries[0]["id"]}, headers=admin)).json()
    assert before["entries"] == entries[1:]
    for first in ("0-0", "0-1", "00-0"):
        answer = await client.get("/v1/audit", params={"before": first}, headers=admin)
        assert answer.json() == {"entries": []}
    answer = await client.get("/v1/audit", params={"before": "\u0661-\u0662"}, headers=admin)
    assert answer.status_code == 422
