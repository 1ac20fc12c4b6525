"""The application: routes, refusals and metrics put together over one broker."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import Depends
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry

from nplmon.access import Gate
from nplmon.api import (
    alarms,
    audit,
    calibrations,
    chunks,
    course,
    density_ratio,
    health,
    monitors,
    openapi,
    overview,
    page,
    pools,
    references,
    refusals,
    runbooks,
    runs,
    session,
    statistics,
    system,
    tokens,
    updates,
    where,
)
from nplmon.api.audited import Audited
from nplmon.api.board import Board
from nplmon.api.context import Context
from nplmon.api.entry import enter
from nplmon.api.headers import SafeHeaders
from nplmon.api.metrics import Durations, Metrics
from nplmon.api.ratios import Ratios
from nplmon.api.updates import Updates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI

    from nplmon.broker import Broker
    from nplmon.settings import Settings


def create_app(broker: Broker, settings: Settings, registry: CollectorRegistry | None = None) -> FastAPI:
    """Make the application; it keeps no state but caches.

    Parameters
    ----------
    broker:
        The store's; need not be reachable. The application closes it when it stops.
    settings:
        Limits.
    registry:
        Where the metrics are registered; one of its own if None.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        context.close()
        await broker.close()

    metrics = Metrics(CollectorRegistry() if registry is None else registry)
    context = Context(
        broker, settings, metrics, Updates(broker), Ratios(broker), Board(broker), Gate(broker, settings)
    )
    app: FastAPI = FastAPIOffline(
        dependencies=[Depends(enter)],
        title="nplmon",
        version=version("nplmon"),
        description="A live goodness-of-fit monitor for event streams.",
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        responses=openapi.PROBLEM_ANSWER,
    )
    app.state.context = context
    app.add_middleware(Durations, metrics=metrics)
    app.add_middleware(Audited, context=context)
    app.add_middleware(SafeHeaders)
    refusals.install(app)
    openapi.describe(app)
    # Routes are tried in turn: the one that all chunks come in by is the first.
    for part in (
        chunks,
        alarms,
        overview,
        calibrations,
        references,
        pools,
        monitors,
        runs,
        statistics,
        course,
        density_ratio,
        updates,
        where,
        runbooks,
        system,
        health,
        tokens,
        session,
        audit,
        page,
    ):
        app.include_router(part.router)
    return app
