"""From accepted to visible, as a reader of the event stream sees it, at 70 % of what the service can do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from benchmarks.clock import Figure
from benchmarks.load.service import service
from benchmarks.row import Goal, Row

from nplmon.client import Client

LOAD = 0.7
EVENTS = 2000
WARM, CHUNKS = 60, 400


def rows(repeats: int) -> list[Row]:
    """Measure at EXPO-1D: a reference of 200,000 events, 1000 centres, one width."""
    chunks = CHUNKS if repeats > 1 else 40
    with service() as url, Client(url) as client:
        random = np.random.default_rng(2)
        client.put_reference("r", random.exponential(size=(200_000, 1)).astype(np.float32), ["x"])
        client.create_monitor("m", "r", kernel={"centres": 1000, "sigmas": [0.7], "lambda": 1e-6})

        def push(run: str, i: int) -> float:
            body = random.exponential(size=(EVENTS, 1)).astype(np.float32)
            return client.push("m", run, body, chunk=f"c{i}").accepted_at

        client.wait_applied("m", "warm", _sent(push, "warm", WARM), timeout=300.0)
        began = time.monotonic()
        client.wait_applied("m", "full", _sent(push, "full", WARM), timeout=300.0)
        rate = LOAD * WARM / (time.monotonic() - began)
        seen = _Seen(url, chunks)
        accepted = {}
        for i in range(chunks):
            due = seen.began + i / rate
            time.sleep(max(0.0, due - time.monotonic()))
            accepted[i + 1] = push("paced", i)
        seen.wait()
        fits = [line.fit_seconds for line in client.history("m", "paced", limit=10_000).entries]
    ages = np.array([seen.at[number] - at for number, at in accepted.items()])
    fit = float(np.median([one for one in fits if one is not None]))
    p50, p99 = (float(np.quantile(ages, q)) for q in (0.5, 0.99))
    note = f"{chunks} chunks at {rate:.1f} a second; fit {1e3 * fit:.1f} ms"
    return [
        Row(
            work="accepted to visible, p50 less the fit",
            compared="",
            unit="ms",
            ratio=_only(1e3 * (p50 - fit)),
            goal=Goal(high=50.0),
            milliseconds=_only(1e3 * p50),
            compared_milliseconds=_only(1e3 * fit),
            note=note,
        ),
        Row(
            work="accepted to visible, p99",
            compared="its p50",
            unit="x the time",
            ratio=_only(p99 / p50),
            goal=Goal(high=2.0),
            milliseconds=_only(1e3 * p99),
            compared_milliseconds=_only(1e3 * p50),
            note=note,
        ),
    ]


def _sent(push: Callable[[str, int], float], run: str, chunks: int) -> int:
    for i in range(chunks):
        push(run, i)
    return chunks


def _only(value: float) -> Figure:
    return Figure(median=value, low=value, high=value, best=value)


class _Seen:
    """Reads the event stream, and remembers when each sequence number was first seen, in Unix seconds."""

    def __init__(self, url: str, chunks: int) -> None:
        self.at: dict[int, float] = {}
        self._url, self._chunks = url, chunks
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self._ready.wait(10.0)
        self.began = time.monotonic() + 0.5

    def _read(self) -> None:
        with Client(self._url) as client:
            self._ready.set()
            last = 0
            for snapshot in client.events("m"):
                if snapshot.run != "paced":
                    continue
                now = time.time()
                for number in range(last + 1, snapshot.sequence + 1):
                    self.at[number] = now
                last = max(last, snapshot.sequence)
                if last >= self._chunks:
                    return

    def wait(self) -> None:
        """Wait until all were seen."""
        self._thread.join(300.0)
