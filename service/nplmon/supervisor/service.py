"""The whole service: starts the store and all roles at once, keeps them running, stops them in order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import SecretStr

from nplmon.broker import Broker
from nplmon.settings import Settings, is_loopback
from nplmon.supervisor.addresses import Addresses, forget
from nplmon.supervisor.errors import SupervisorError
from nplmon.supervisor.lock import DataDirectoryLock
from nplmon.supervisor.logfile import LogFile
from nplmon.supervisor.port import authority, claim_port
from nplmon.supervisor.process import RoleProcess
from nplmon.supervisor.store import Store, masked

if TYPE_CHECKING:
    from nplmon.supervisor.signs import SignsOfLife

ROLES: Mapping[str, str] = {
    "api": "nplmon.api:serve",
    "trainer": "nplmon.trainer:serve",
    "aggregator": "nplmon.aggregator:serve",
}
"""What a child of each role runs, as MODULE:FUNCTION; the function takes the settings."""

API_PATIENCE = 15.0
TRAINER_PATIENCE = 30.0
AGGREGATOR_PATIENCE = 15.0
"""How long a role may take to stop, in s; a trainer may have to finish its fit."""

SLOW_START_SECONDS = 15.0
_WORKERS = ("trainer", "aggregator")


class Service:
    """One machine's service.

    Parameters
    ----------
    settings:
        Settings of all roles. `redis_url` None starts the embedded store in `data_dir`.
    trainers:
        Number of trainer processes.
    announce:
        Called once, when the service is ready, with its addresses and the seconds that took.
    roles:
        What to run for each role.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        trainers: int = 1,
        announce: Callable[[Addresses, float], None],
        roles: Mapping[str, str] = ROLES,
    ) -> None:
        if settings.metrics_host is None and settings.needs_tokens and not is_loopback(settings.host):
            # They ask for no token, so who is to read them from elsewhere has to be told of in a word of its own.
            settings = settings.model_copy(update={"metrics_host": "127.0.0.1"})
        self._settings = settings
        self._trainers = trainers
        self._announce = announce
        self._roles = roles
        self._data_dir = settings.data_dir.resolve()
        self._stopping = asyncio.Event()
        self._store = Store(self._data_dir, settings.redis_url, settings.appendfsync)
        self._processes: list[RoleProcess] = []
        self._speak = structlog.get_logger()

    async def run(self) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP, and stop everything in order.

        Raises
        ------
        SupervisorError
            If the service cannot be started; whatever was started is stopped again.
        """
        began = asyncio.get_running_loop().time()
        lock = DataDirectoryLock(self._data_dir)
        lock.acquire()
        try:
            self._listen_to_signals()
            port = await self._claim_port(15.0 if lock.predecessor_killed else 5.0)
            if port is None:
                return
            if not self._settings.needs_tokens and not is_loopback(self._settings.host):
                self._speak.warning(
                    "no tokens are asked for: whoever reaches this address can read and change everything",
                    host=self._settings.host,
                )
            await self._store.start()
            try:
                await self._check_access()
                await self._run_roles(port, began)
            finally:
                await self._store.stop()
        finally:
            lock.release()

    async def _check_access(self) -> None:
        """Refuse to open a port to others that nobody could use; or that everybody could, without having said so.

        Raises
        ------
        SupervisorError
            If tokens are needed and there is none.
        """
        if not self._settings.needs_tokens or self._settings.oidc_issuer is not None:
            return
        broker = Broker.connect(self._store.url)
        try:
            if await broker.tokens.count():
                return
        finally:
            await broker.close()
        place = f"--data-dir {self._data_dir}" if self._store.embedded else "--redis-url URL"
        raise SupervisorError(
            f"others can reach {self._settings.host}, and there is no token yet: make one with `nplmon token "
            f"create NAME --scope admin {place}`, or give --insecure where nobody else can reach it"
        )

    async def _claim_port(self, patience: float) -> int | None:
        return await asyncio.to_thread(
            claim_port,
            self._settings.host,
            self._settings.port,
            patience=patience,
            stopped=self._stopping.is_set,
            announce=self._speak.info,
        )

    async def _run_roles(self, port: int, began: float) -> None:
        api = f"http://{authority(self._settings.host, port)}"
        addresses = Addresses(
            pid=os.getpid(),
            api=api,
            docs=f"{api}/docs",
            metrics={"api": f"{api}/metrics"},
            store=masked(self._store.url),
            logs=str(self._data_dir / "logs"),
            access="tokens" if self._settings.needs_tokens else "open",
        )
        read_end, write_end = os.pipe()  # the lifeline: see nplmon.supervisor.child
        try:
            self._processes = self._make_processes(api, port, read_end)
            tasks: list[asyncio.Task[Any]] = [process.start() for process in self._processes]
            tasks.append(asyncio.create_task(self._report()))
            tasks.append(asyncio.create_task(self._store.watch()))
            tasks.append(asyncio.create_task(self._attend(addresses, began)))
            tasks.append(asyncio.create_task(self._wait_for_signal()))
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await self._stop_roles()
                await _end(tasks)
            for task in done:
                task.result()  # raises what ended the service, if it was not a signal
        finally:
            forget(self._data_dir)
            os.close(write_end)
            os.close(read_end)

    def _make_processes(self, api: str, port: int, lifeline: int) -> list[RoleProcess]:
        names = {"api": "api"} | {f"trainer-{i + 1}": "trainer" for i in range(self._trainers)}
        names["aggregator"] = "aggregator"
        first = self._settings.metrics_port
        threads = self._settings.threads
        if threads == 0:
            # Each trainer alone would take every core, and together with the aggregator, the API and the store
            # they would wait for each other: fits of two threads on two shared cores took three times as long.
            threads = max(1, ((os.cpu_count() or 2) - 1) // self._trainers)
        processes = []
        for index, (name, role) in enumerate(names.items()):
            settings = self._settings.model_copy(
                update={
                    "url": api,
                    "port": port,
                    "redis_url": self._store.url,
                    "data_dir": self._data_dir,
                    # Several processes cannot share one port: they are numbered from the given one.
                    "metrics_port": first + index - 1 if first and role != "api" else 0,
                    "threads": threads,
                    "log_format": "json",
                }
            )
            processes.append(
                RoleProcess(
                    name,
                    self._roles[role],
                    environment=_environment(settings),
                    log=LogFile(self._data_dir / "logs" / f"{name}.log"),
                    lifeline=lifeline,
                )
            )
        return processes

    async def _attend(self, addresses: Addresses, began: float) -> None:
        # Imported only now, because the children are on their way now and start while we import.
        from nplmon.supervisor.signs import SignsOfLife  # noqa: PLC0415

        signs = SignsOfLife(addresses.api, self._store.url, self._settings.workers_host)
        try:
            await self._attend_to(signs, addresses, began)
        finally:
            await signs.close()

    async def _attend_to(self, signs: SignsOfLife, addresses: Addresses, began: float) -> None:
        """Announce the service when it is ready, and keep the record of its addresses true."""
        clock = asyncio.get_running_loop().time
        ready = warned = False
        while True:
            known = await signs.metrics({process.name: process.pid for process in self._processes})
            if not ready:
                missing = [] if await signs.api_ready() else ["api"]
                missing += [role for role in _WORKERS if not any(name.startswith(role) for name in known)]
                if not missing:
                    ready = True
                    addresses = replace(addresses, metrics=addresses.metrics | known)
                    self._record(addresses)
                    for process in self._processes:
                        process.mark_ready()
                    self._announce(addresses, clock() - began)
                elif clock() - began > SLOW_START_SECONDS and not warned:
                    warned = True
                    self._speak.warning("not ready yet", no_sign_of_life=missing, logs=addresses.logs)
            elif known.items() - addresses.metrics.items():
                for name, address in known.items() - addresses.metrics.items():
                    self._speak.info("child is up", child=name, metrics=address)
                addresses = replace(addresses, metrics=addresses.metrics | known)
                self._record(addresses)
            await asyncio.sleep(1.0 if ready else 0.05)

    def _record(self, addresses: Addresses) -> None:
        try:
            addresses.write(self._data_dir)
        except OSError as error:  # a full disk is no reason to stop
            self._speak.warning("addresses cannot be written", folder=str(self._data_dir), error=str(error))

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            for process in self._processes:
                process.report()

    async def _wait_for_signal(self) -> None:
        await self._stopping.wait()

    async def _stop_roles(self) -> None:
        """Stop in the order of a chunk's way: nothing new comes in, and what is in work gets done."""
        for process in self._processes:
            process.hold()
        api, *trainers, aggregator = self._processes
        await api.stop(API_PATIENCE)
        await asyncio.gather(*(trainer.stop(TRAINER_PATIENCE) for trainer in trainers))
        await aggregator.stop(AGGREGATOR_PATIENCE)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._hear, number)

    def _hear(self, number: signal.Signals) -> None:
        if not self._stopping.is_set():
            self._speak.info("stopping", signal=number.name)
            self._stopping.set()
        elif number == signal.SIGINT:
            self._speak.warning("stopping at once: children are killed")
            for process in self._processes:
                process.hold()
                process.signal(signal.SIGKILL)


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel until all are done: up to Python 3.11, asyncio.wait_for in the store's client can lose a cancel."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.5)


def _environment(settings: Settings) -> dict[str, str]:
    """Give the children's environment, with every setting said in full."""
    environment = {
        f"NPLMON_{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in settings.model_dump(exclude_none=True, exclude={"token"}).items()
    }
    # numpy's linear algebra reads its number of threads before any of our code runs.
    blas = {
        "OMP_NUM_THREADS": str(max(1, settings.threads)),
        "OPENBLAS_NUM_THREADS": str(max(1, settings.threads)),
    }
    # A token is for clients; what a role does not need, it cannot lose.
    ours = {name: value for name, value in os.environ.items() if name != "NPLMON_TOKEN"}
    return blas | ours | environment | {"PYTHONUNBUFFERED": "1"}
