"""A process that works on what is in the store, a trainer or an aggregator: start, signs of life, metrics, end."""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import signal
import time
from typing import TYPE_CHECKING, Literal, Protocol

import structlog
from prometheus_client import CollectorRegistry

from nplmon.broker import Broker
from nplmon.broker.life import keep_beating
from nplmon.broker.messages import Worker
from nplmon.prepared import PreparedReferences
from nplmon.probes import Probes
from nplmon.process_metrics import export_process

if TYPE_CHECKING:
    from collections.abc import Callable

    from nplmon.settings import Settings

log = structlog.get_logger()


class Loop(Protocol):
    """What a process does until it is told to stop."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set."""

    def progress(self) -> tuple[int, int]:
        """Give the number of chunks ended so far and of monitors held now."""


async def work(
    role: Literal["trainer", "aggregator"],
    settings: Settings,
    store: str,
    device: str,
    make: Callable[[str, Broker, PreparedReferences, CollectorRegistry], Loop],
) -> None:
    """Run one process until SIGTERM or SIGINT.

    Parameters
    ----------
    role:
        Of the process.
    settings:
        Where its metrics are served and its cache is.
    store:
        Address of the store.
    device:
        Where it computes.
    make:
        (name, broker, prepared references, registry) -> the loop.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    registry = CollectorRegistry()
    export_process(registry, role)
    # Unique also when a process id comes again on the same host.
    name = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(3)}"
    broker = Broker.connect(store)
    loop = make(name, broker, PreparedReferences(broker, settings.data_dir / "cache", name), registry)
    hindrance = "the store has not answered yet"

    def told(complaint: str) -> None:
        nonlocal hindrance
        hindrance = complaint

    probes = Probes(settings.metrics_port, settings.workers_host, registry, lambda: hindrance)
    start = time.time()

    def sign() -> Worker:
        chunks, monitors = loop.progress()
        return Worker(
            name=name,
            role=role,
            device=device,
            host=platform.node(),
            pid=os.getpid(),
            metrics_port=probes.port,
            started_at=start,
            seen_at=time.time(),
            chunks=chunks,
            monitor_count=monitors,
        )

    log.info("%s started", role, name=name, device=device)
    beating = asyncio.create_task(keep_beating(broker, sign, told))
    try:
        await loop.run(stop)
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await broker.close()
        probes.close()
        log.info("%s stopped", role, chunks=loop.progress()[0])
