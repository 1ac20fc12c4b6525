"""An application over a real, embedded store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from redis import Redis
from tests.api.bodies import NPY, PUSH, Push, events, npy
from tests.api.workers import Workers

from nplmon.api import create_app
from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore
from nplmon.settings import Settings


@pytest.fixture
def redis_url(store: EmbeddedStore) -> str:
    with Redis(unix_socket_path=str(store.socket)) as client:
        client.flushall()
    return store.url


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings(
        redis_url=redis_url, body_limit_mb=1, reference_limit_mb=2, pool_limit_mb=1, backlog_limit=4
    )


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Broker]:
    broker = Broker.connect(redis_url)
    yield broker
    await broker.close()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def client(
    broker: Broker, settings: Settings, registry: CollectorRegistry
) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(broker, settings, registry))
    async with httpx.AsyncClient(transport=transport, base_url="http://nplmon") as client:
        yield client


@pytest.fixture
async def reference(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.put(
        "/v1/references/sm",
        params={"features": "pt,eta", "units": "GeV,"},
        content=npy(events(500, seed=0)),
        headers={"Content-Type": NPY},
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
async def monitor(client: httpx.AsyncClient, reference: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(
        "/v1/monitors", json={"name": "m", "reference": "sm", "kernel": {"centres": 20}}
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
def push(client: httpx.AsyncClient, monitor: dict[str, Any]) -> Push:
    async def push(
        body: bytes | None = None,
        kind: str = NPY,
        path: str = PUSH,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> httpx.Response:
        content = npy(events(20)) if body is None else body
        return await client.post(
            path, content=content, params=query, headers={"Content-Type": kind, **(headers or {})}
        )

    return push


@pytest.fixture
def workers(broker: Broker) -> Workers:
    return Workers(broker)


@pytest.fixture(autouse=True)
def _no_key_leaks(no_key_leaks: None) -> None:
    """In each test of this room."""
