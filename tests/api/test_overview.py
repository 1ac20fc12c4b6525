"""The overview and its events: the newest tiles, at once and as they change, the store there or not."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.api.bodies import NPY, PUSH, Push, check_problem, events, npy
from tests.api.glimpses import ALARM, a_statistic
from tests.api.serving import Process, following
from tests.api.workers import Workers

from nplmon.api import board
from nplmon.api.board import PING_SECONDS, ROUND_SECONDS
from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore

pytestmark = pytest.mark.anyio

DECIDED = {"deciding": "t_agg", "statistics": {"t_agg": a_statistic(kind="t_agg")}}


async def overview(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/v1/overview")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def another(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.post(
        "/v1/monitors", json={"name": name, "reference": "sm", "kernel": {"centres": 20}}
    )
    assert answer.status_code == 201


async def test_overview_follows_what_happens(client: httpx.AsyncClient, push: Push, workers: Workers) -> None:
    await another(client, "a")
    seen = await overview(client)
    assert [tile["monitor"] for tile in seen["tiles"]] == ["a", "m"]
    assert [tile["state"] for tile in seen["tiles"]] == ["waiting", "waiting"]
    assert abs(seen["now"] - time.time()) < 60
    await push()
    assert (await overview(client))["tiles"][1]["pending"] == 1
    await workers.finish()
    await workers.apply(values=[4.0], updated_at=time.time(), alarm=ALARM, **DECIDED)
    first = (await overview(client))["tiles"][0]
    assert (first["monitor"], first["state"], first["run"], first["value"]) == ("m", "alarm", "r", 12.0)
    assert first["sparkline"] == {"sequence": [1], "value": [4.0], "threshold": [None]}
    await push(npy(events(5, 7)))
    await workers.finish()
    await workers.apply(values=[6.0], updated_at=time.time(), alarm=ALARM, **DECIDED)
    assert (await overview(client))["tiles"][0]["sparkline"]["value"] == [4.0, 6.0]
    await client.post("/v1/monitors/m/runs/r/reset")
    again = (await overview(client))["tiles"][1]
    assert (again["run_epoch"], again["sparkline"]["value"], again["value"]) == (2, [], None)
    await client.delete("/v1/monitors/m")
    assert [tile["monitor"] for tile in (await overview(client))["tiles"]] == ["a"]


async def test_overview_tells_of_the_run_opened_last(
    client: httpx.AsyncClient, push: Push, workers: Workers
) -> None:
    await push()
    await overview(client)
    await push(path="/v1/monitors/m/runs/s/chunks")
    (tile,) = (await overview(client))["tiles"]
    assert (tile["run"], tile["pending"], tile["sequence"]) == ("s", 1, 0)


async def test_what_people_do_shows_at_once(client: httpx.AsyncClient, push: Push, workers: Workers) -> None:
    await push()
    await workers.finish()
    alarm = msgspec.structs.replace(ALARM, sequence=1)
    await workers.apply(updated_at=time.time(), alarm=alarm, **DECIDED)
    said = {"who": "Ada", "comment": "on it", "level": "alarm", "sequence": 1}
    assert (await client.post("/v1/monitors/m/runs/r/acknowledge", json=said)).status_code == 200
    await client.post("/v1/monitors/m/test-alarm", json={"who": "Ada", "comment": "", "seconds": 60})
    (tile,) = (await overview(client))["tiles"]
    assert (tile["state"], tile["acknowledged"]["who"]) == ("acknowledged", "Ada")
    assert (tile["flags"], tile["test"]["who"]) == (["test"], "Ada")
    await client.post("/v1/monitors/m/runs/r/close")
    assert (await overview(client))["tiles"][0]["state"] == "closed"


@pytest.fixture(scope="module")
def shared(store: EmbeddedStore) -> Iterator[Process]:
    process = Process(store.url)
    yield process
    assert process.stop() == 0


@pytest.fixture
async def served(shared: Process, redis_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=shared.address, timeout=20) as client:
        yield client


async def described(broker: Broker, description: str) -> None:
    """Give the monitor a description, and say that something changed."""
    changed = msgspec.structs.replace(await broker.monitors.get("m"), description=description)
    await broker.connection.ask("SET", "nplmon:{m}:monitor", msgspec.json.encode(changed))
    await broker.connection.ask("PUBLISH", "nplmon:{m}:updates", "r")


async def until(event: Any, wanted: str, **members: Any) -> dict[str, Any]:
    """Wait for an event with these members."""
    while True:
        _, kind, data = await event()
        if kind == wanted and all(data[name] == value for name, value in members.items()):
            return data


async def test_tiles_are_sent_as_they_change(
    served: httpx.AsyncClient, monitor: dict[str, Any], workers: Workers, client: httpx.AsyncClient
) -> None:
    await another(client, "a")
    async with following(served, "/v1/events") as event, following(served, "/v1/events") as other:
        _, kind, hello = await event()
        assert (kind, set(hello)) == ("hello", {"now", "version"})
        assert {(await event())[2]["monitor"] for _ in range(2)} == {"a", "m"}
        await until(other, "tile", monitor="m")
        await client.post(PUSH, content=npy(events(20)), headers={"Content-Type": NPY})
        await workers.finish()
        began = time.monotonic()
        await workers.apply(values=[4.0], updated_at=time.time(), **DECIDED)
        tile = await until(event, "tile", monitor="m", sequence=1)
        assert time.monotonic() - began < ROUND_SECONDS / 2, "the news came by the channel"
        assert (tile["state"], tile["value"]) == ("ok", 12.0)
        assert await until(other, "tile", monitor="m", sequence=1) == tile
        await client.delete("/v1/monitors/m")
        assert await until(event, "gone") == {"monitor": "m"}
        await another(client, "m")
        assert (await until(event, "tile", monitor="m"))["state"] == "waiting"


async def test_what_becomes_stale_is_told(
    served: httpx.AsyncClient, monitor: dict[str, Any], workers: Workers, client: httpx.AsyncClient
) -> None:
    """Nothing is published when time passes: the board looks by itself."""
    await client.post(PUSH, content=npy(events(20)), headers={"Content-Type": NPY})
    await workers.finish()
    await workers.apply(updated_at=time.time() - 599, **DECIDED)
    async with following(served, "/v1/events") as event:
        assert (await until(event, "tile"))["state"] == "ok"
        assert (await until(event, "tile"))["state"] == "stale"


async def test_many_changes_make_few_events(
    served: httpx.AsyncClient, monitor: dict[str, Any], broker: Broker
) -> None:
    """A monitor that changes a hundred times in a second is looked at twice a second; the last change is told."""
    async with following(served, "/v1/events") as event:
        await until(event, "tile")
        received = []
        began = time.monotonic()
        for number in range(100):
            await described(broker, f"{number}")
            await asyncio.sleep(0.01)
        took = time.monotonic() - began
        while not received or received[-1] != "99":
            received.append((await until(event, "tile"))["description"])
        assert len(received) <= took / 0.5 + 3


async def test_a_ping_tells_the_time_also_when_nothing_changes(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "PING_SECONDS", 0.05)
    async with asyncio.timeout(10), aclosing(board.Board(broker).stream()) as stream:
        assert b"event: hello" in await anext(stream)
        said = [await anext(stream) for _ in range(2)]
    now = [float(re.fullmatch(rb'event: ping\ndata: {"now":([\d.]+)}\n\n', one)[1]) for one in said]  # type: ignore[index]
    assert 0.04 < now[1] - now[0] < 5


async def test_what_did_not_change_is_not_told(
    served: httpx.AsyncClient, monitor: dict[str, Any], broker: Broker
) -> None:
    async with following(served, "/v1/events") as event:
        first = await until(event, "tile")
        for _ in range(3):
            await described(broker, first["description"])
            await asyncio.sleep(0.6)
        await described(broker, "other")
        assert (await event())[2]["description"] == "other"


async def test_slow_reader_gets_the_newest(
    served: httpx.AsyncClient, shared: Process, monitor: dict[str, Any], broker: Broker
) -> None:
    """A reader that does not read makes nobody wait, and the tiles it misses do not wait for it.

    Each tile is made larger than the sockets' buffers together, so that the first write already blocks.
    """
    host, port = shared.address.removeprefix("http://").split(":")
    padding = "x" * 6_000_000
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        slow.connect((host, int(port)))
        slow.sendall(b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        async with following(served, "/v1/events") as event:
            await until(event, "tile")
            for number in range(1, 6):
                await described(broker, f"tile {number} {padding}")
                assert (await until(event, "tile"))["description"].startswith(f"tile {number} ")
        slow.settimeout(10)
        received = bytearray()
        while received.find(b"tile 5 ", max(0, len(received) - 7_000_000)) < 0:
            received += await asyncio.to_thread(slow.recv, 1_000_000)
    sent = [number for number in range(1, 6) if b"tile %d " % number in received]
    # The one being written, the one that waits for the write to end, and then the newest.
    assert len(sent) <= 3, f"tiles {sent} were queued"


@pytest.mark.slow
async def test_a_lost_subscription_loses_nothing(
    served: httpx.AsyncClient, monitor: dict[str, Any], broker: Broker
) -> None:
    async with following(served, "/v1/events") as event:
        await until(event, "tile")
        await broker.connection.ask("CLIENT", "KILL", "TYPE", "pubsub")
        async with asyncio.timeout(PING_SECONDS + ROUND_SECONDS):
            await served.post("/v1/monitors", json={"name": "b", "reference": "sm"})
            await until(event, "tile", monitor="b")


@pytest.mark.slow
async def test_store_may_go_and_come_back(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    process = Process(store.url)
    try:
        async with httpx.AsyncClient(base_url=process.address, timeout=20) as client:
            check_problem(await client.get("/v1/overview"), 503, "store-unreachable", "store")
            async with following(client, "/v1/events") as event:
                assert (await event())[1] == "hello"
                assert await until(event, "store") == {"reachable": False}
                store.start()
                assert await until(event, "store") == {"reachable": True}
                assert await overview(client) is not None
                await client.put(
                    "/v1/references/sm?features=pt,eta",
                    content=npy(events(500)),
                    headers={"Content-Type": NPY},
                )
                await client.post("/v1/monitors", json={"name": "m", "reference": "sm"})
                assert (await until(event, "tile"))["monitor"] == "m"
                await asyncio.to_thread(store.stop)
                assert await until(event, "store") == {"reachable": False}
                answer = await client.get("/v1/overview")
                check_problem(answer, 503, "store-unreachable", "store")
                assert answer.headers["retry-after"] == "1"
                await asyncio.to_thread(store.start)
                assert await until(event, "store") == {"reachable": True}
        assert process.stop() == 0
    finally:
        if process.process.poll() is None:
            process.process.kill()
            process.process.communicate()
        store.stop()
