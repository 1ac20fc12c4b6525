"""Chunks of 800 kB stored: what comes in over HTTP beside what bare XADD reaches."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
from benchmarks.clock import Subject, duration, interleaved, quotient
from benchmarks.load.ingest import FEATURES, HEADERS, REQUESTS, body
from benchmarks.load.service import service
from benchmarks.row import Goal, Row
from redis import Redis

from nplmon.broker.embedded import EmbeddedStore
from nplmon.client import Client


def rows(repeats: int) -> list[Row]:
    """Compare chunks taken over HTTP with bare XADD of the same bytes to a server like the service's, by the clock."""
    with service(trainers=1, NPLMON_BACKLOG_LIMIT="100000") as url, TemporaryDirectory() as folder:
        store = EmbeddedStore(Path(folder))
        store.start()
        with Client(url) as ours, httpx.Client(base_url=url, trust_env=False, timeout=60.0) as client:
            reference = np.random.default_rng(0).exponential(size=(2000, FEATURES)).astype(np.float32)
            ours.put_reference("r", reference, list("abcde"))
            ours.create_monitor("m", "r", kernel={"centres": 20, "sigmas": [3.0]})
            redis, number = Redis(unix_socket_path=str(store.socket)), iter(range(10**9))
            bodies = [body(i) for i in range(8)]

            def push() -> None:
                # Runs of their own, so that nothing waits for the aggregator.
                run = f"/v1/monitors/m/runs/r{next(number)}/chunks"
                for i in range(REQUESTS // 16):
                    client.post(run, content=bodies[i % len(bodies)], headers=HEADERS).raise_for_status()

            def xadd() -> None:
                for i in range(REQUESTS // 16):
                    redis.xadd("stream", {"body": bodies[i % len(bodies)]})

            def emptied() -> None:
                redis.delete("stream")

            units = REQUESTS // 16
            times = interleaved(
                {
                    "push": Subject(run=push, units=units, clock=time.perf_counter),
                    "xadd": Subject(run=xadd, units=units, clock=time.perf_counter, before=emptied),
                },
                repeats,
            )
            redis.close()
        store.stop()
    return [
        Row(
            work="push of 800 kB npy, stored",
            compared="bare redis-py XADD of the same bytes, unix socket; chunks per second",
            unit="of its rate",
            ratio=quotient(times["xadd"], times["push"]),
            goal=Goal(low=0.5),
            milliseconds=duration(times["push"]),
            compared_milliseconds=duration(times["xadd"]),
            note="one producer, one connection; appendfsync everysec on both; fits and aggregation beside it",
        )
    ]
