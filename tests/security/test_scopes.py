"""Every route says what it asks for; what does not is closed."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from tests.api.bodies import NPY, PUSH, check_problem, events, npy
from tests.security.conftest import Keys, Serve, bearer

from nplmon.api import create_app, scopes
from nplmon.api.scopes import BARE_ROUTES, RULES
from nplmon.broker import Broker
from nplmon.broker.access_messages import SCOPES
from nplmon.settings import Settings

pytestmark = pytest.mark.anyio


def routes(app: FastAPI) -> tuple[set[str], set[str]]:
    """Give the application's own routes, `METHOD PATH`, and the paths of what is served beside them."""
    own: set[str] = set()
    bare: set[str] = set()
    for route in app.routes:
        if hasattr(route, "effective_candidates"):
            for candidate in route.effective_candidates():
                own |= {f"{method} {candidate.path}" for method in candidate.methods if method != "HEAD"}
        elif isinstance(route, APIRoute):
            own |= {f"{method} {route.path}" for method in route.methods if method != "HEAD"}
        else:
            bare.add(route.path)
    return own, bare


async def test_every_route_has_a_rule_and_every_rule_a_route(broker: Broker) -> None:
    app = create_app(broker, Settings())
    own, bare = routes(app)
    assert own == set(RULES), "routes without a rule in nplmon.api.scopes, or rules without a route"
    assert bare <= BARE_ROUTES
    described = {
        f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods
    }
    assert described <= own
    assert set(RULES.values()) <= {*SCOPES, "open", "known"}


async def test_the_description_says_what_each_route_asks_for(broker: Broker) -> None:
    paths = create_app(broker, Settings()).openapi()["paths"]
    assert paths[PUSH.replace("/m/", "/{monitor}/").replace("/r/", "/{run}/")]["post"]["security"] == [
        {"token": ["push"]}
    ]
    assert "security" not in paths["/healthz"]["get"]


def filled(route: str) -> tuple[str, str]:
    """Give method and path with a name for everything."""
    method, path = route.split()
    names = {"token": "0123456789abcdef", "name:path": "index.html", "monitor": "m"}
    return method, re.sub(r"\{([a-z:]+)\}", lambda found: names.get(found[1], "x"), path)


@pytest.mark.parametrize("route", sorted(RULES))
async def test_a_route_lets_in_its_scope_and_no_other(
    client: httpx.AsyncClient, keys: Keys, route: str
) -> None:
    """Each route is tried without a token, with all scopes but its own, and with its own."""
    method, path = filled(route)
    rule = RULES[route]
    if rule == "open":
        assert (await client.request(method, path)).status_code not in (401, 403)
        return
    without = await client.request(method, path)
    problem = check_problem(without, 401, "unauthorized", "authorization")
    assert without.headers["www-authenticate"] == 'Bearer realm="nplmon"'
    assert problem["value"] is None
    if rule == "known":
        return
    for scope in SCOPES:
        if scope in (rule, "admin"):
            continue
        answer = await client.request(method, path, headers=bearer(await keys(scope)))
        check_problem(answer, 403, "forbidden", "scope")
    if "events" in path:
        return  # a stream without end; what lets it in is the same for all routes
    for scope in {rule, "admin"}:
        answer = await client.request(method, path, headers=bearer(await keys(scope)))
        assert answer.status_code not in (401, 403, 500), answer.text


async def test_a_route_without_a_rule_is_closed(
    client: httpx.AsyncClient, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = {route: rule for route, rule in RULES.items() if route != "GET /v1/monitors"}
    monkeypatch.setattr(scopes, "RULES", without)
    assert (await client.get("/v1/monitors")).status_code == 401
    answer = await client.get("/v1/monitors", headers=bearer(await keys("admin")))
    check_problem(answer, 403, "forbidden", "path")


async def test_a_token_for_one_monitor_is_good_for_nothing_else(
    client: httpx.AsyncClient, keys: Keys, monitors: tuple[str, str]
) -> None:
    mine = bearer(await keys("push", "read", "operate", monitor="m"))
    body: dict[str, Any] = {"content": npy(events(20)), "headers": {"Content-Type": NPY, **mine}}
    assert (await client.post(PUSH, **body)).status_code == 202
    check_problem(await client.post(PUSH.replace("/m/", "/other/"), **body), 403, "forbidden", "monitor")
    for path, status in {
        "/v1/monitors/m": 200,
        "/v1/monitors/other": 403,
        "/v1/monitors": 403,
        "/v1/overview": 403,
        "/metrics": 403,
        "/v1/references/sm": 200,
        "/v1/references/sm/pool": 200,
        "/v1/references/so": 403,
        "/v1/references": 403,
    }.items():
        assert (await client.get(path, headers=mine)).status_code == status, path
    gone = bearer(await keys("read", monitor="gone"))
    assert (await client.get("/v1/references/sm", headers=gone)).status_code == 403


async def test_an_admin_of_one_monitor_rules_it_and_nothing_else(
    client: httpx.AsyncClient, keys: Keys, monitors: tuple[str, str]
) -> None:
    mine = bearer(await keys("admin", monitor="m"))
    change = {"json": {"description": "mine"}, "headers": mine}
    assert (await client.patch("/v1/monitors/m", **change)).status_code == 200
    assert (await client.patch("/v1/monitors/other", **change)).status_code == 403
    new = {"json": {"name": "x", "scopes": ["admin"]}, "headers": mine}
    assert (await client.post("/v1/tokens", **new)).status_code == 403
    assert (await client.get("/v1/tokens", headers=mine)).status_code == 403


async def test_an_open_service_asks_nobody(serve: Serve, keys: Keys) -> None:
    async with serve(access="open") as client:
        assert (await client.get("/v1/monitors")).status_code == 200
        assert (await client.get("/v1/monitors", headers=bearer("nonsense"))).status_code == 200
        refused = await client.post("/v1/tokens", json={"name": "x", "scopes": ["admin"]})
        check_problem(refused, 403, "forbidden", "access")


@pytest.mark.parametrize(
    ("access", "host", "needed"),
    [
        ("auto", "127.0.0.1", False),
        ("auto", "localhost", False),
        ("auto", "::1", False),
        ("auto", "0.0.0.0", True),  # noqa: S104
        ("auto", "::", True),
        ("auto", "monitor.example", True),
        ("open", "0.0.0.0", False),  # noqa: S104
        ("tokens", "127.0.0.1", True),
    ],
)
def test_what_is_reached_from_elsewhere_asks_for_tokens(access: Any, host: str, needed: bool) -> None:
    assert Settings(access=access, host=host).needs_tokens is needed


async def test_unknown_paths_and_methods_say_so_to_everyone(client: httpx.AsyncClient) -> None:
    check_problem(await client.get("/v1/nothing"), 404, "unknown-path", "path")
    check_problem(await client.request("BREW", "/v1/monitors"), 405, "method-not-allowed", "method")


async def test_refusal_comes_before_anything_is_read(broker: Broker, settings: Settings) -> None:
    """A body is not read, and a wrong name not looked at, before it is known who asks."""
    app = create_app(broker, settings, CollectorRegistry())

    async def body() -> Any:
        pytest.fail("the body was read")
        yield b""

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8471"
    ) as client:
        answer = await client.post("/v1/monitors/!/runs/!/chunks", headers={"Content-Type": NPY})
        check_problem(answer, 401, "unauthorized", "authorization")
