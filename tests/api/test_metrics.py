"""Metrics: names, labels that clients cannot make up, queues read at scrape."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from tests.api.bodies import Push, events, npy
from tests.api.workers import Workers
from tests.broker.test_workers import a_worker

from nplmon.api import store_metrics
from nplmon.api.metrics import REASONS
from nplmon.broker import Broker, StoreUnreachable

pytestmark = pytest.mark.anyio

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def scrape(client: httpx.AsyncClient) -> Series:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def of(series: Series, name: str, **labels: str) -> float:
    return series[name, tuple(sorted(labels.items()))]


async def test_all_series_of_a_fresh_process_are_zero(
    client: httpx.AsyncClient, monitor: dict[str, Any]
) -> None:
    series = await scrape(client)
    for name in ("chunks_accepted_total", "events_accepted_total", "chunks_duplicate_total"):
        assert of(series, f"nplmon_{name}", monitor="m") == 0
    reasons = {labels[0][1] for name, labels in series if name == "nplmon_chunks_rejected_total"}
    assert reasons == set(REASONS)
    assert of(series, "nplmon_backlog_chunks", monitor="m") == 0
    assert of(series, "nplmon_leased_chunks", monitor="m") == 0
    assert not [name for name, _ in series if name == "nplmon_oldest_pending_timestamp_seconds"]


async def test_pushes_are_counted(client: httpx.AsyncClient, push: Push) -> None:
    await push()
    await push()
    await push(npy(events(5, 3)))
    await push(b"rubbish")
    await push(chunk="a b")
    series = await scrape(client)
    assert of(series, "nplmon_chunks_accepted_total", monitor="m") == 2
    assert of(series, "nplmon_events_accepted_total", monitor="m") == 25
    assert of(series, "nplmon_chunks_duplicate_total", monitor="m") == 1
    assert of(series, "nplmon_chunks_rejected_total", reason="body-unreadable") == 1
    assert of(series, "nplmon_chunks_rejected_total", reason="name") == 1
    assert sum(value for (name, _), value in series.items() if name == "nplmon_chunks_rejected_total") == 2


async def test_queues_are_read_at_scrape(
    client: httpx.AsyncClient, push: Push, broker: Broker, workers: Workers
) -> None:
    first = (await push()).json()
    await push(npy(events(5, 3)))
    (lease,) = await broker.leases.take("w", ["m"], count=1, block_seconds=0.1)
    series = await scrape(client)
    assert of(series, "nplmon_backlog_chunks", monitor="m") == 1
    assert of(series, "nplmon_leased_chunks", monitor="m") == 1
    oldest = of(series, "nplmon_oldest_pending_timestamp_seconds", monitor="m")
    assert oldest == pytest.approx(first["accepted_at"])
    assert lease.receipt.chunk == first["chunk"]


async def test_dead_chunks_workers_and_the_store_are_read_at_scrape(
    client: httpx.AsyncClient, push: Push, broker: Broker
) -> None:
    series = await scrape(client)
    assert of(series, "nplmon_dead_chunks", monitor="m") == 0
    assert [of(series, "nplmon_workers", role=role) for role in ("trainer", "aggregator")] == [0, 0]
    assert of(series, "nplmon_store_up") == 1
    await push()
    (lease,) = await broker.leases.take("w", ["m"], count=1, block_seconds=0.1)
    assert await broker.leases.hand_back("w", lease, "no luck", 1) == "dead"
    for name in ("t1", "t2"):
        await broker.workers.beat(a_worker(name), 10.0)
    series = await scrape(client)
    assert of(series, "nplmon_dead_chunks", monitor="m") == 1
    assert [of(series, "nplmon_workers", role=role) for role in ("trainer", "aggregator")] == [2, 0]


@pytest.mark.parametrize("silent", [False, True])
async def test_without_a_store_no_number_is_old(
    client: httpx.AsyncClient,
    monitor: dict[str, Any],
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
    silent: bool,
) -> None:
    await scrape(client)
    monkeypatch.setattr(store_metrics, "STORE_SECONDS", 0.05)

    async def fail() -> None:
        if silent:
            await asyncio.sleep(60)
        raise StoreUnreachable("gone")

    monkeypatch.setattr(broker.workers, "all", fail)
    series = await scrape(client)
    assert of(series, "nplmon_store_up") == 0
    gone = {"nplmon_backlog_chunks", "nplmon_dead_chunks", "nplmon_workers", "nplmon_leased_chunks"}
    assert not [name for name, _ in series if name in gone]


async def test_labels_are_not_made_up_by_clients(client: httpx.AsyncClient, push: Push) -> None:
    await push()
    await push(path="/v1/monitors/evil/runs/r/chunks")
    await client.get("/v1/monitors/evil")
    await client.get("/evil")
    await client.get("/docs")
    await client.request("EVIL", "/v1/monitors/evil")
    await client.get("/v1/monitors/m/runs/evil/chunks")
    series = await scrape(client)
    assert not [labels for _, labels in series if any("evil" in value for _, value in labels)]
    routes = {dict(labels)["route"] for name, labels in series if name.endswith("duration_seconds_count")}
    assert "other" in routes
    assert "/v1/monitors/{monitor}/runs/{run}/chunks" in routes
    assert routes <= {*httpx_routes(client), "other"}
    assert of(series, "nplmon_http_request_duration_seconds_count", route="/v1/monitors/{monitor}") >= 1


def httpx_routes(client: httpx.AsyncClient) -> set[str]:
    """Give the templates of the application behind a client."""
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    return set(transport.app.openapi()["paths"])


async def test_deleted_monitor_leaves_no_series(client: httpx.AsyncClient, push: Push) -> None:
    await push()
    await client.delete("/v1/monitors/m")
    assert not [labels for _, labels in await scrape(client) if ("monitor", "m") in labels]


async def test_registry_is_the_one_handed_in(client: httpx.AsyncClient, registry: CollectorRegistry) -> None:
    names = {family.name for family in registry.collect()}
    assert names == {
        "nplmon_access_refused",
        "nplmon_backlog_chunks",
        "nplmon_chunks_accepted",
        "nplmon_chunks_duplicate",
        "nplmon_chunks_rejected",
        "nplmon_dead_chunks",
        "nplmon_events_accepted",
        "nplmon_http_request_duration_seconds",
        "nplmon_leased_chunks",
        "nplmon_oldest_pending_timestamp_seconds",
        "nplmon_store_up",
        "nplmon_workers",
    }
