"""A schedule played on the stage."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.chaos.schedule import Event
from tests.chaos.stage import Stage

from nplmon.client.records import HistoryEntry


class Play:
    """One run: two producers that send the same chunks in part, and the faults that befall everyone.

    Parameters
    ----------
    chunks:
        All chunks by name; each producer sends three quarters, so that half of them are sent by both.
    """

    def __init__(self, stage: Stage, directory: Path, run: str, chunks: dict[str, np.ndarray]) -> None:
        self._stage = stage
        self._directory = directory
        self.run = run
        self._chunks = chunks
        names = list(chunks)
        quarter = len(names) // 4
        self._shares = {
            "producer-1": {name: chunks[name] for name in names[: 3 * quarter]},
            "producer-2": {name: chunks[name] for name in reversed(names[quarter:])},
        }
        self._returns: list[threading.Timer] = []

    def begin(self) -> None:
        """Start the producers."""
        for name in self._shares:
            self._bring_back(name)

    def suffer(self, events: list[Event]) -> None:
        """Let the faults happen, and everyone be back at the end."""
        for event in events:
            time.sleep(event.after)
            self._befall(event)
        for timer in self._returns:
            timer.join()

    def _befall(self, event: Event) -> None:
        if event.fault == "kill":
            self._stage.kill(event.victim)
            self._later(event.seconds, lambda: self._bring_back(event.victim))
        else:
            pid = self._stage.signal(event.victim, signal.SIGSTOP)
            if pid is not None:
                self._later(event.seconds, lambda: _go_on(pid))

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, act)
        timer.start()
        self._returns.append(timer)

    def _bring_back(self, name: str) -> None:
        if name == "store":
            self._stage.start_store()
        elif name in self._shares:
            if name not in self._done():
                self._stage.start_producer(name, self.run, self._shares[name])
        else:
            self._stage.start_role(name)

    def _done(self) -> set[str]:
        return {name for name, share in self._shares.items() if len(self._written(name)) >= len(share)}

    def _written(self, producer: str) -> dict[str, int]:
        """Give the receipts that a producer wrote down; it may have been killed in the middle of a line."""
        book = self._directory / f"{self.run}-{producer}.receipts"
        found: dict[str, int] = {}
        for line in book.read_text(encoding="utf-8").splitlines() if book.exists() else ():
            try:
                name, sequence = json.loads(line)
            except ValueError:
                continue
            # The first receipt is the receipt: another sequence would be a second chunk.
            assert found.setdefault(name, sequence) == sequence, (name, sequence, found[name])
        return found

    def wait_sent(self, seconds: float) -> dict[str, int]:
        """Wait until both producers have all their receipts; give sequence numbers by chunk."""
        deadline = time.monotonic() + seconds
        while self._done() != set(self._shares):
            assert time.monotonic() < deadline, "not sent"
            for name in self._shares.keys() - self._done():
                if self._stage.pid(name) is None:
                    self._bring_back(name)
            time.sleep(0.05)
        one, two = (self._written(name) for name in self._shares)
        assert all(one[name] == two[name] for name in one.keys() & two.keys())
        return one | two

    def wait_applied(self, seconds: float) -> None:
        """Wait until all chunks are in the statistic."""
        deadline = time.monotonic() + seconds
        with self._stage.client() as client:
            while (run := client.run("m", self.run)).applied + run.dead < len(self._chunks):
                assert time.monotonic() < deadline, run
                time.sleep(0.1)

    def history(self) -> list[HistoryEntry]:
        """Give all lines of the history."""
        with self._stage.client() as client:
            return list(client.history("m", self.run, limit=10_000).entries)


def _go_on(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # killed while it was paused
        os.kill(pid, signal.SIGCONT)
