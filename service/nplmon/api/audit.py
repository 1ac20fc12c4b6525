"""Audit: who changed what, for those who rule."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from nplmon.api.answers import Answer, AuditPage, described
from nplmon.api.context import InContext
from nplmon.api.names import ENTRY_PATTERN

router = APIRouter(tags=["access"])


@router.get("/v1/audit", responses=described("Who changed what, newest first", AuditPage))
async def show_audit(
    context: InContext,
    limit: Annotated[int, Query(ge=1, le=10_000, description="At most so many entries.")] = 200,
    before: Annotated[
        str | None,
        Query(pattern=ENTRY_PATTERN, description="Entries before the one of this id."),
    ] = None,
) -> Answer:
    """Show who changed what, the newest first; `before` goes on where a page ended."""
    return Answer(AuditPage(await context.broker.audit.latest(limit, before)))
