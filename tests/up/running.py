"""A started `nplmon up`, as a test sees it from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FAKE = [sys.executable, str(ROOT / "tests" / "up" / "fake_up.py")]
REAL = [sys.executable, "-c", "import nplmon.cli; nplmon.cli.main()", "up"]


def wait_until(true: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait for something to become true, and fail by name if it does not."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Up:
    """One process of `nplmon up` in a process group of its own, like the foreground job of a terminal."""

    def __init__(self, command: list[str], data_dir: Path, *options: str, **environment: str) -> None:
        self.data_dir = data_dir
        self.playground = data_dir.parent
        self.output = self.playground / f"up-{time.monotonic_ns()}.out"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("NPLMON_")}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--data-dir", str(data_dir), *options],
                cwd=ROOT,
                env=kept
                | {"PYTHONPATH": str(ROOT), "FAKE_ROLES": str(self.playground), "NPLMON_LOG_FORMAT": "json"}
                | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    @property
    def addresses(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.data_dir / "up.json").read_text(encoding="utf-8"))
        return record

    @property
    def targets(self) -> list[dict[str, Any]]:
        """What Prometheus reads."""
        file = self.data_dir / "prometheus-targets.json"
        targets: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        return targets

    def journal(self, *what: str) -> list[tuple[str, int]]:
        """Give role and process id of each line with one of these events, in order."""
        path = self.playground / "journal"
        lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
        return [
            (role, int(pid)) for role, event, pid in (line.split() for line in lines if line) if event in what
        ]

    def wait_ready(self, seconds: float = 20.0) -> None:
        def ready_or_gone() -> bool:
            assert self.process.poll() is None, self.said
            return "nplmon is ready" in self.said

        wait_until(ready_or_gone, "ready", seconds)

    def press_ctrl_c(self) -> None:
        """Do what a terminal does: SIGINT to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait_end(self, seconds: float = 30.0) -> int:
        return self.process.wait(seconds)

    def clean_up(self) -> None:
        """End what a failed test left: the parent, and through its lifeline the children."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
