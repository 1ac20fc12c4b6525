"""A store and all roles as real processes of our own, which are killed, paused and brought back."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
from redis import Redis
from tests.chaos import roles

from nplmon.broker.embedded import EmbeddedStore
from nplmon.client import Client

ROLES = ("api", "trainer-1", "trainer-2", "aggregator-1", "aggregator-2")
REFERENCE = np.random.default_rng(6).exponential(size=(2000, 1)).astype(np.float32)
KERNEL = {"centres": 30, "sigmas": [0.7], "lambda": 1e-5, "seed": 0}


class Stage:
    """The processes, by name. A role that was killed is started again by whoever killed it."""

    def __init__(
        self,
        directory: Path,
        appendfsync: str = "always",
        deliveries: int = 1000,
        backlog: int = 200,
        *,
        metrics: bool = False,
    ) -> None:
        self.directory = directory
        self._appendfsync = appendfsync
        self._processes: dict[str, ForkServerProcess] = {}
        self._store = EmbeddedStore(directory / "data")
        self._store_pid: int | None = None
        self._starting = threading.Lock()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.chaos.roles"])
        self._port = free_port()
        self._metrics = {name: free_port() for name in ROLES if metrics}
        self._environment = {
            "NPLMON_REDIS_URL": self._store.url,
            "NPLMON_PORT": str(self._port),
            "NPLMON_DATA_DIR": str(directory),
            "NPLMON_LEASE_SECONDS": "1",
            "NPLMON_DELIVERIES_LIMIT": str(deliveries),
            "NPLMON_THREADS": "1",
            "NPLMON_BACKLOG_LIMIT": str(backlog),
            "NPLMON_LOG_FORMAT": "json",
            "OMP_NUM_THREADS": "1",
        }

    @property
    def url(self) -> str:
        """Address of the API."""
        return f"http://127.0.0.1:{self._port}"

    def metrics(self, name: str) -> str:
        """Address of a role's metrics and probes; only of a stage that was asked for them."""
        return f"http://127.0.0.1:{self._metrics[name]}"

    def start(self, *names: str) -> None:
        """Start the store and these roles, and wait until the API answers."""
        self.start_store()
        for name in names or ROLES:
            self.start_role(name)
        with self.client() as client:
            client.monitors()

    def client(self, deadline: float = 60.0) -> Client:
        """Give a client."""
        return Client(self.url, deadline=deadline)

    def make_monitor(self, **settings: object) -> None:
        """Make the monitor `m`."""
        with self.client() as client:
            client.put_reference("r", REFERENCE, ["x"])
            client.create_monitor("m", "r", kernel=KERNEL, **settings)

    def start_store(self) -> None:
        """Start the store, or wait for the one that lives."""
        with self._starting:
            self._store.start(30.0)
            self._store_pid = self._store.pid
        with self.redis() as redis:
            redis.config_set("appendfsync", self._appendfsync)

    def redis(self) -> Redis:
        """Give a connection to the store."""
        return Redis(unix_socket_path=str(self._store.socket))

    def start_role(self, name: str) -> None:
        """Start a role, if it does not live."""
        known = self._processes.get(name)
        if known is not None and known.is_alive():
            return
        role = name.partition("-")[0]
        log = self.directory / f"{name}.log"
        environment = self._environment | {"NPLMON_METRICS_PORT": str(self._metrics.get(name, 0))}
        process = self._context.Process(target=roles.serve, args=(role, environment, log), name=name)
        process.start()
        self._processes[name] = process

    def start_producer(self, name: str, run: str, share: dict[str, np.ndarray]) -> None:
        """Start a producer of these chunks, or start it again from the beginning."""
        receipts = self.directory / f"{run}-{name}.receipts"
        arguments = (self.url, run, share, receipts)
        process = self._context.Process(target=roles.produce, args=arguments, name=name)
        process.start()
        self._processes[name] = process

    def living(self) -> list[str]:
        """Name the roles that live."""
        return [name for name, process in self._processes.items() if process.is_alive()]

    def process(self, name: str) -> ForkServerProcess:
        """Give a process."""
        return self._processes[name]

    def pid(self, name: str) -> int | None:
        """Give the process id; None if it does not live."""
        if name == "store":
            return self._store_pid  # one that is paused cannot tell
        process = self._processes.get(name)
        return process.pid if process is not None and process.is_alive() else None

    def signal(self, name: str, number: signal.Signals) -> int | None:
        """Send a signal; give the process id, None if there is nobody."""
        pid = self.pid(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pid

    def kill(self, name: str) -> None:
        """Kill a process and wait for its end."""
        pid = self.signal(name, signal.SIGKILL)
        if pid is None:
            return
        if name == "store":
            self._store_pid = None
        if name != "store":
            self._processes[name].join()
            return
        while Path(f"/proc/{pid}").exists():
            if f"{pid} (" in (text := _stat(pid)) and ") Z " in text:
                break  # a child of ours that nobody has waited for
            time.sleep(0.01)

    def last_words(self, name: str) -> str:
        """Give the end of a role's log."""
        log = self.directory / f"{name}.log"
        return log.read_text(encoding="utf-8")[-3000:] if log.exists() else ""

    def clean_up(self) -> None:
        """End everything."""
        for process in self._processes.values():
            if process.is_alive():
                process.kill()
                process.join()
        self.signal("store", signal.SIGCONT)
        self._store.stop()


def free_port() -> int:
    """Give a port that nobody has now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _stat(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
