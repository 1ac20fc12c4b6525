"""What is exported of the store: read at each scrape, the same for every process of the API."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, get_args, get_type_hints

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from nplmon.broker import StoreUnreachable
from nplmon.broker.messages import Worker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nplmon.broker import Backlog, Broker

STORE_SECONDS = 2.0
"""A scrape waits no longer for the store: one that is cut by Prometheus would look like an API that is down."""
ROLES: tuple[str, ...] = get_args(get_type_hints(Worker)["role"])


class StoreMetrics(Collector):
    """Queues, dead letters and workers, as they were read last.

    Attributes
    ----------
    up
        Whether the store answered.
    backlogs, dead
        By monitor; empty while it does not answer: no number is better than an old one.
    workers
        By role, in signs of life.
    """

    def __init__(self) -> None:
        self.up = False
        self.backlogs: dict[str, Backlog] = {}
        self.dead: dict[str, int] = {}
        self.workers: dict[str, int] = {}

    async def read(self, broker: Broker) -> None:
        """Read what will be exported."""
        backlogs, dead = {}, {}
        try:
            async with asyncio.timeout(STORE_SECONDS):
                roles = Counter[str](worker.role for worker in await broker.workers.all())
                for monitor in await broker.monitors.names():
                    backlogs[monitor] = await broker.admission.backlog(monitor)
                    dead[monitor] = await broker.dead_letters.count(monitor)
        except (StoreUnreachable, TimeoutError):
            self.up, self.backlogs, self.dead, self.workers = False, {}, {}, {}
            return
        self.up, self.backlogs, self.dead = True, backlogs, dead
        self.workers = {role: roles[role] for role in ROLES}

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Give the gauges."""
        up = GaugeMetricFamily("nplmon_store_up", "1 while the store answers, else 0.", value=float(self.up))
        waiting = GaugeMetricFamily("nplmon_backlog_chunks", "Chunks that wait.", labels=["monitor"])
        leased = GaugeMetricFamily("nplmon_leased_chunks", "Chunks in work.", labels=["monitor"])
        oldest = GaugeMetricFamily(
            "nplmon_oldest_pending_timestamp_seconds",
            "When the oldest chunk that waits or is in work was accepted; absent when there is none.",
            labels=["monitor"],
        )
        dead = GaugeMetricFamily(
            "nplmon_dead_chunks",
            "Chunks given up, and neither replayed nor deleted.",
            labels=["monitor"],
        )
        workers = GaugeMetricFamily(
            "nplmon_workers", "Processes that gave a sign of life in the last seconds.", labels=["role"]
        )
        for monitor, backlog in self.backlogs.items():
            waiting.add_metric([monitor], backlog.waiting)
            leased.add_metric([monitor], backlog.leased)
            if backlog.oldest_accepted_at is not None:
                oldest.add_metric([monitor], backlog.oldest_accepted_at)
            dead.add_metric([monitor], self.dead.get(monitor, 0))
        for role, number in self.workers.items():
            workers.add_metric([role], number)
        return [up, waiting, leased, oldest, dead, workers]
