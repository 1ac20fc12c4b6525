"""Tokens: make, list, revoke."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from nplmon.access import Forbidden, new_token
from nplmon.api.answers import Answer, NewToken, TokenInfo, TokenList, described
from nplmon.api.bodies import JSON, content_type, read_body
from nplmon.api.context import InContext
from nplmon.api.entry import InIdentity
from nplmon.api.monitor_settings import SETTINGS_LIMIT, settings_problem
from nplmon.api.names import TokenPath
from nplmon.api.openapi import model_body
from nplmon.api.problems import Problem
from nplmon.api.token_request import TokenRequest
from nplmon.broker.access_messages import Token

router = APIRouter(tags=["access"])
log = structlog.get_logger()


@router.post(
    "/v1/tokens",
    status_code=201,
    responses=described("The token, shown this once", NewToken, 201),
    openapi_extra=model_body(TokenRequest),
)
async def create_token(request: Request, context: InContext, identity: InIdentity) -> Answer:
    """Make a token; its secret is in this answer and nowhere else."""
    if context.gate.open:
        # Whoever reaches an open service could keep a key to it for when it is open no more.
        raise Forbidden(
            "This service asks for no tokens, so it makes none.",
            field="access",
            value="open",
            remedy="Make it at the store: `nplmon token create NAME --scope admin --data-dir DIR`.",
        )
    content_type(request, (JSON,))
    try:
        asked = TokenRequest.model_validate_json(bytes(await read_body(request, SETTINGS_LIMIT)))
    except ValidationError as error:
        raise settings_problem(error) from error
    if asked.monitor is not None:
        await context.broker.monitors.get(asked.monitor)
    token, text = new_token(
        asked.name, asked.scopes, monitor=asked.monitor, days=asked.days, created_by=identity.name
    )
    await context.broker.tokens.add(token)
    log.info("token made", token=token.id, name=token.name, scopes=token.scopes, who=identity.name)
    return Answer(
        NewToken(token=text, info=info_of(token, None)), 201, headers={"Location": f"/v1/tokens/{token.id}"}
    )


@router.get("/v1/tokens", responses=described("All tokens, without their secrets", TokenList))
async def list_tokens(context: InContext) -> Answer:
    """List the tokens: what they may do, and when they were used last."""
    used = await context.broker.tokens.last_used()
    return Answer(
        TokenList([info_of(token, used.get(token.id)) for token in await context.broker.tokens.all()])
    )


@router.delete("/v1/tokens/{token}", status_code=204)
async def revoke_token(context: InContext, identity: InIdentity, token: TokenPath) -> Response:
    """Revoke a token, and end the sessions made with it: heard everywhere within two seconds."""
    if not await context.broker.tokens.revoke(token):
        raise Problem(
            "unknown-token",
            f"There is no token {token!r}.",
            field="token",
            value=token,
            remedy="See GET /v1/tokens.",
        )
    log.info("token revoked", token=token, who=identity.name)
    return Response(status_code=204)


def info_of(token: Token, used_at: float | None) -> TokenInfo:
    """Give what may be shown of a token."""
    return TokenInfo(
        id=token.id,
        name=token.name,
        scopes=token.scopes,
        monitor=token.monitor,
        created_at=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
        used_at=used_at,
    )
