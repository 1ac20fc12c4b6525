"""Overview: all monitors at a glance, once and as it changes."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.sse import EventSourceResponse
from starlette.responses import Response, StreamingResponse

from nplmon.api.answers import Overview, described
from nplmon.api.context import InContext
from nplmon.api.entry import InIdentity, while_allowed
from nplmon.api.metrics import ALL_EVENTS_ROUTE
from nplmon.api.updates import SnapshotStream

router = APIRouter(tags=["overview"])


@router.get("/v1/overview", responses=described("A tile for each monitor", Overview))
async def show_overview(context: InContext) -> Response:
    """Show all monitors at a glance, the most urgent first."""
    return Response(await context.board.overview(), media_type="application/json")


@router.get(
    ALL_EVENTS_ROUTE,
    # Not EventSourceResponse: FastAPI would put a queue between the generator and the reader.
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events `hello`, `tile`, `gone` and `store`",
            "content": {"text/event-stream": {}},
        }
    },
)
async def follow_all(context: InContext, identity: InIdentity) -> EventSourceResponse:
    """Follow all monitors: all tiles at once, then each that changes."""
    return SnapshotStream(while_allowed(context, identity, context.board.stream()))
