"""The aggregator process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nplmon import log as log_lines
from nplmon.aggregator.aggregator import Aggregator
from nplmon.aggregator.metrics import AggregatorMetrics
from nplmon.notifier import NotifierThread
from nplmon.process import work

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from nplmon.broker import Broker
    from nplmon.prepared import PreparedReferences
    from nplmon.settings import Settings


def serve(settings: Settings) -> None:
    """Apply results until SIGTERM or SIGINT.

    Raises
    ------
    ValueError
        If the settings name no store.
    """
    log_lines.configure("aggregator", settings.log_format)
    store = settings.redis_url
    if store is None:
        raise ValueError("no store is named; set NPLMON_REDIS_URL, e.g. redis://127.0.0.1:6379")

    def make(
        name: str, broker: Broker, prepared: PreparedReferences, registry: CollectorRegistry
    ) -> Aggregator:
        notifier = NotifierThread(store, settings, registry)
        return Aggregator(name, broker, prepared, settings, AggregatorMetrics(registry), notifier)

    asyncio.run(work("aggregator", settings, store, "cpu", make))
