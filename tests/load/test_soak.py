"""A shift at 70 % of what the service can do: memory, delay and keys stay as they are.

`SOAK_SECONDS` says for how long: a minute here, hours by `make soak`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import psutil
import pytest
from tests.chaos.stage import Stage

from nplmon.client import Client

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
LOAD = 0.7
RUN = 200
"""Chunks of a run; each run is closed, and the next one opened by its first chunk."""
CHUNK = np.random.default_rng(9).exponential(size=(200, 1)).astype(np.float32)
PARTS = 4
LONG = 600.0
"""From so many seconds on the delay is judged too."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 240)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("soak"), appendfsync="everysec", backlog=1000)
    try:
        stage.start("api", "trainer-1", "aggregator-1")
        stage.make_monitor()
        yield stage
    finally:
        stage.clean_up()


@dataclass
class Part:
    """What was seen in one part of the time."""

    chunks: int = 0
    ages: list[float] = field(default_factory=list)
    """From the acceptance of a chunk to its application, s."""
    resident: dict[str, int] = field(default_factory=dict)
    """At its end, bytes."""
    server: int = 0
    keys: int = 0


class Shift:
    """One producer with an even pace."""

    def __init__(self, stage: Stage, client: Client) -> None:
        self._stage = stage
        self._client = client
        self.pushed = 0

    def push(self) -> None:
        """Push the next chunk; the last one of a run closes it."""
        run = f"run-{self.pushed // RUN}"
        self._client.push("m", run, CHUNK, chunk=f"c{self.pushed}")
        self.pushed += 1
        if self.pushed % RUN == 0:
            self._client.close_run("m", run)

    def wait(self) -> None:
        """Wait until all is in the statistic."""
        run = f"run-{(self.pushed - 1) // RUN}"
        self._client.wait_applied("m", run, (self.pushed - 1) % RUN + 1, timeout=120.0)

    def capacity(self, chunks: int) -> float:
        """Measure how many chunks a second the service can do."""
        began = time.monotonic()
        for _ in range(chunks):
            self.push()
        self.wait()
        return chunks / (time.monotonic() - began)

    def part(self, seconds: float, rate: float) -> Part:
        """Push at a pace for a while, and look."""
        found, first, began = Part(), self.pushed, time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            if found.chunks < passed * rate:
                self.push()
                found.chunks += 1
            else:
                time.sleep(0.002)
        self.wait()
        for number in range(first // RUN, (self.pushed - 1) // RUN + 1):
            for line in self._client.history("m", f"run-{number}", limit=10_000).entries:
                if number * RUN + line.sequence > first:
                    found.ages.append(line.applied_at - line.accepted_at)
        found.resident = {
            name: psutil.Process(self._stage.pid(name)).memory_info().rss for name in self._stage.living()
        }
        with self._stage.redis() as redis:
            found.server = redis.info("memory")["used_memory"]
            found.keys = redis.dbsize()
        return found


def test_a_shift(stage: Stage) -> None:
    """Four equal parts, after a warm-up that measures the capacity.

    From the second part to the last no process grows by more than 10 MB and 5 %; the server grows with the history
    alone: by at most 30 kB a chunk, and by a constant number of keys for each run; the delay of a chunk in the last
    part is at most twice that in the first, by the median, or a twentieth of a second; this is judged where nothing
    else runs on the machine, in `make soak`.
    """
    with stage.client() as client:
        shift = Shift(stage, client)
        shift.capacity(2 * RUN)
        rate = LOAD * shift.capacity(2 * RUN)
        parts = [shift.part(SECONDS / PARTS, rate) for _ in range(PARTS)]
    for part in parts:
        p50, p99 = 1000 * np.quantile(part.ages, [0.5, 0.99])
        sizes = {name: round(size / 1e6, 1) for name, size in part.resident.items()}
        print(
            f"{part.chunks} chunks, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {sizes} MB, server {part.server / 1e6:.1f}"
        )
    _, second, _, last = parts
    for name, size in last.resident.items():
        assert size - second.resident[name] < 10e6 + 0.05 * second.resident[name], name
    chunks = sum(part.chunks for part in parts[2:])
    assert last.server - second.server < 30e3 * chunks
    # Of each run: itself, receipts, fits, state, snapshot, history, and for the one that is open the events.
    assert last.keys - second.keys <= 7 * (chunks / RUN + 1)
    if SECONDS >= LONG:
        before, after = (float(np.median(part.ages)) for part in (parts[0], last))
        assert after < max(2 * before, 0.05)
