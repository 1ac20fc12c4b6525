"""Browsers: what a page from elsewhere can make them send is refused; what our own sends is not."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest
from prometheus_client import CollectorRegistry
from tests.api.bodies import check_problem
from tests.security.conftest import Keys, Serve, bearer

from nplmon.api import create_app
from nplmon.broker import Broker
from nplmon.settings import Settings

pytestmark = pytest.mark.anyio

EVIL = "http://evil.example"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
RESET = "/v1/monitors/m/runs/r/reset"
OURS = {"Sec-Fetch-Site": "same-origin"}


async def signed_in(client: httpx.AsyncClient, token: str) -> httpx.Response:
    answer = await client.post("/v1/session", headers=bearer(token))
    assert answer.status_code == 201, answer.text
    return answer


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:8471.evil.example"},
        {"Origin": "http://127.0.0.1:9999", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", [RESET, "/v1/monitors", "/v1/monitors/m/calibration", "/v1/session"])
async def test_a_page_of_somebody_else_changes_nothing_on_an_open_service(
    serve: Serve, headers: dict[str, str], path: str
) -> None:
    """A form needs no permission to post: neither the answer nor a script is needed for the harm."""
    async with serve(access="open") as client:
        answer = await client.post(path, headers=headers | FORM, content=b"x=1")
        assert check_problem(
            answer, 403, "forbidden", "Sec-Fetch-Site" if "Sec-Fetch-Site" in headers else "Origin"
        )


@pytest.mark.parametrize(
    "headers",
    [{}, OURS, {"Sec-Fetch-Site": "none"}, {"Origin": "http://127.0.0.1:8471"}, {**OURS, "Origin": "null"}],
)
async def test_our_page_and_programs_may(serve: Serve, headers: dict[str, str]) -> None:
    async with serve(access="open") as client:
        answer = await client.post(RESET, headers=headers)
        assert answer.json()["type"] == "/problems/unknown-monitor"
        assert (await client.get("/v1/monitors", headers={"Origin": EVIL})).status_code == 200


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8471", True),
        ("localhost:8471", True),
        ("LOCALHOST", True),
        ("nplmon.localhost", True),
        ("[::1]:8471", True),
        ("10.1.2.3", True),
        ("monitor.example:443", True),
        ("evil.example:8471", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("monitor.example.evil.example", False),
        ("[::1].evil.example", False),
    ],
)
async def test_a_name_that_is_not_ours_is_not_answered(serve: Serve, host: str, known: bool) -> None:
    """DNS rebinding: a page of evil.example whose name now means 127.0.0.1 is of the same origin, but for the name."""
    async with serve(access="open", allowed_hosts="monitor.example, other.example") as client:
        for path in ("/v1/monitors", "/v1/overview", "/", "/metrics"):
            answer = await client.get(path, headers={"Host": host})
            if known:
                assert answer.status_code == 200
            else:
                check_problem(answer, 403, "forbidden", "host")


async def test_with_tokens_no_name_matters(client: httpx.AsyncClient, keys: Keys) -> None:
    """A page under another name has neither token nor cookie, so behind a proxy no names need to be told."""
    headers = {"Host": "anything.example", **bearer(await keys("read"))}
    assert (await client.get("/v1/monitors", headers=headers)).status_code == 200


async def test_a_browser_signs_in_looks_and_signs_out(
    client: httpx.AsyncClient, keys: Keys, broker: Broker
) -> None:
    answer = await signed_in(client, await keys("read", "operate", name="grace"))
    cookie = answer.headers["set-cookie"]
    assert re.search(r"^nplmon-session=[\w-]{43}; HttpOnly; Max-Age=\d+; Path=/; SameSite=strict$", cookie)
    told = answer.json()
    assert (told["name"], told["scopes"], told["access"]) == ("grace", ["read", "operate"], "tokens")
    assert answer.headers["cache-control"] == "no-store"

    assert (await client.get("/v1/monitors")).status_code == 200
    assert (await client.get("/v1/session")).json() == told
    assert (await client.get("/v1/tokens")).status_code == 403
    stored = await broker.connection.ask("KEYS", "nplmon:session:*")
    assert len(stored) == 1
    assert client.cookies["nplmon-session"].encode() not in stored[0]
    assert 0 < await broker.connection.ask("PTTL", stored[0]) <= 28_800_000

    assert (await client.delete("/v1/session", headers=OURS)).status_code == 204
    assert "nplmon-session" not in client.cookies
    assert await broker.connection.ask("KEYS", "nplmon:session:*") == []
    assert (await client.get("/v1/monitors", headers={"Cookie": cookie.split(";")[0]})).status_code == 401


async def test_over_https_the_cookie_is_for_https_alone(serve: Serve, keys: Keys) -> None:
    async with serve(base="https://monitor.example") as client:
        answer = await signed_in(client, await keys("read"))
        assert re.search(r"^__Host-nplmon-session=[\w-]{43}; .*; Secure$", answer.headers["set-cookie"])
        assert "strict-transport-security" in answer.headers
        assert (await client.get("/v1/monitors")).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Origin": EVIL}, {"Sec-Fetch-Site": "cross-site"}])
async def test_what_others_make_a_browser_send_changes_nothing(
    client: httpx.AsyncClient, keys: Keys, headers: dict[str, str]
) -> None:
    await signed_in(client, await keys("admin"))
    for method, path in (("POST", RESET), ("DELETE", "/v1/session"), ("DELETE", "/v1/monitors/m")):
        answer = await client.request(method, path, headers=headers)
        assert answer.status_code == 403, (method, path)
        assert answer.json()["type"] == "/problems/forbidden"
    answer = await client.post(RESET, headers=OURS)
    assert answer.json()["type"] == "/problems/unknown-monitor"
    # With a token in the header the same request is not one that another page can make.
    answer = await client.post(RESET, headers=headers | bearer(await keys("operate")))
    assert answer.json()["type"] == "/problems/unknown-monitor"


async def test_a_session_ends_with_its_token(client: httpx.AsyncClient, keys: Keys, broker: Broker) -> None:
    token = await keys("read")
    await signed_in(client, token)
    await broker.tokens.revoke(keys.ids[token])
    await asyncio.sleep(2.1)
    answer = await client.get("/v1/monitors")
    check_problem(answer, 401, "unauthorized", "authorization")
    assert answer.json()["remedy"] == "Sign in again."


async def test_a_session_ends_by_itself_and_with_its_token_s_time(serve: Serve, keys: Keys) -> None:
    token = await keys("read", days=4.0 / 86_400)
    async with serve() as client:
        told = (await signed_in(client, token)).json()
        held = client.cookies["nplmon-session"]
        assert (await client.get("/v1/monitors")).status_code == 200
        await asyncio.sleep(4.1)
        answer = await client.get("/v1/monitors", headers={"Cookie": f"nplmon-session={held}"})
        assert answer.status_code == 401
        assert told["expires_at"] is not None


async def test_a_session_is_made_of_a_token_alone(
    serve: Serve, client: httpx.AsyncClient, keys: Keys
) -> None:
    await signed_in(client, await keys("read"))
    assert (await client.post("/v1/session", headers=OURS)).status_code == 401
    assert (await client.post("/v1/session", headers=bearer("nplmon_x"))).status_code == 401
    async with serve(access="open") as open_one:
        check_problem(await open_one.post("/v1/session"), 403, "forbidden", "access")
        told = (await open_one.get("/v1/session")).json()
        assert told["access"] == "open"
        assert told["name"] == ""


async def test_a_cookie_that_somebody_made_up_is_none(client: httpx.AsyncClient) -> None:
    for value in ("x", "A" * 43, "nplmon_0123456789abcdef_" + "A" * 43):
        answer = await client.get("/v1/monitors", headers={"Cookie": f"nplmon-session={value}"})
        assert answer.status_code == 401


async def test_a_stream_ends_when_its_token_does(
    broker: Broker, settings: Settings, keys: Keys, monitors: tuple[str, str], admin: dict[str, str]
) -> None:
    """Each thing that a stream tells is told to somebody who may still hear it, as of two seconds ago."""
    app = create_app(broker, settings, CollectorRegistry())
    token = await keys("read")
    context = app.state.context
    identity = await context.gate.identity(f"Bearer {token}", "127.0.0.1")

    async def endless():  # type: ignore[no-untyped-def]
        for number in range(100):
            yield str(number).encode()
            await asyncio.sleep(0.1)

    from nplmon.api.entry import while_allowed

    told = []
    async for piece in while_allowed(context, identity, endless()):
        told.append(int(piece))
        if len(told) == 5:
            await broker.tokens.revoke(keys.ids[token])
    assert 5 <= len(told) <= 5 + 25


async def test_every_answer_tells_browsers_to_be_careful(serve: Serve) -> None:
    async with serve(access="open") as client:
        for path in ("/", "/docs", "/v1/monitors", "/v1/nothing", "/healthz", "/metrics", "/openapi.json"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["x-frame-options"] == "DENY", path
            assert headers["referrer-policy"] == "no-referrer", path
            assert headers["cross-origin-resource-policy"] == "same-origin", path
            assert "default-src 'none'" in headers["content-security-policy"], path
            assert "frame-ancestors 'none'" in headers["content-security-policy"], path
            assert "access-control-allow-origin" not in headers, path
            assert "server" not in headers, path
        assert (await client.get("/v1/monitors")).headers["cache-control"] == "no-store"
        assert "unsafe-inline" not in (await client.get("/")).headers["content-security-policy"]


async def test_nobody_acknowledges_under_the_name_of_another(
    client: httpx.AsyncClient, keys: Keys, monitors: tuple[str, str]
) -> None:
    grace = bearer(await keys("operate", "read", name="grace"))
    for body in ({"who": "ada"}, {}):
        fired = await client.post("/v1/monitors/m/test-alarm", json=body, headers=grace)
        assert fired.status_code == 201, fired.text
        assert fired.json()["who"] == "grace"
        ended = await client.delete("/v1/monitors/m/test-alarm?who=ada", headers=grace)
        assert ended.status_code == 204
    journal = (await client.get("/v1/monitors/m/journal", headers=grace)).json()["entries"]
    assert {entry["who"] for entry in journal if entry["kind"].startswith("test")} == {"grace"}


async def test_where_nobody_is_asked_a_name_is_needed(serve: Serve, monitors: tuple[str, str]) -> None:
    async with serve(access="open") as client:
        answer = await client.post("/v1/monitors/m/test-alarm", json={})
        check_problem(answer, 422, "settings", "who")
        answer = await client.post("/v1/monitors/m/test-alarm", json={"who": "ada"})
        assert answer.json()["who"] == "ada"
