"""The trainer process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
import torch

from nplmon import log as log_lines
from nplmon.process import work
from nplmon.trainer.metrics import TrainerMetrics
from nplmon.trainer.trainer import Trainer

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from nplmon.broker import Broker
    from nplmon.prepared import PreparedReferences
    from nplmon.settings import Settings


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
    device = choose_device(settings.device)
    structlog.get_logger().info("fits run here", device=str(device), threads=torch.get_num_threads())

    def make(name: str, broker: Broker, prepared: PreparedReferences, registry: CollectorRegistry) -> Trainer:
        return Trainer(name, broker, prepared, device, settings, TrainerMetrics(registry, str(device)))

    asyncio.run(work("trainer", settings, settings.redis_url, str(device), make))


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
