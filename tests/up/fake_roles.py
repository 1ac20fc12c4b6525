"""Roles that take no time to start: each gives its sign of life, keeps a journal and stops at SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from nplmon.broker import Broker
from nplmon.broker.messages import Worker
from nplmon.settings import Settings

PLAYGROUND = Path(os.environ.get("FAKE_ROLES", "."))


def asked(what: str) -> bool:
    """Tell whether the test asked for some misbehaviour by putting a file."""
    return (PLAYGROUND / what).exists()


def note(role: str, what: str) -> None:
    """Write one line of the journal, in one write, so that lines of several processes do not mix."""
    with (PLAYGROUND / "journal").open("a", encoding="utf-8") as journal:
        journal.write(f"{role} {what} {os.getpid()}\n")


def wait_for_sigterm(role: str) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    note(role, "started")
    while not stop.wait(0.05) or asked(f"{role}-stubborn"):
        time.sleep(0.01)
    note(role, "stopping")
    time.sleep(0.1)  # whoever does not wait for us is then seen in the journal
    note(role, "stopped")


def api(settings: Settings) -> None:
    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((settings.host, settings.port), Ready)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    wait_for_sigterm("api")


def worker(role: str, settings: Settings) -> None:
    if asked(f"{role}-broken"):
        raise ModuleNotFoundError(f"no module for {role}")
    if asked(f"{role}-complains"):
        sys.stderr.write('{"event": "disk is nearly full", "level": "warning", "role": "x", "free_mb": 3}\n')
        sys.stderr.write('{"event": "all is well", "level": "info", "role": "x"}\n')
    with socket.create_server((settings.host, settings.metrics_port)) as metrics:
        now = time.time()
        sign = Worker(
            name=f"{role}-{os.getpid()}",
            role=role,  # type: ignore[arg-type]  # one of the two
            device="cpu",
            host=socket.gethostname(),
            pid=os.getpid(),
            metrics_port=metrics.getsockname()[1],
            started_at=now,
            seen_at=now,
        )

        async def beat() -> None:
            broker = Broker.connect(settings.redis_url or "")
            await broker.workers.beat(sign, 60.0)
            await broker.close()

        asyncio.run(beat())
        wait_for_sigterm(role)


def trainer(settings: Settings) -> None:
    worker("trainer", settings)


def aggregator(settings: Settings) -> None:
    worker("aggregator", settings)
