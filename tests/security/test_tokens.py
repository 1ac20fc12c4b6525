"""Tokens: made once, known by hash, ended at once, and tried in vain only slowly."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from prometheus_client import CollectorRegistry
from tests.api.bodies import check_problem
from tests.security.conftest import BASE, Keys, Serve, bearer

from nplmon.access import verifier
from nplmon.access.secret import new_token, split, verify
from nplmon.access.verifier import FAILURES_AT_ONCE, FRESH_SECONDS
from nplmon.api import create_app
from nplmon.broker import Broker
from nplmon.settings import Settings

pytestmark = pytest.mark.anyio

WRONG = "nplmon_0123456789abcdef_" + 43 * "A"


async def test_a_token_is_made_shown_once_used_and_revoked(
    client: httpx.AsyncClient, admin: dict[str, str], broker: Broker
) -> None:
    made = await client.post("/v1/tokens", json={"name": "daq", "scopes": ["read"], "days": 1}, headers=admin)
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    text, info = made.json()["token"], made.json()["info"]
    assert info["created_by"] == "ada"
    assert info["used_at"] is None
    assert abs(info["expires_at"] - time.time() - 86_400) < 60
    assert (await client.get("/v1/monitors", headers=bearer(text))).status_code == 200
    listed = (await client.get("/v1/tokens", headers=admin)).json()["tokens"]
    assert [token["name"] for token in listed] == ["ada", "daq"]
    assert abs(listed[1]["used_at"] - time.time()) < 60
    assert "hash" not in listed[1]
    (id_, secret) = split(text) or ("", "")
    assert id_ == info["id"]
    stored = await broker.connection.ask("HGET", "nplmon:tokens", id_)
    assert secret.encode() not in stored
    assert b"$argon2id$" in stored
    assert (await client.delete(f"/v1/tokens/{id_}", headers=admin)).status_code == 204
    check_problem(await client.delete(f"/v1/tokens/{id_}", headers=admin), 404, "unknown-token", "token")
    assert await broker.tokens.last_used() == {listed[0]["id"]: pytest.approx(time.time(), abs=60)}


async def test_a_revocation_is_heard_in_time_by_every_process(
    serve: Serve, keys: Keys, broker: Broker
) -> None:
    text = await keys("read")
    async with serve() as one, serve() as other:
        for client in (one, other):
            assert (await client.get("/v1/monitors", headers=bearer(text))).status_code == 200
        await broker.tokens.revoke(keys.ids[text])
        revoked = time.monotonic()
        for client in (one, other):
            for _ in range(100):
                if (await client.get("/v1/monitors", headers=bearer(text))).status_code == 401:
                    break
                await asyncio.sleep(0.05)
            else:
                pytest.fail("the token is good for ever")
        assert time.monotonic() - revoked < 5.0


async def test_an_expired_token_is_none(client: httpx.AsyncClient, keys: Keys) -> None:
    text = await keys("read", days=4.0 / 86_400)
    assert (await client.get("/v1/monitors", headers=bearer(text))).status_code == 200
    await asyncio.sleep(4.1)
    answer = await client.get("/v1/monitors", headers=bearer(text))
    check_problem(answer, 401, "unauthorized", "authorization")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer nplmon",
        "Bearer nplmon_0123456789abcdef_",
        f"Bearer {WRONG}",
        f"Bearer {WRONG}\x00".replace("\x00", "%00"),
        "Basic YWRhOmFkYQ==",
        "bearer " + "x" * 5000,
        "Bearer \xff\xfe",
    ],
)
async def test_what_is_no_token_is_refused_and_not_repeated(client: httpx.AsyncClient, header: str) -> None:
    answer = await client.get("/v1/monitors", headers={"Authorization": header.encode("latin-1")})
    check_problem(answer, 401, "unauthorized", "authorization")
    assert "0123456789abcdef" not in answer.text
    assert "xxx" not in answer.text


async def test_the_right_id_with_another_secret_is_refused(client: httpx.AsyncClient, keys: Keys) -> None:
    text = await keys("admin")
    wrong = text[:-43] + 43 * "A"
    assert (await client.get("/v1/monitors", headers=bearer(wrong))).status_code == 401
    assert (await client.get("/v1/monitors", headers=bearer(text))).status_code == 200


def test_a_check_takes_as_long_without_a_token_as_with_one() -> None:
    """Both run Argon2 once. Processor time, and the least of several, for others use the machine too."""
    token, _ = new_token("daq", ["push"])

    def fastest(of: object) -> float:
        times = []
        for _ in range(15):
            began = time.process_time()
            assert not verify(of, 43 * "A")  # type: ignore[arg-type]
            times.append(time.process_time() - began)
        return min(times)

    known, unknown = fastest(token), fastest(None)
    assert 0.5 < known / unknown < 2.0


async def test_failed_attempts_are_slow_and_few_for_each_address(
    broker: Broker, settings: Settings, serve: Serve, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "FAILURES_A_SECOND", 0.001)  # however long this takes
    app = create_app(broker, settings, CollectorRegistry())
    good, other = await keys("read"), await keys("read")
    async with serve("10.0.0.7", app=app) as attacker, serve("10.0.0.8", app=app) as friend:
        assert (await attacker.get("/v1/monitors", headers=bearer(good))).status_code == 200
        began = time.monotonic()
        answers = await asyncio.gather(
            *(attacker.get("/v1/monitors", headers=bearer(WRONG[:-2] + f"{i:02d}")) for i in range(40))
        )
        assert time.monotonic() - began >= verifier.FAILURE_SECONDS
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(401) == FAILURES_AT_ONCE
        assert statuses.count(429) == 40 - statuses.count(401)
        limited = next(answer for answer in answers if answer.status_code == 429)
        check_problem(limited, 429, "rate-limited", "authorization")
        assert int(limited.headers["retry-after"]) >= 1
        # Also a token that is right has to wait now, unless it was known before; elsewhere nobody notices.
        assert (await attacker.get("/v1/monitors", headers=bearer(other))).status_code == 429
        assert (await attacker.get("/v1/monitors", headers=bearer(good))).status_code == 200
        assert (await friend.get("/v1/monitors", headers=bearer(other))).status_code == 200


async def test_who_is_turned_away_is_counted(client: httpx.AsyncClient, keys: Keys) -> None:
    reader = bearer(await keys("read"))
    await client.get("/v1/monitors")
    await client.get("/v1/monitors", headers=bearer(WRONG))
    await client.get("/v1/tokens", headers=reader)
    said = (await client.get("/metrics", headers=reader)).text
    assert 'nplmon_access_refused_total{reason="unauthorized"} 2.0' in said
    assert 'nplmon_access_refused_total{reason="forbidden"} 1.0' in said
    assert 'nplmon_access_refused_total{reason="rate-limited"} 0.0' in said


async def test_the_rate_of_a_token_is_limited(serve: Serve, keys: Keys) -> None:
    busy, calm = await keys("read"), await keys("read")
    async with serve(rate_limit=5.0) as client:
        statuses = [(await client.get("/v1/references", headers=bearer(busy))).status_code for _ in range(30)]
        assert statuses[:10] == 10 * [200]
        assert 429 in statuses
        limited = await client.get("/v1/references", headers=bearer(busy))
        if limited.status_code == 429:
            assert int(limited.headers["retry-after"]) >= 1
        assert (await client.get("/v1/references", headers=bearer(calm))).status_code == 200


async def test_a_known_token_costs_one_argon2_and_little_after_that(
    client: httpx.AsyncClient, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = []
    real = verifier.verify
    monkeypatch.setattr(verifier, "verify", lambda *given: checks.append(1) or real(*given))
    headers = bearer(await keys("read"))
    answers = await asyncio.gather(*(client.get("/v1/references", headers=headers) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    await asyncio.sleep(FRESH_SECONDS + 0.1)
    assert (await client.get("/v1/references", headers=headers)).status_code == 200
    assert len(checks) == 1


async def test_without_a_store_nobody_is_let_in(keys: Keys) -> None:
    broker = Broker.connect("unix:///nonexistent/valkey.sock")
    app = create_app(broker, Settings(access="tokens"), CollectorRegistry())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        for _ in range(12):  # nor is it an attempt that failed
            answer = await client.get("/v1/monitors", headers=bearer(WRONG))
        check_problem(answer, 503, "store-unreachable", "store")
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
    await broker.close()


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "", "scopes": ["read"]},
        {"name": "a b", "scopes": ["read"]},
        {"name": "x", "scopes": ["read"], "days": 0},
        {"name": "x", "scopes": ["read"], "days": 1e9},
        {"name": "x", "scopes": ["read"], "secret": "mine"},
        {"scopes": ["read"]},
    ],
)
async def test_a_wrong_wish_makes_no_token(
    client: httpx.AsyncClient, admin: dict[str, str], broker: Broker, body: dict[str, object]
) -> None:
    answer = await client.post("/v1/tokens", json=body, headers=admin)
    assert answer.status_code == 422, answer.text
    assert await broker.tokens.count() == 1


async def test_a_token_for_a_monitor_needs_the_monitor(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    body = {"name": "x", "scopes": ["push"], "monitor": "nowhere"}
    check_problem(
        await client.post("/v1/tokens", json=body, headers=admin), 404, "unknown-monitor", "monitor"
    )
