"""A service with real processes, started for one measurement."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPLMON_THREADS"), "1")
PATIENCE = 120.0  # s, for the start


@dataclass(frozen=True)
class Running:
    """A service: its process, and where it listens."""

    pid: int
    url: str
    metrics: dict[str, str]
    """Address by name of the role."""


@contextmanager
def service(trainers: int = 1, **settings: str) -> Iterator[str]:
    """Run a service, and give the API's address; see `running`."""
    with running(trainers, **settings) as found:
        yield found.url


@contextmanager
def running(trainers: int = 1, **settings: str) -> Iterator[Running]:
    """Run `nplmon up` on a directory of its own, each trainer with one thread.

    Raises
    ------
    TimeoutError
        If it is not ready in time; its last words are in the message.
    """
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        record, log = Path(folder) / "up.json", Path(folder) / "up.log"
        command = [sys.executable, "-m", "nplmon.cli", "up", "--port", "0", "--data-dir", folder]
        with log.open("w", encoding="utf-8") as words:
            process = subprocess.Popen(
                [*command, "--trainers", str(trainers)],
                env=os.environ | ONE_THREAD | settings,
                stdout=words,
                stderr=subprocess.STDOUT,
            )
        try:
            deadline = time.monotonic() + PATIENCE
            while (said := _said(record, trainers)) is None:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise TimeoutError(f"nplmon up is not ready: {log.read_text(encoding='utf-8')[-500:]}")
                time.sleep(0.1)
            yield Running(process.pid, said["api"], said["metrics"])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60.0)


def _said(record: Path, trainers: int) -> dict[str, Any] | None:
    """Give what the service says of itself, once all its trainers are there."""
    if not record.exists():
        return None
    found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    there = sum(name.startswith("trainer") for name in found["metrics"])
    return found if there == trainers else None
