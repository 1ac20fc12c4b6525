"""The aggregator process."""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import signal
import time
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry, start_http_server

from nplmon import log as log_lines
from nplmon.aggregator.aggregator import Aggregator
from nplmon.aggregator.metrics import AggregatorMetrics
from nplmon.broker import Broker
from nplmon.broker.life import keep_beating
from nplmon.broker.messages import Worker
from nplmon.prepared import PreparedReferences

if TYPE_CHECKING:
    from nplmon.settings import Settings

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Apply results until SIGTERM or SIGINT.

    Raises
    ------
    ValueError
        If the settings name no store.
    """
    log_lines.configure("aggregator", settings.log_format)
    if settings.redis_url is None:
        raise ValueError("no store is named; set NPLMON_REDIS_URL, e.g. redis://127.0.0.1:6379")
    asyncio.run(_serve(settings, settings.redis_url))


async def _serve(settings: Settings, store: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    registry = CollectorRegistry()
    metrics = AggregatorMetrics(registry)
    server, thread = start_http_server(settings.metrics_port, settings.host, registry)
    # Unique also when a process id comes again on the same host.
    name = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(3)}"
    broker = Broker.connect(store)
    prepared = PreparedReferences(broker, settings.data_dir / "cache", name)
    aggregator = Aggregator(name, broker, prepared, settings, metrics)
    start = time.time()

    def sign() -> Worker:
        return Worker(
            name=name,
            role="aggregator",
            device="cpu",
            host=platform.node(),
            pid=os.getpid(),
            metrics_port=server.server_port,
            started_at=start,
            seen_at=time.time(),
            chunks=aggregator.applied,
            monitor_count=aggregator.monitors,
        )

    log.info("aggregator started", aggregator=name)
    beating = asyncio.create_task(keep_beating(broker, sign))
    try:
        await aggregator.run(stop)
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await broker.close()
        server.shutdown()
        thread.join()
        log.info("aggregator stopped", chunks=aggregator.applied)
