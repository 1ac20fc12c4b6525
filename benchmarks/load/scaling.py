"""Chunks per second with one trainer and with two, one thread each."""

from __future__ import annotations

import numpy as np
from benchmarks.clock import quotient
from benchmarks.load.service import service
from benchmarks.row import Goal, Row

from nplmon.client import Client

EVENTS, FEATURES = 5000, 5
CHUNKS = 24


def rows(repeats: int) -> list[Row]:
    """Measure on five Gaussian features, where a fit takes most of the time of a chunk."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(max(1, repeats // 3)):
        for trainers in (1, 2):
            seconds[trainers].append(_per_chunk(trainers, CHUNKS if repeats > 1 else 6))
    return [
        Row(
            work="two trainers of one thread",
            compared="one trainer; chunks per second",
            unit="x the rate",
            ratio=quotient(seconds[1], seconds[2]),
            goal=Goal(low=1.8),
            note="from the first result to the last; API, aggregator and server on the same two cores",
        )
    ]


def _per_chunk(trainers: int, chunks: int) -> float:
    random = np.random.default_rng(3)
    with service(trainers) as url, Client(url) as client:
        client.put_reference("r", random.normal(size=(50_000, FEATURES)).astype(np.float32), list("abcde"))
        client.create_monitor("m", "r", kernel={"centres": 1000, "sigmas": [3.0]})
        for run, count in (("warm", 2 * trainers), ("timed", chunks)):
            for i in range(count):
                client.push(
                    "m", run, random.normal(size=(EVENTS, FEATURES)).astype(np.float32), chunk=f"c{i}"
                )
            client.wait_applied("m", run, count, timeout=600.0)
        lines = client.history("m", "timed", limit=10_000).entries
    applied = sorted(line.applied_at for line in lines)
    skip = 2 * trainers
    return (applied[-1] - applied[skip - 1]) / (len(applied) - skip)
