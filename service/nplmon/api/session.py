"""Session: a browser signs in with a token, is told who it is, and signs out."""

from __future__ import annotations

import time

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from nplmon.access import Forbidden, Unauthorized
from nplmon.api.answers import Answer, SessionState, described
from nplmon.api.context import InContext
from nplmon.api.entry import InIdentity, cookie_name

router = APIRouter(tags=["access"])
log = structlog.get_logger()


@router.get("/v1/session", responses=described("Who asks, and what that one may do", SessionState))
async def show_session(context: InContext, identity: InIdentity) -> Answer:
    """Tell who asks."""
    return Answer(
        SessionState(
            access="open" if context.gate.open else "tokens",
            name=identity.name,
            scopes=identity.scopes,
            monitor=identity.monitor,
            expires_at=identity.expires_at,
        )
    )


@router.post(
    "/v1/session",
    status_code=201,
    responses=described("Who has signed in; the cookie comes along", SessionState, 201),
)
async def sign_in(request: Request, context: InContext, identity: InIdentity) -> Answer:
    """Give a browser a session for the bearer token that it sends: a cookie that no script can read."""
    if identity.kind == "open":
        raise Forbidden(
            "This service asks nobody who he is.", field="access", value="open", remedy="Go on without."
        )
    if identity.kind == "session":
        raise Unauthorized("A session is not prolonged by itself.", remedy="Sign in with a token.")
    held, session = await context.gate.sessions.begin(identity)
    state = SessionState(
        access="tokens",
        name=session.name,
        scopes=session.scopes,
        monitor=session.monitor,
        expires_at=session.expires_at,
    )
    answer = Answer(state, 201, headers={"Cache-Control": "no-store"})
    answer.set_cookie(
        cookie_name(request),
        held,
        max_age=max(0, int(session.expires_at - time.time())),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    log.info("signed in", who=session.name)
    return answer


@router.delete("/v1/session", status_code=204)
async def sign_out(request: Request, context: InContext, identity: InIdentity) -> Response:
    """End the session of this browser."""
    if identity.kind == "session":
        await context.gate.sessions.end(identity.session)
        log.info("signed out", who=identity.name)
    answer = Response(status_code=204)
    answer.delete_cookie(
        cookie_name(request),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer
