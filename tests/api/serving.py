"""The service as a process of its own, and how its events are read."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

PROGRAM = "from nplmon.api import serve; from nplmon.settings import Settings; serve(Settings())"


class Process:
    """`serve` in a process of its own."""

    def __init__(self, redis_url: str) -> None:
        environment = {
            **os.environ,
            "NPLMON_REDIS_URL": redis_url,
            "NPLMON_PORT": "0",
            "NPLMON_LOG_FORMAT": "json",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM], env=environment, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        self.lines: list[dict[str, Any]] = []
        while "address" not in (line := json.loads(self.process.stderr.readline())):
            self.lines.append(line)
        self.lines.append(line)
        self.address: str = line["address"]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=20)
        assert "Traceback" not in rest, rest
        return self.process.returncode


@asynccontextmanager
async def following(client: httpx.AsyncClient, path: str = "/v1/monitors/m/events") -> AsyncIterator[Any]:
    """Give a coroutine that waits for the next event and gives (id, event, data)."""
    async with client.stream("GET", path) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        pieces = answer.aiter_bytes()
        waiting = bytearray()

        async def following_event() -> tuple[str, str, dict[str, Any]]:
            async with asyncio.timeout(20):
                while True:
                    looked_at = 0
                    while (end := waiting.find(b"\n\n", max(0, looked_at - 1))) < 0:
                        looked_at = len(waiting)
                        try:
                            waiting.extend(await anext(pieces))
                        except StopAsyncIteration:
                            raise EOFError from None
                    lines = waiting[:end].decode().split("\n")
                    del waiting[: end + 2]
                    members = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
                    if "data" in members:
                        return members.get("id", ""), members["event"], json.loads(members["data"])

        yield following_event
