"""Real servers with users, and with TLS."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError


def redis_7(folder: Path) -> Path:
    """Give Redis 7 with TLS, which the Valkey of the wheel has not: Debian's redis-tools hold the server itself.

    It is a server when it is called by that name, and no daemon comes along.
    """
    found = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("neither redis-server nor redis-check-rdb is on PATH; install redis-tools")
        pytest.skip("neither redis-server nor redis-check-rdb is on PATH")
    link = folder / "redis-server"
    if not link.exists():
        link.symlink_to(Path(found).resolve())
    return link


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def server(binary: Path | str, folder: Path, client: Redis, *options: str) -> Iterator[None]:
    """Run a server until `client` gets an answer, and end it afterwards."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                str(binary),
                *(
                    "--dir",
                    str(folder),
                    "--save",
                    "",
                    "--bind",
                    "127.0.0.1",
                    "--maxmemory-policy",
                    "noeviction",
                ),
                *options,
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    try:
        deadline = time.monotonic() + 20.0
        while True:
            try:
                if client.ping():
                    break
            except RedisError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield
    finally:
        client.close()
        process.terminate()
        process.wait(20)
