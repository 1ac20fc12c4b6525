"""Health: whether the process lives, whether it can work, what it counted."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from nplmon.api.answers import Answer, Health, Readiness, described
from nplmon.api.context import InContext
from nplmon.broker import StoreUnreachable

STORE_SECONDS = 2.0

router = APIRouter(tags=["service"])


@router.get("/healthz", responses=described("The process lives", Health))
async def healthz() -> Answer:
    """Answer while the process lives."""
    return Answer(Health())


@router.get("/readyz", responses=described("Whether it can take chunks", Readiness, 200, 503))
async def readyz(context: InContext) -> Answer:
    """Answer 200 when the store answers, else 503."""
    try:
        async with asyncio.timeout(STORE_SECONDS):
            await context.broker.ping()
            roles = [worker.role for worker in await context.broker.workers.all()]
    except (StoreUnreachable, TimeoutError):
        return Answer(Readiness(ready=False, store="unreachable", trainers=0, aggregators=0), 503)
    return Answer(
        Readiness(
            ready=True, store="ok", trainers=roles.count("trainer"), aggregators=roles.count("aggregator")
        )
    )


@router.get(
    "/metrics",
    responses={200: {"description": "Prometheus text", "content": {"text/plain": {}}}},
    response_class=Response,
)
async def metrics(context: InContext) -> Response:
    """Give the metrics, with the queues as they are in the store now."""
    await context.metrics.read(context.broker)
    body = await asyncio.to_thread(generate_latest, context.metrics.registry)
    return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})
