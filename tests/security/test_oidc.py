"""OIDC bearer tokens against a real issuer on loopback: those of others, expired, forged and confused are refused."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from tests.api.bodies import check_problem
from tests.security.conftest import Serve, bearer
from tests.security.issuer import AUDIENCE, SmallIssuer, public_pem, rsa_key

from nplmon.access import oidc, verifier
from nplmon.access.verifier import FAILURES_AT_ONCE
from nplmon.api import create_app
from nplmon.broker import Broker
from nplmon.settings import Settings

pytestmark = pytest.mark.anyio
GROUPS = "shifters=read,operate; experts=admin"


@pytest.fixture
def issuer() -> Iterator[SmallIssuer]:
    with SmallIssuer() as issuer:
        yield issuer


@pytest.fixture
def settings(settings: Settings, issuer: SmallIssuer) -> Settings:
    return settings.model_copy(
        update={"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "oidc_scopes": GROUPS}
    )


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    async with serve() as client:
        yield client


async def status(client: httpx.AsyncClient, token: str, path: str = "/v1/monitors") -> int:
    return (await client.get(path, headers=bearer(token))).status_code


@pytest.mark.parametrize("kid", ["rsa", "ec"])
async def test_a_group_may_what_the_settings_say(
    client: httpx.AsyncClient, issuer: SmallIssuer, kid: str
) -> None:
    token = issuer.token(kid)
    told = (await client.get("/v1/session", headers=bearer(token))).json()
    assert (told["name"], told["scopes"]) == ("grace", ["operate", "read"])
    assert await status(client, token) == 200
    assert await status(client, token, "/v1/tokens") == 403
    assert await status(client, issuer.token(kid, groups=["experts"]), "/v1/tokens") == 200
    # Also as a string with spaces, as `scope` is; of no group that is named: known, and may nothing.
    assert await status(client, issuer.token(kid, groups="x shifters")) == 200
    for groups in (["others"], [], None, {"shifters": 1}, 7, ["Shifters"]):
        assert await status(client, issuer.token(kid, groups=groups)) == 403
    nameless = issuer.token(kid, preferred_username=None)
    assert (await client.get("/v1/session", headers=bearer(nameless))).json()["name"] == "u-17"


def encoded(part: object) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


def forged(issuer: SmallIssuer, header: dict[str, Any], key: bytes | None) -> str:
    """Sign by hand, as no library would: with a public key as the secret, or not at all."""
    _, claims, _ = issuer.token().split(".")
    message = encoded(header) + b"." + claims.encode()
    signature = b"" if key is None else hmac.digest(key, message, hashlib.sha256)
    return (message + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def wrong(issuer: SmallIssuer) -> dict[str, str]:
    now = int(time.time())
    good = issuer.token()
    return {
        "another issuer": issuer.token(iss="https://evil.example"),
        "issuer with a slash": issuer.token(iss=issuer.url + "/"),
        "another audience": issuer.token(aud="another-service"),
        "no audience": issuer.token(aud=None),
        "expired": issuer.token(exp=now - 60, iat=now - 360),
        "without an end": issuer.token(exp=None),
        "not yet": issuer.token(nbf=now + 3600),
        "made in future": issuer.token(iat=now + 3600),
        "without a subject": issuer.token(sub=None),
        "another's key under our name": issuer.token(key=rsa_key()),
        "the key of another kind": issuer.token("ec", key=rsa_key(), algorithm="RS256"),
        "alg none": forged(issuer, {"alg": "none", "kid": "rsa"}, None),
        "alg None": forged(issuer, {"alg": "None", "kid": "rsa"}, None),
        "no alg": forged(issuer, {"kid": "rsa"}, None),
        "HS256 with the public key": forged(
            issuer, {"alg": "HS256", "kid": "rsa"}, public_pem(issuer.keys["rsa"])
        ),
        "RS512": issuer.token(algorithm="RS512"),
        "HS256 with a published key": issuer.token(
            key=b"k" * 32, algorithm="HS256", header={"kid": "shared"}
        ),
        "its own key in the header": issuer.token(
            key=(mine := rsa_key()),
            header={"jwk": json.loads(oidc.jwt.get_algorithm_by_name("RS256").to_jwk(mine.public_key()))},
        ),
        "an unknown critical header": issuer.token(header={"crit": ["x"], "x": 1}),
        "another payload": ".".join(
            [good.split(".")[0], encoded({"iss": issuer.url, "aud": AUDIENCE}).decode(), good.split(".")[2]]
        ),
        "cut": good[:-10],
        "no base64": "a.b.c",
        "empty": "..",
        "long": good + "A" * 20_000,
    }


with SmallIssuer() as one:
    NAMES = list(wrong(one))


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_not_the_issuer_s_for_us_is_refused(
    client: httpx.AsyncClient, issuer: SmallIssuer, name: str
) -> None:
    issuer.more_keys = [
        {"kty": "oct", "kid": "shared", "alg": "HS256", "k": base64.urlsafe_b64encode(b"k" * 32).decode()}
    ]
    assert await status(client, issuer.token()) == 200
    token = wrong(issuer)[name]
    answer = await client.get("/v1/monitors", headers=bearer(token))
    check_problem(answer, 401, "unauthorized", "authorization")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    if len(token) > 40:
        assert token[-20:] not in answer.text


async def test_a_short_key_of_the_issuer_is_not_used(client: httpx.AsyncClient, issuer: SmallIssuer) -> None:
    issuer.keys["short"] = rsa_key(1024)
    with pytest.warns(match="bits"):
        token = issuer.token("short")
    assert await status(client, token) == 401


async def test_keys_that_are_made_up_do_not_make_us_ask_again_and_again(
    serve: Serve, issuer: SmallIssuer, broker: Broker, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "FAILURES_A_SECOND", 0.001)  # however long this takes
    app = create_app(broker, settings, CollectorRegistry())
    async with serve("10.0.0.9", app=app) as attacker, serve("10.0.0.8", app=app) as client:
        assert await status(client, issuer.token()) == 200
        asked = issuer.asked
        assert asked == 2  # the discovery document and the keys
        storm = [issuer.token(header={"kid": f"made-up-{number}"}) for number in range(60)]
        statuses = await asyncio.gather(*(status(attacker, token) for token in storm))
        assert issuer.asked == asked
        assert statuses.count(401) == FAILURES_AT_ONCE
        assert set(statuses) == {401, 429}
        assert await status(client, issuer.token()) == 200


async def test_a_new_key_is_heard_of(
    client: httpx.AsyncClient, issuer: SmallIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "REFETCH_SECONDS", 0.3)
    assert await status(client, issuer.token()) == 200
    issuer.keys = {"next": rsa_key()}
    assert await status(client, issuer.token("next")) == 401  # just fetched
    await asyncio.sleep(0.35)
    assert await status(client, issuer.token("next")) == 200
    assert await status(client, issuer.token("next", key=rsa_key(), header={"kid": "rsa"})) == 401


async def test_an_issuer_that_is_away_does_not_end_what_is_known(
    client: httpx.AsyncClient, issuer: SmallIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await status(client, issuer.token()) == 200
    issuer.broken = True
    monkeypatch.setattr(oidc, "KEYS_SECONDS", 0.0)
    monkeypatch.setattr(oidc, "REFETCH_SECONDS", 0.0)
    assert await status(client, issuer.token(jti="another")) == 200


async def test_an_issuer_that_says_it_is_another_is_not_believed(
    client: httpx.AsyncClient, issuer: SmallIssuer
) -> None:
    issuer.says = "https://other.example"
    assert await status(client, issuer.token()) == 401


async def test_it_signs_in_a_browser(client: httpx.AsyncClient, issuer: SmallIssuer) -> None:
    answer = await client.post("/v1/session", headers=bearer(issuer.token()))
    assert answer.status_code == 201
    assert answer.json()["name"] == "grace"
    assert (await client.get("/v1/monitors")).status_code == 200
    assert (await client.get("/v1/tokens")).status_code == 403


@pytest.mark.parametrize(
    "wrongly",
    [
        {"oidc_issuer": "https://id.example"},
        {"oidc_issuer": "http://id.example", "oidc_audience": "x"},
        {"oidc_scopes": "shifters"},
        {"oidc_scopes": "shifters=root"},
    ],
)
def test_settings_that_would_let_in_too_many_are_refused(wrongly: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrongly)  # type: ignore[arg-type]


async def test_without_an_issuer_no_such_token_is_known(serve: Serve, issuer: SmallIssuer) -> None:
    async with serve(oidc_issuer=None) as client:
        assert await status(client, issuer.token()) == 401
    assert issuer.asked == 0
