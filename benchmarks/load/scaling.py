"""Fits per second with one trainer and with two, one thread each."""

from __future__ import annotations

import re
import signal
import time

import httpx
import numpy as np
import psutil
from benchmarks.clock import duration, quotient
from benchmarks.load.service import Running, running
from benchmarks.row import Goal, Row

from nplmon.client import Client

EVENTS, FEATURES = 5000, 5
CHUNKS = 150


def rows(repeats: int) -> list[Row]:
    """Measure on five Gaussian features, while the aggregator stands still."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(max(1, repeats // 3)):
        for trainers in (1, 2):
            seconds[trainers].append(_per_chunk(trainers, CHUNKS if repeats > 1 else 40))
    return [
        Row(
            work="two trainers of one thread",
            compared="one trainer; fits per second",
            unit="x the rate",
            ratio=quotient(seconds[1], seconds[2]),
            goal=Goal(low=1.8),
            milliseconds=duration(seconds[2]),
            compared_milliseconds=duration(seconds[1]),
            note="leases, fits and results; the aggregator, which needs a core of its own, stands still",
        )
    ]


def _per_chunk(trainers: int, chunks: int) -> float:
    """Give seconds per chunk."""
    random = np.random.default_rng(3)
    with running(trainers) as service, Client(service.url) as client:
        client.put_reference("r", random.normal(size=(50_000, FEATURES)).astype(np.float32), list("abcde"))
        client.create_monitor("m", "r", kernel={"centres": 1000, "sigmas": [3.0]})

        def push(run: str, count: int) -> None:
            for i in range(count):
                events = random.normal(size=(EVENTS, FEATURES)).astype(np.float32)
                client.push("m", run, events, chunk=f"c{i}")

        push("warm", 4 * trainers)
        client.wait_applied("m", "warm", 4 * trainers, timeout=600.0)
        aggregator = _child(service, "nplmon.aggregator")
        aggregator.send_signal(signal.SIGSTOP)
        end = _fitted(service) + chunks
        push("timed", chunks)
        # What was fitted while the producer took its part of the cores does not count.
        begin = _fitted(service) + 2 * trainers
        first = _when(service, begin)
        seconds = _when(service, end) - first
        aggregator.send_signal(signal.SIGCONT)
    return seconds / (end - begin)


def _child(service: Running, name: str) -> psutil.Process:
    return next(one for one in psutil.Process(service.pid).children() if name in " ".join(one.cmdline()))


def _fitted(service: Running) -> int:
    """Count what all trainers have finished."""
    total = 0.0
    for name, address in service.metrics.items():
        if name.startswith("trainer"):
            text = httpx.get(address, trust_env=False).text
            pattern = r'^nplmon_chunks_processed_total\{.*outcome="finished".*\} (\S+)$'
            total += sum(map(float, re.findall(pattern, text, re.MULTILINE)))
    return int(total)


def _when(service: Running, count: int) -> float:
    """Wait until so many are finished, and give the time.

    Raises
    ------
    TimeoutError
        If they are not within ten minutes.
    """
    deadline = time.monotonic() + 600.0
    while _fitted(service) < count:
        if time.monotonic() > deadline:
            message = f"not {count} fits within ten minutes"
            raise TimeoutError(message)
        time.sleep(0.02)
    return time.monotonic()
