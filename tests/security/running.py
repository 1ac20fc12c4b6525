"""Real processes: commands, and an API behind a port."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

NPLMON = [sys.executable, "-c", "import nplmon.cli; nplmon.cli.main()"]


def environment(**settings: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NPLMON_")}
    return kept | {"NPLMON_LOG_FORMAT": "json"} | settings


def command(*arguments: str, check: bool = True, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    ended = subprocess.run(
        [*NPLMON, *arguments],
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0 or not check, ended.stderr
    return ended


class Api:
    """`nplmon api` on a free port of this machine."""

    def __init__(self, redis_url: str, *options: str, **settings: str) -> None:
        self._arguments = [*NPLMON, "api", "--port", "0", "--redis-url", redis_url, *options]
        self._environment = environment(**settings)
        self._output = Path(tempfile.mkstemp(suffix=".log")[1])
        self.url = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def said(self) -> str:
        """All that it wrote."""
        return self._output.read_text(encoding="utf-8")

    def __enter__(self) -> Self:
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                self._arguments, env=self._environment, stdout=output, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 30.0
        while not self.url:
            assert self._process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            for line in self.said.splitlines():
                if line.startswith("{") and (told := json.loads(line)).get("event") == "listening":
                    self.url = told["address"].replace("0.0.0.0", "127.0.0.1")  # noqa: S104
            time.sleep(0.02)
        self.http = httpx.Client(base_url=self.url, timeout=60.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self._process.terminate()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            self._output.unlink()

    def get(self, path: str, token: str | None = None) -> httpx.Response:
        return self.http.get(path, headers={"Authorization": f"Bearer {token}"} if token else {})
