"""What the dashboard asks of the API: `python -m benchmarks.dashboard` measures it with a store of its own.

A store is filled with monitors that have a long history each, as the aggregator writes it; the API runs as a process
beside it. Times are of the clock on the wall, processor times those of the API's process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from benchmarks.dashboard_store import entry, fill, snapshot
from benchmarks.machine import machine
from redis import Redis

from nplmon.broker.embedded import EmbeddedStore

PROGRAM = "from nplmon.api import serve; from nplmon.settings import Settings; serve(Settings())"
TICKS = os.sysconf("SC_CLK_TCK")


class Api:
    """The API as a process."""

    def __init__(self, store: EmbeddedStore) -> None:
        environment = {
            **os.environ,
            "NPLMON_REDIS_URL": store.url,
            "NPLMON_PORT": "0",
            "NPLMON_LOG_FORMAT": "json",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env=environment, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        while "address" not in (line := json.loads(self.process.stderr.readline())):
            pass
        self.address: str = line["address"]

    def processor_seconds(self) -> float:
        """Give the processor time that it has used, in s."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.communicate(timeout=30)


def timed(api: Api, client: httpx.Client, path: str, repeats: int) -> dict[str, float]:
    """Give median and longest time of a request and the API's mean processor time, in s, and the answer's bytes."""
    times, size, used = [], 0, api.processor_seconds()
    for _ in range(repeats):
        began = time.perf_counter()
        answer = client.get(path)
        times.append(time.perf_counter() - began)
        assert answer.status_code == 200, answer.text
        size = len(answer.content)
    used = (api.processor_seconds() - used) / repeats
    return {"median": statistics.median(times), "longest": max(times), "processor": used, "bytes": size}


