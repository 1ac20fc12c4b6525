"""Metrics of the API: counted here, or read from the store at scrape."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram

from nplmon.api.store_metrics import StoreMetrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from nplmon.api.problems import Slug
    from nplmon.broker import Broker

PUSH_ROUTE = "/v1/monitors/{monitor}/runs/{run}/chunks"
EVENTS_ROUTE = "/v1/monitors/{monitor}/events"
ALL_EVENTS_ROUTE = "/v1/events"
OTHER_ROUTE = "other"

REASONS: tuple[Slug, ...] = (
    "backlog-full",
    "body-too-large",
    "body-truncated",
    "body-unreadable",
    "chunk-conflict",
    "content-type",
    "dtype",
    "exposure",
    "features",
    "name",
    "no-events",
    "not-finite",
    "run-closed",
    "settings",
    "shape",
    "store-unreachable",
    "unknown-monitor",
)
"""Why a chunk may be refused."""


AT_THE_DOOR: tuple[Slug, ...] = ("forbidden", "rate-limited", "unauthorized")
"""Why a request may be turned away before its route is looked at."""


class Metrics:
    """All metrics of one application, in the registry that is handed in.

    Labels are names of monitors that exist, slugs and route templates; never what a client made up.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.accepted = Counter(
            "nplmon_chunks_accepted", "Chunks accepted by this process.", ["monitor"], registry=registry
        )
        self.events = Counter(
            "nplmon_events_accepted", "Events in accepted chunks.", ["monitor"], registry=registry
        )
        self.duplicates = Counter(
            "nplmon_chunks_duplicate", "Chunks that were sent again.", ["monitor"], registry=registry
        )
        self.rejected = Counter("nplmon_chunks_rejected", "Chunks refused.", ["reason"], registry=registry)
        self.turned_away = Counter(
            "nplmon_access_refused", "Requests turned away at the door.", ["reason"], registry=registry
        )
        self.duration = Histogram(
            "nplmon_http_request_duration_seconds",
            "Time from the first byte of a request to the last byte of its answer.",
            ["route"],
            registry=registry,
        )
        for reason in REASONS:
            self.rejected.labels(reason)
        for reason in AT_THE_DOOR:
            self.turned_away.labels(reason)
        self.store = StoreMetrics()
        registry.register(self.store)

    async def read(self, broker: Broker) -> None:
        """Read what the store tells, for the scrape that follows."""
        await self.store.read(broker)
        for monitor in self.store.backlogs:
            for counter in (self.accepted, self.events, self.duplicates):
                counter.labels(monitor)

    def refused(self, scope: Scope, slug: Slug) -> None:
        """Count a refusal, if it is that of a chunk or one at the door."""
        if slug in AT_THE_DOOR:
            self.turned_away.labels(slug).inc()
        if slug in REASONS and scope["method"] == "POST" and route_of(scope) == PUSH_ROUTE:
            self.rejected.labels(slug).inc()

    def forget(self, monitor: str) -> None:
        """Drop the series of a monitor that was deleted."""
        for counter in (self.accepted, self.events, self.duplicates):
            counter.remove_by_labels({"monitor": monitor})


class Durations:
    """Middleware: the duration of each request, by route template."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and time it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def timed(message: Message) -> None:
            await send(message)
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            # A stream of events lasts as long as its reader stays.
            if last and (route := route_of(scope)) not in {EVENTS_ROUTE, ALL_EVENTS_ROUTE}:
                self._metrics.duration.labels(route).observe(time.perf_counter() - began)

        await self._app(scope, receive, timed)


def route_of(scope: Scope) -> str:
    """Give the template of the route that a request matched."""
    template = getattr(scope.get("route"), "path", None)
    return (
        template
        if isinstance(template, str) and template.startswith(("/v1/", "/healthz", "/readyz", "/metrics"))
        else OTHER_ROUTE
    )
