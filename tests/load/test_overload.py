"""Ten times more than the service can do: it says so, stays small, loses nothing, and is itself again afterwards."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest
from tests.chaos.roles import BUSY, BUSY_SECONDS
from tests.chaos.stage import Stage

from nplmon.client import Busy

BACKLOG = 50
EVENTS = 25_000
PRODUCERS = 4
SECONDS = 12.0
PUSH = "/v1/monitors/m/runs/{}/chunks"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("load"), appendfsync="everysec", backlog=BACKLOG)
    try:
        stage.start("api", "trainer-1", "aggregator-1")
        stage.make_monitor()
        yield stage
    finally:
        stage.clean_up()


def body(first: float = 1.0) -> bytes:
    """Give a chunk of 100 kB; its first event tells the trainer to be busy."""
    events = np.random.default_rng(8).exponential(size=(EVENTS, 1)).astype(np.float32)
    events[0, 0] = first
    file = io.BytesIO()
    np.save(file, events)
    return file.getvalue()


class Flood:
    """Producers that push as fast as they are answered, and never wait as they are told to."""

    def __init__(self, url: str) -> None:
        self._url = url + PUSH.format("flood")
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._push, args=(i,)) for i in range(PRODUCERS)]
        self.accepted: list[str] = []
        self.refused = 0
        self.seconds: list[float] = []
        self.strange: list[str] = []

    def _push(self, producer: int) -> None:
        content, i = body(BUSY), 0
        with httpx.Client(timeout=20.0, trust_env=False) as client:
            while not self._over.is_set():
                name, i = f"p{producer}-{i}", i + 1
                began = time.perf_counter()
                headers = {"Content-Type": "application/x-npy", "Nplmon-Chunk-Id": name}
                answer = client.post(self._url, content=content, headers=headers)
                self.seconds.append(time.perf_counter() - began)
                if answer.status_code == 202:
                    self.accepted.append(name)
                elif answer.status_code == 429 and int(answer.headers["Retry-After"]) >= 1:
                    self.refused += 1
                else:
                    self.strange.append(f"{answer.status_code} {answer.text}")

    def run(self, seconds: float) -> None:
        for thread in self._threads:
            thread.start()
        time.sleep(seconds)
        self._over.set()
        for thread in self._threads:
            thread.join()


def test_ten_times_the_capacity(stage: Stage) -> None:
    """Four producers for twelve seconds; a trainer that needs at least 0.1 s for a chunk; a reader that never reads.

    The backlog is at most what is allowed. No process grows by more than 100 MB, and the server by no more than what
    the chunks that may wait take up twice. All that was accepted is in the statistic afterwards, and a chunk that
    comes then is taken at once.
    """
    sizes = {name: psutil.Process(stage.pid(name)).memory_info().rss for name in stage.living()}
    with stage.redis() as redis:
        before = redis.info("memory")["used_memory"]
    place = urlsplit(stage.url)
    with socket.create_connection((place.hostname, place.port)) as reader:
        reader.sendall(b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        flood = Flood(stage.url)
        most: list[int] = []
        watching = threading.Event()

        def watch() -> None:
            with stage.redis() as redis:
                while not watching.wait(0.1):
                    most.append(redis.info("memory")["used_memory"])

        watcher = threading.Thread(target=watch)
        watcher.start()
        flood.run(SECONDS)
        watching.set()
        watcher.join()
        grown = {name: psutil.Process(stage.pid(name)).memory_info().rss - sizes[name] for name in sizes}
    pushed = len(flood.accepted) + flood.refused
    capacity = SECONDS / BUSY_SECONDS
    p50, p99 = 1000 * np.quantile(flood.seconds, [0.5, 0.99])
    print(f"pushed {pushed}, accepted {len(flood.accepted)}, refused {flood.refused}")
    print(f"answers: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    print("grown by MB:", {name: round(size / 1e6, 1) for name, size in grown.items()})
    print(f"server grown by MB: {(max(most) - before) / 1e6:.1f}")
    assert flood.strange == []
    assert pushed > 10 * capacity
    assert BACKLOG < len(flood.accepted) <= BACKLOG + capacity + 1
    assert max(grown.values()) < 100e6
    assert max(most) - before < 2 * (BACKLOG + 10) * 4 * EVENTS + 20e6

    with stage.client() as client:
        receipt = client.push("m", "flood", np.ones((40, 1), dtype=np.float32), chunk="after")
        client.wait_applied("m", "flood", receipt.sequence, timeout=60.0)
        run = client.run("m", "flood")
        names = {line.chunk for line in client.history("m", "flood", limit=10_000).entries}
    assert names == {*flood.accepted, "after"}
    assert (run.applied, run.dead) == (len(names), 0)


def test_a_full_store_refuses_and_loses_nothing(stage: Stage) -> None:
    """Past maxmemory a chunk is refused with 503 and Retry-After; what was accepted is counted, then the rest."""
    content = body()
    headers = {"Content-Type": "application/x-npy"}
    with stage.redis() as redis, httpx.Client(base_url=stage.url, timeout=20.0, trust_env=False) as client:
        redis.config_set("maxmemory", redis.info("memory")["used_memory"] + 3_000_000)
        accepted, refused = [], None
        for i in range(100):
            answer = client.post(
                PUSH.format("full"), content=content, headers={**headers, "Nplmon-Chunk-Id": f"c{i}"}
            )
            if answer.status_code != 202:
                refused = answer
                break
            accepted.append(f"c{i}")
        assert refused is not None
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/store-unreachable")
        assert int(refused.headers["Retry-After"]) >= 1
        assert "full" in refused.json()["remedy"]
        assert accepted
        redis.config_set("maxmemory", 0)
        with stage.client() as ours:
            last = ours.push("m", "full", np.ones((40, 1), dtype=np.float32), chunk="last")
            ours.wait_applied("m", "full", last.sequence, timeout=60.0)
            names = [line.chunk for line in ours.history("m", "full", limit=10_000).entries]
    assert names == [*accepted, "last"]


def test_the_client_waits_as_it_is_told_to(stage: Stage) -> None:
    """Without a trainer the backlog fills; the client of the library goes on asking until its deadline, and says so."""
    stage.kill("trainer-1")
    content = np.ones((40, 1), dtype=np.float32)
    with stage.client() as client:
        for i in range(BACKLOG):
            client.push("m", "waiting", content, chunk=f"c{i}")
        with pytest.raises(Busy), stage.client(deadline=2.0) as hasty:
            hasty.push("m", "waiting", content, chunk="one-too-many")
        stage.start_role("trainer-1")
        receipt = client.push("m", "waiting", content, chunk="one-too-many")
        client.wait_applied("m", "waiting", receipt.sequence, timeout=60.0)
        assert client.run("m", "waiting").applied == BACKLOG + 1
