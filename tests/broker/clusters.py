"""Real clusters on loopback: servers in cluster mode that share the slots."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from nplmon.broker.embedded import server_binary

SLOTS = 16384


@contextmanager
def _node(directory: Path) -> Iterator[tuple[int, int]]:
    """Run one node; give its port and that of the bus."""
    directory.mkdir(parents=True)
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, bus = one.getsockname()[1], other.getsockname()[1]
    arguments = [
        "--port",
        str(port),
        "--cluster-port",
        str(bus),
        "--bind",
        "127.0.0.1",
        "--cluster-enabled",
        "yes",
    ]
    arguments += ["--dir", str(directory), "--save", "", "--logfile", "log"]
    arguments += ["--repl-diskless-sync-delay", "0"]
    server = subprocess.Popen([str(server_binary()), *arguments], cwd=directory, stdout=subprocess.DEVNULL)
    try:
        yield port, bus
    finally:
        server.kill()
        server.wait(10.0)


def _told(ports: list[int], command: str) -> list[dict[str, str]] | None:
    found = []
    for port in ports:
        with Redis(port=port) as redis:
            try:
                found.append(redis.execute_command(command))
            except RedisError:
                return None
    return found


def _wait(ports: list[int], command: str, **wanted: str) -> None:
    deadline = time.monotonic() + 30.0
    while True:
        told = _told(ports, command)
        if told and all(one.get(name) == value for one in told for name, value in wanted.items()):
            return
        assert time.monotonic() < deadline, told
        time.sleep(0.05)


@contextmanager
def cluster(directory: Path, nodes: int) -> Iterator[list[int]]:
    """Run a cluster of so many nodes, each with its share of the slots in order; give their ports."""
    with ExitStack() as running:
        places = [running.enter_context(_node(directory / f"node{i}")) for i in range(nodes)]
        ports = [port for port, _ in places]
        _wait(ports, "CLUSTER INFO")
        for i, port in enumerate(ports):
            with Redis(port=port) as redis:
                redis.execute_command(
                    "CLUSTER", "ADDSLOTSRANGE", i * SLOTS // nodes, (i + 1) * SLOTS // nodes - 1
                )
                redis.execute_command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
                for other, bus in places[:i]:
                    redis.execute_command("CLUSTER", "MEET", "127.0.0.1", other, bus)
        _wait(ports, "CLUSTER INFO", cluster_state="ok", cluster_known_nodes=str(nodes))
        yield ports
