"""An application that asks for tokens, over a real, embedded store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from redis import Redis
from tests.api.bodies import NPY, events, npy
from tests.chromium import chromium

from nplmon.access import new_token
from nplmon.api import create_app
from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore
from nplmon.settings import Settings

__all__ = ["chromium"]
BASE = "http://127.0.0.1:8471"


class Keys:
    """Makes tokens at the store."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.ids: dict[str, str] = {}

    async def __call__(self, *scopes: Any, **options: Any) -> str:
        """Give the text of a new token with these scopes."""
        token, text = new_token(options.pop("name", "-".join(scopes)), scopes, **options)
        await self._broker.tokens.add(token)
        self.ids[text] = token.id
        return text


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def redis_url(store: EmbeddedStore) -> str:
    with Redis(unix_socket_path=str(store.socket)) as client:
        client.flushall()
    return store.url


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings(redis_url=redis_url, access="tokens")


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Broker]:
    broker = Broker.connect(redis_url)
    yield broker
    await broker.close()


@pytest.fixture
def keys(broker: Broker) -> Keys:
    return Keys(broker)


Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def serve(broker: Broker, settings: Settings) -> Serve:
    """Give a client of an application with other settings."""

    @asynccontextmanager
    async def serve(
        address: str = "127.0.0.1", base: str = BASE, app: FastAPI | None = None, **changed: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        chosen = app or create_app(broker, settings.model_copy(update=changed), CollectorRegistry())
        transport = httpx.ASGITransport(chosen, client=(address, 40000))
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            yield client

    return serve


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    async with serve() as client:
        yield client


@pytest.fixture
async def admin(keys: Keys) -> dict[str, str]:
    """Give the headers of an admin."""
    return bearer(await keys("admin", name="ada"))


@pytest.fixture
async def monitors(client: httpx.AsyncClient, admin: dict[str, str]) -> tuple[str, str]:
    """Make the monitors `m` and `other` with references of their own, `sm` and `so`."""
    for reference, monitor in (("sm", "m"), ("so", "other")):
        answer = await client.put(
            f"/v1/references/{reference}",
            params={"features": "pt,eta"},
            content=npy(events(500, seed=len(monitor))),
            headers={"Content-Type": NPY, **admin},
        )
        assert answer.status_code == 201, answer.text
        answer = await client.post(
            "/v1/monitors",
            json={"name": monitor, "reference": reference, "kernel": {"centres": 20}},
            headers=admin,
        )
        assert answer.status_code == 201, answer.text
    return "m", "other"
