"""The interface as a whole: documentation and application agree, every error is a problem."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from prometheus_client import CollectorRegistry
from tests.api.bodies import NPY, PUSH, check_problem, events, npy

from nplmon.api import create_app
from nplmon.api.problems import KINDS, Slug
from nplmon.broker import Broker, StoreFull
from nplmon.settings import Settings

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text()


def documented() -> set[tuple[str, str]]:
    """Give method and path of everything the page names; "..." stands for one monitor."""
    found = re.findall(r"`(GET|PUT|POST|PATCH|DELETE) ((?:/|\.\.\.)[^\s`?]*)", PAGE)
    return {(method, path.replace("...", "/v1/monitors/{monitor}")) for method, path in found}


async def test_every_documented_path_exists_and_every_path_is_documented(
    client: httpx.AsyncClient, broker: Broker
) -> None:
    schema = create_app(broker, Settings()).openapi()
    served = {(method.upper(), path) for path, methods in schema["paths"].items() for method in methods}
    assert served == documented()


def test_every_documented_refusal_exists_and_every_refusal_is_documented() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.*) \|$", PAGE, flags=re.MULTILINE)
    table = {slug: int(status) for status, slugs in rows for slug in re.findall(r"`([a-z-]+)`", slugs)}
    assert table == {slug: status for slug, (status, _) in KINDS.items()}
    assert set(get_args(Slug)) == set(KINDS)


async def test_description_is_whole(broker: Broker) -> None:
    """Every reference inside /openapi.json leads somewhere, and no body or answer lacks a schema."""
    schema = create_app(broker, Settings()).openapi()
    references = set(re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(schema)))
    assert references <= set(schema["components"]["schemas"])
    assert "'$defs'" not in str(schema)
    for methods in schema["paths"].values():
        for operation in methods.values():
            assert "default" in operation["responses"]
            assert operation["summary"]


async def test_docs_need_no_internet(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert not re.findall(r"(?:https?:)?//[\w.-]+", page.text), page.text
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(assets) >= 3
    for asset in assets:
        assert (await client.get(asset)).status_code == 200, asset
    assert (await client.get("/openapi.json")).json()["info"]["title"] == "nplmon"


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/monitors/", "/v1/monitors/a%2Fb/x/y", "/redoc", "/static-offline-docs/x"]
)
async def test_unknown_path(client: httpx.AsyncClient, path: str) -> None:
    check_problem(await client.get(path), 404, "unknown-path", "path")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("DELETE", "/v1/monitors", "GET, POST"), ("GET", PUSH, "POST"), ("BREW", "/healthz", "GET")],
)
async def test_method_not_allowed(client: httpx.AsyncClient, method: str, path: str, allowed: str) -> None:
    answer = await client.request(method, path)
    check_problem(answer, 405, "method-not-allowed", "method")
    assert set(answer.headers["allow"].split(", ")) <= set(allowed.split(", "))


async def test_health(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/readyz")).json()["ready"] is True


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "PUT",
        "/v1/references/sm?features=a,b",
        {"content": npy(events(200)), "headers": {"Content-Type": NPY}},
    ),
    ("GET", "/v1/references", {}),
    ("GET", "/v1/references/sm", {}),
    ("GET", "/v1/references/sm/pool", {}),
    ("PUT", "/v1/references/sm/pool", {"content": npy(events(20)), "headers": {"Content-Type": NPY}}),
    ("POST", "/v1/monitors", {"json": {"name": "m", "reference": "sm"}}),
    ("GET", "/v1/monitors", {}),
    ("GET", "/v1/monitors/m", {}),
    ("PATCH", "/v1/monitors/m", {"json": {"description": "x"}}),
    ("DELETE", "/v1/monitors/m", {}),
    ("GET", "/v1/monitors/m/runs", {}),
    ("GET", "/v1/monitors/m/runs/r", {}),
    ("POST", "/v1/monitors/m/runs/r/close", {}),
    ("POST", "/v1/monitors/m/runs/r/reset", {}),
    (
        "POST",
        "/v1/monitors/m/runs/r/acknowledge",
        {"json": {"who": "me", "comment": "x", "level": "alarm", "sequence": 1}},
    ),
    ("GET", "/v1/monitors/m/test-alarm", {}),
    ("POST", "/v1/monitors/m/test-alarm", {"json": {"who": "me"}}),
    ("DELETE", "/v1/monitors/m/test-alarm", {}),
    ("GET", "/v1/monitors/m/journal", {}),
    ("POST", PUSH, {"content": npy(events(20)), "headers": {"Content-Type": NPY}}),
    ("GET", "/v1/monitors/m/chunks/c", {}),
    ("GET", "/v1/monitors/m/dead", {}),
    ("POST", f"{PUSH}/c/replay", {}),
    ("DELETE", f"{PUSH}/c", {}),
    ("GET", "/v1/system", {}),
    ("GET", "/v1/monitors/m/runbook", {}),
    ("GET", "/v1/monitors/m/statistic", {}),
    ("GET", "/v1/monitors/m/history", {}),
    ("GET", "/v1/monitors/m/density-ratio", {}),
    ("POST", "/v1/monitors/m/density-ratio", {"json": {"events": [[1, 2]]}}),
    ("GET", "/v1/monitors/m/where", {}),
    ("GET", "/v1/monitors/m/where.csv", {}),
    ("GET", "/v1/monitors/m/events", {}),
    ("GET", "/v1/overview", {}),
    ("GET", "/v1/monitors/m/course", {}),
    ("GET", "/v1/monitors/m/course.csv", {}),
    ("POST", "/v1/monitors/m/calibration", {}),
    ("GET", "/v1/monitors/m/calibration", {}),
    ("DELETE", "/v1/monitors/m/calibration", {}),
    ("GET", "/v1/audit", {}),
    ("GET", "/v1/tokens", {}),
    ("DELETE", "/v1/tokens/0123456789abcdef", {}),
]
NEED_NO_STORE = {
    ("POST", "/v1/tokens"),
    ("GET", "/v1/session"),
    ("POST", "/v1/session"),
    ("DELETE", "/v1/session"),
}
"""Where no token is asked for, these say so."""


def test_all_requests_are_tried_without_a_store() -> None:
    # The stream of all monitors' events stays open also without a store, and says so.
    tried = (
        {pair for pair in documented() if pair[1].startswith("/v1")} - {("GET", "/v1/events")} - NEED_NO_STORE
    )
    assert len(REQUESTS) == len(tried)


@pytest.fixture
async def alone() -> Any:
    """Give a client of an application whose store is not there."""
    broker = Broker.connect("unix:///nonexistent/valkey.sock")
    transport = httpx.ASGITransport(create_app(broker, Settings(), CollectorRegistry()))
    async with httpx.AsyncClient(transport=transport, base_url="http://nplmon") as client:
        yield client
    await broker.close()


@pytest.mark.parametrize(("method", "path", "options"), REQUESTS)
async def test_without_a_store_every_request_says_so(
    alone: httpx.AsyncClient, method: str, path: str, options: dict[str, Any]
) -> None:
    answer = await alone.request(method, path, **options)
    check_problem(answer, 503, "store-unreachable", "store")
    assert int(answer.headers["retry-after"]) >= 1


async def test_without_a_store_the_process_lives_and_is_not_ready(alone: httpx.AsyncClient) -> None:
    assert (await alone.get("/healthz")).status_code == 200
    ready = await alone.get("/readyz")
    assert ready.status_code == 503
    assert ready.json() == {"ready": False, "store": "unreachable", "trainers": 0, "aggregators": 0}
    assert (await alone.get("/metrics")).status_code == 200
    await alone.post(PUSH, content=npy(events(20)), headers={"Content-Type": NPY})
    assert (
        'nplmon_chunks_rejected_total{reason="store-unreachable"} 1.0' in (await alone.get("/metrics")).text
    )


async def test_full_store_is_not_the_client_s_fault(
    client: httpx.AsyncClient, monitor: dict[str, Any], broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def admit(**_: object) -> None:
        message = "the store refuses writes: OOM"
        raise StoreFull(message)

    monkeypatch.setattr(broker.admission, "admit", admit)
    answer = await client.post(PUSH, content=npy(events(20)), headers={"Content-Type": NPY})
    problem = check_problem(answer, 503, "store-unreachable", "store")
    assert "full" in problem["remedy"]


async def test_fault_of_ours_shows_nothing_of_the_inside(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(broker.references, "all", fail)
    transport = httpx.ASGITransport(create_app(broker, settings), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://nplmon") as client:
        answer = await client.get("/v1/references")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_torch_is_not_imported() -> None:
    import subprocess
    import sys

    command = "import sys, nplmon.api, nplmon.api.server; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
