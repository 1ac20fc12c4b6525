"""The context of a request: the store, the settings and what the process keeps in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

if TYPE_CHECKING:
    from nplmon.access import Gate
    from nplmon.api.board import Board
    from nplmon.api.metrics import Metrics
    from nplmon.api.ratios import Ratios
    from nplmon.api.updates import Updates
    from nplmon.broker import Broker
    from nplmon.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """What every route needs; one per application."""

    broker: Broker
    settings: Settings
    metrics: Metrics
    updates: Updates
    ratios: Ratios
    board: Board
    gate: Gate

    def close(self) -> None:
        """End all event streams, so that the server can stop."""
        self.updates.close()
        self.board.close()


async def context_of(request: Request) -> Context:
    """Give the application's context; async, or every request would wait for a thread to tell it."""
    return cast("Context", request.app.state.context)


InContext = Annotated[Context, Depends(context_of)]
