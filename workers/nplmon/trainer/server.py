"""The trainer process."""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import signal
import time
from typing import TYPE_CHECKING

import structlog
import torch
from prometheus_client import CollectorRegistry, start_http_server

from nplmon import log as log_lines
from nplmon.broker import Broker
from nplmon.broker.life import keep_beating
from nplmon.broker.messages import Worker
from nplmon.prepared import PreparedReferences
from nplmon.trainer.metrics import TrainerMetrics
from nplmon.trainer.trainer import Trainer

if TYPE_CHECKING:
    from nplmon.settings import Settings

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Lease and fit chunks until SIGTERM or SIGINT; the chunk in hand is finished first.

    Raises
    ------
    ValueError
        If the settings name no store, or a device that is not there.
    """
    log_lines.configure("trainer", settings.log_format)
    if settings.redis_url is None:
        raise ValueError("no store is named; set NPLMON_REDIS_URL, e.g. redis://127.0.0.1:6379")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    asyncio.run(_serve(settings, settings.redis_url, choose_device(settings.device)))


def choose_device(wish: str) -> torch.device:
    """Give the device: "auto" takes the first CUDA device where there is one.

    Raises
    ------
    ValueError
        If it is not there.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if wish == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    device = torch.device(wish)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ValueError(f"device {wish!r} is not there: torch sees {count} CUDA devices; choose auto or cpu")
    return device


async def _serve(settings: Settings, store: str, device: torch.device) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    registry = CollectorRegistry()
    metrics = TrainerMetrics(registry, str(device))
    server, thread = start_http_server(settings.metrics_port, settings.host, registry)
    # Unique also when a process id comes again on the same host.
    name = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(3)}"
    broker = Broker.connect(store)
    prepared = PreparedReferences(broker, settings.data_dir / "cache", name)
    trainer = Trainer(name, broker, prepared, device, settings, metrics)
    start = time.time()

    def sign() -> Worker:
        return Worker(
            name=name,
            role="trainer",
            device=str(device),
            host=platform.node(),
            pid=os.getpid(),
            metrics_port=server.server_port,
            started_at=start,
            seen_at=time.time(),
            chunks=trainer.finished,
        )

    log.info("trainer started", trainer=name, device=str(device), threads=torch.get_num_threads())
    beating = asyncio.create_task(keep_beating(broker, sign))
    try:
        await trainer.run(stop)
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await broker.close()
        server.shutdown()
        thread.join()
        log.info("trainer stopped", chunks=trainer.finished)