async def follow(address: str, told: dict[str, list[float]], whole: asyncio.Event, monitors: int) -> None:
    """Follow the events, and note when each monitor's tile comes."""
    complete = set()
    async with (
        httpx.AsyncClient(base_url=address, timeout=None) as client,  # noqa: S113 (a stream has no end)
        client.stream("GET", "/v1/events") as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("data: ") and '"sparkline"' in line:
                tile = json.loads(line.removeprefix("data: "))
                told[tile["monitor"]].append(time.perf_counter())
                if tile["sparkline"]["sequence"]:
                    complete.add(tile["monitor"])
                if len(complete) == monitors:
                    whole.set()


async def live(api: Api, redis: Redis, options: argparse.Namespace) -> dict[str, float]:
    """Let readers follow while monitors change, and measure what that costs the API and how late the news is."""
    monitors, chunks, seconds = options.monitors, options.chunks, options.seconds
    names = [f"monitor-{number:02d}" for number in range(monitors)]
    told: list[dict[str, list[float]]] = [{name: [] for name in names} for _ in range(options.readers)]
    ready = [asyncio.Event() for _ in range(options.readers)]
    began = time.perf_counter()
    following = [
        asyncio.create_task(follow(api.address, notes, whole, monitors))
        for notes, whole in zip(told, ready, strict=True)
    ]
    await asyncio.gather(*(whole.wait() for whole in ready))
    whole_after = time.perf_counter() - began
    draw = random.Random(2)  # noqa: S311 (numbers to measure with)
    before_idle, at = api.processor_seconds(), time.perf_counter()
    await asyncio.sleep(seconds / 2)
    idle = (api.processor_seconds() - before_idle) / (time.perf_counter() - at)
    for notes in told:
        for times in notes.values():
            times.clear()
    changes: list[tuple[str, float]] = []
    sequences = dict.fromkeys(names, chunks)
    bodies = {name: snapshot(name, chunks + 1, draw) for name in names}
    line = entry(chunks + 1, draw)
    before, at = api.processor_seconds(), time.perf_counter()
    for number in range(round(seconds * options.changes)):
        name = names[number % monitors]
        sequences[name] += 1
        prefix = f"nplmon:{{{name}}}"
        body = bodies[name].replace(*_numbers(chunks + 1, sequences[name]))
        with redis.pipeline() as pipe:
            pipe.set(f"{prefix}:run:r:snapshot", body)
            pipe.rpush(f"{prefix}:run:r:history", line.replace(*_numbers(chunks + 1, sequences[name])))
            pipe.hset(f"{prefix}:run:r", mapping={"accepted": sequences[name], "applied": sequences[name]})
            pipe.publish(f"{prefix}:updates", "r")
            pipe.execute()
        changes.append((name, time.perf_counter()))
        await asyncio.sleep(max(0.0, at + (number + 1) / options.changes - time.perf_counter()))
    took = time.perf_counter() - at
    used = (api.processor_seconds() - before) / took
    await asyncio.sleep(1.0)
    delays = [
        next((moment for moment in notes[name] if moment > changed), changed + 60.0) - changed
        for notes in told
        for name, changed in changes
    ]
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    return {
        "whole after": whole_after,
        "idle processor": idle,
        "processor": used,
        "changes per second": len(changes) / took,
        "delay": statistics.median(delays),
        "longest delay": max(delays),
    }


def _numbers(before: int, after: int) -> tuple[bytes, bytes]:
    """Give what stands for a sequence number, and what shall stand there."""
    return b'"sequence":%d' % before, b'"sequence":%d' % after


async def held(address: str, path: str) -> tuple[float, float]:
    """Give the longest time that /healthz took while a path was asked for again and again, and without, in s."""
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:

        async def longest(until: asyncio.Task[Any]) -> float:
            found = 0.0
            while not until.done():
                began = time.perf_counter()
                await client.get("/healthz")
                found = max(found, time.perf_counter() - began)
                await asyncio.sleep(0.002)
            return found

        async def ask() -> None:
            async with httpx.AsyncClient(base_url=address, timeout=60) as other:
                for _ in range(5):
                    (await other.get(path)).raise_for_status()

        alone = await longest(asyncio.create_task(asyncio.sleep(1.0)))
        return await longest(asyncio.create_task(ask())), alone


def measured(options: argparse.Namespace, directory: Path) -> list[tuple[str, str]]:
    """Measure all; give rows of what and how much."""
    store = EmbeddedStore(directory)
    store.start()
    redis = Redis(unix_socket_path=str(store.socket))
    try:
        redis.config_set("appendonly", "no")  # nothing that is measured here writes much
        line = fill(redis, options.monitors, options.chunks)
        api = Api(store)
        try:
            return [("size of a line of the history", f"{line / 1e3:.1f} kB"), *_asked(api, redis, options)]
        finally:
            api.stop()
    finally:
        redis.close()
        store.stop()


def _asked(api: Api, redis: Redis, options: argparse.Namespace) -> list[tuple[str, str]]:
    with httpx.Client(base_url=api.address, timeout=60) as client:
        cold = timed(api, client, "/v1/overview", 1)
        found = asyncio.run(live(api, redis, options))
        rows = [
            ("`GET /v1/overview`, the first after a start", _told(cold)),
            ("all histories read once, for the sparklines", f"{found['whole after']:.1f} s"),
            ("`GET /v1/overview`, later", _told(timed(api, client, "/v1/overview", 20))),
            (
                f"processor, {options.readers} readers, nothing changes",
                f"{100 * found['idle processor']:.0f} %",
            ),
            (
                f"processor, {options.readers} readers, {found['changes per second']:.0f} changes a second",
                f"{100 * found['processor']:.0f} %",
            ),
            (
                "from a change to its event",
                f"{1e3 * found['delay']:.0f} ms, at most {1e3 * found['longest delay']:.0f} ms",
            ),
        ]
        for path in ("course", "course.csv", "course?points=10000", "history", "statistic"):
            address = f"/v1/monitors/monitor-00/{path}"
            rows.append((f"`GET .../{path}`", _told(timed(api, client, address, 10))))
        rows.append(("`GET /v1/system`", _told(timed(api, client, "/v1/system", 10))))
    busy, alone = asyncio.run(held(api.address, "/v1/monitors/monitor-00/course"))
    much = f"{1e3 * busy:.0f} ms, else {1e3 * alone:.0f} ms"
    return [*rows, ("longest answer of `/healthz` while courses are read", much)]


def _told(times: dict[str, float]) -> str:
    median, longest = 1e3 * times["median"], 1e3 * times["longest"]
    among = "" if median == longest else f", at most {longest:.0f} ms"
    return (
        f"{median:.0f} ms{among}; processor {1e3 * times['processor']:.0f} ms; {times['bytes'] / 1e3:,.0f} kB"
    )


def main() -> None:
    """Measure, and print a table in markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--monitors", type=int, default=50)
    parser.add_argument("--chunks", type=int, default=10_000, help="in the history of each monitor")
    parser.add_argument("--readers", type=int, default=10, help="of the events")
    parser.add_argument("--changes", type=float, default=50.0, help="of all monitors together, in a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="for which monitors change")
    options = parser.parse_args()
    about = machine()
    with tempfile.TemporaryDirectory() as directory:
        rows = measured(options, Path(directory))
    print(
        f"{about['date']}, {about['cores']} cores of an {about['processor']}, Python {about['python']}, load "
        f"{about['load']}; {options.monitors} monitors with {options.chunks:,} chunks each.\n"
    )
    print("| what | measured |\n|---|---|")
    for what, much in rows:
        print(f"| {what} | {much} |")


if __name__ == "__main__":
    main()
