"""The server as a process: event streams, signals, the store going and coming."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.bodies import NPY, PUSH, check_problem, events, npy
from tests.api.serving import Process, following
from tests.api.workers import Workers

from nplmon.api.server import masked, serve
from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore
from nplmon.broker.findings import EffectSize
from nplmon.broker.messages import Alarm
from nplmon.settings import Settings

pytestmark = pytest.mark.anyio

EFFECT = EffectSize(value=0.25, null_mean=0.1, null_deviation=0.05, excess=0.15)


@pytest.fixture(scope="module")
def shared(store: EmbeddedStore) -> Iterator[Process]:
    process = Process(store.url)
    yield process
    assert process.stop() == 0


@pytest.fixture
def process(shared: Process, redis_url: str) -> Process:
    """Give a process that keeps nothing from test to test: all state is in the store, which is emptied."""
    return shared


@pytest.fixture
async def client(process: Process) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=process.address, timeout=20) as client:
        yield client


async def push(client: httpx.AsyncClient, seed: int = 1, path: str = PUSH) -> httpx.Response:
    return await client.post(path, content=npy(events(20, seed)), headers={"Content-Type": NPY})


async def test_snapshots_are_sent_as_they_change(
    client: httpx.AsyncClient, monitor: dict[str, Any], workers: Workers
) -> None:
    await push(client)
    await workers.finish()
    await workers.apply(effect_size=EFFECT)
    async with following(client) as event:
        number, kind, snapshot = await event()
        assert (number, kind, snapshot["sequence"], snapshot["effect_size"]["value"]) == (
            "1",
            "statistic",
            1,
            0.25,
        )
        assert "features" not in snapshot
        await push(client, 2)
        await workers.finish()
        began = time.monotonic()
        await workers.apply()
        number, _, snapshot = await event()
        assert (number, snapshot["sequence"]) == ("2", 2)
        assert time.monotonic() - began < 2, "the news came by the channel, not by looking again"
        # Without ?run=, the stream goes on with the run opened last.
        await push(client, 3, "/v1/monitors/m/runs/s/chunks")
        await workers.finish()
        await workers.apply("s")
        assert (await event())[2]["run"] == "s"


async def test_slow_reader_gets_the_newest(
    client: httpx.AsyncClient, monitor: dict[str, Any], workers: Workers, process: Process
) -> None:
    """A reader that does not read makes nobody wait, and the snapshots it misses do not wait for it.

    Each snapshot is made larger than the sockets' buffers together, so that the first write already blocks.
    """
    host, port = process.address.removeprefix("http://").split(":")
    await push(client, 0)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        slow.connect((host, int(port)))
        slow.sendall(b"GET /v1/monitors/m/events?run=r HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        note = "x" * 6_000_000
        async with following(client) as event:
            for sequence in range(1, 7):
                await workers.finish()
                await workers.apply(alarm=Alarm(rule=note))
                assert (await event())[2]["sequence"] == sequence
                await push(client, sequence)
        slow.settimeout(10)
        received = bytearray()
        # Searched from where the last piece began, because the whole is long.
        while received.find(b"id: 6\n", max(0, len(received) - 1_000_010)) < 0:
            received += await asyncio.to_thread(slow.recv, 1_000_000)
    sent = [number for number in range(1, 7) if f"id: {number}\n".encode() in received]
    # The one being written, the one that waits for the write to end, and then the newest.
    assert len(sent) <= 3, f"snapshots {sent} were queued"


async def test_stream_ends_with_its_monitor(client: httpx.AsyncClient, monitor: dict[str, Any]) -> None:
    async with following(client) as event:
        await client.delete("/v1/monitors/m")
        with pytest.raises(EOFError):
            await event()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_streams_and_process(
    monitor: dict[str, Any], store: EmbeddedStore, process: Process, number: int
) -> None:
    mine = Process(store.url)
    async with httpx.AsyncClient(base_url=mine.address) as client, following(client) as event:
        began = time.monotonic()
        code = asyncio.create_task(asyncio.to_thread(mine.stop, number))
        with pytest.raises(EOFError):
            await event()
        assert await code == 0
        assert time.monotonic() - began < 5


def test_address_and_store_are_logged_once_it_listens(process: Process, redis_url: str) -> None:
    (line,) = process.lines
    assert (line["event"], line["role"], line["store"]) == ("listening", "api", redis_url)
    assert httpx.get(f"{process.address}/healthz").status_code == 200


@pytest.mark.slow
async def test_store_may_come_later_go_and_come_back(tmp_path: Path) -> None:
    """The process starts without its store; accepted chunks are there after the store was away."""
    store = EmbeddedStore(tmp_path)
    process = Process(store.url)
    try:
        async with httpx.AsyncClient(base_url=process.address, timeout=20) as client:
            assert (await client.get("/readyz")).status_code == 503
            check_problem(await push(client), 503, "store-unreachable", "store")
            store.start()
            assert (await client.get("/readyz")).status_code == 200
            await client.put(
                "/v1/references/sm?features=pt,eta", content=npy(events(500)), headers={"Content-Type": NPY}
            )
            await client.post("/v1/monitors", json={"name": "m", "reference": "sm"})
            assert (await push(client)).status_code == 202
            broker = Broker.connect(store.url)
            workers = Workers(broker)
            async with following(client) as event:
                await asyncio.to_thread(store.stop)
                assert (await client.get("/readyz")).status_code == 503
                check_problem(await push(client, 2), 503, "store-unreachable", "store")
                await asyncio.to_thread(store.start)
                assert (await push(client)).status_code == 200, "the first chunk survived"
                await workers.finish()
                await workers.apply()
                assert (await event())[2]["sequence"] == 1, "the open stream goes on"
            await broker.close()
        assert process.stop() == 0
    finally:
        if process.process.poll() is None:
            process.process.kill()
            process.process.communicate()
        store.stop()


def test_store_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="NPLMON_REDIS_URL"):
        serve(Settings(redis_url=None))


def test_password_is_masked() -> None:
    assert masked("redis://:secret@h:1/0") == "redis://:***@h:1/0"
    assert masked("unix:///run/valkey.sock") == "unix:///run/valkey.sock"
