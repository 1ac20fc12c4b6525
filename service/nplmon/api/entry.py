"""Entry: the one place where it is decided whether a request may go on to its route."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

from nplmon.access import NOBODY, Forbidden, Identity, check_origin
from nplmon.api.context import InContext
from nplmon.api.scopes import BOUND_READS, rule_of
from nplmon.broker import UnknownMonitor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from nplmon.api.context import Context


async def enter(request: Request, context: InContext) -> None:
    """Let a request go on, or refuse it; before its parameters are looked at or its body is read.

    Raises
    ------
    Unauthorized, Forbidden, RateLimited
        From the gate, or because who sends it may not do this.
    """
    gate = context.gate
    if gate.open:
        gate.hosts.check(request.headers.get("Host"))
        _check_origin(request, surely_a_browser=False)
        return
    route = str(getattr(request.scope.get("route"), "path", ""))
    rule = rule_of(request.method, route)
    if rule == "open":
        return
    identity = await gate.identity(
        request.headers.get("Authorization"), address_of(request), request.cookies.get(cookie_name(request))
    )
    request.state.identity = identity
    if identity.kind == "session":
        # A browser sends its cookie along whoever makes it send something; a token only who holds it.
        _check_origin(request, surely_a_browser=True)
    if rule is None:
        raise Forbidden(
            "Nothing says who may use this route.", field="path", remedy="Report it; until then it is closed."
        )
    if rule != "known" and not identity.may(rule):
        raise Forbidden(
            f"{identity.name!r} has not the scope {rule}.",
            field="scope",
            value=rule,
            remedy="Ask an admin for a token that has it.",
        )
    if identity.monitor is not None and rule != "known":
        await _stay(context, identity, f"{request.method} {route}", request.path_params)


def cookie_name(request: Request) -> str:
    """Name the cookie of a session; over https so that no other server, and no plain http, can set it."""
    return "__Host-nplmon-session" if request.url.scheme == "https" else "nplmon-session"


async def while_allowed(
    context: Context, identity: Identity, stream: AsyncGenerator[bytes]
) -> AsyncGenerator[bytes]:
    """Pass an endless answer on for as long as `identity` would be let in; nothing of it comes two seconds later."""
    async with aclosing(stream):
        async for piece in stream:
            if not await context.gate.still(identity):
                return
            yield piece


def _check_origin(request: Request, *, surely_a_browser: bool) -> None:
    check_origin(
        request.method,
        host=request.headers.get("Host"),
        origin=request.headers.get("Origin"),
        site=request.headers.get("Sec-Fetch-Site"),
        surely_a_browser=surely_a_browser,
    )


async def _stay(context: Context, identity: Identity, route: str, named: dict[str, str]) -> None:
    """Refuse what is not about the one monitor that `identity` is good for."""
    if named.get("monitor") == identity.monitor:
        return
    if route in BOUND_READS and named["name"] in await _samples(context, str(identity.monitor)):
        return
    raise Forbidden(
        f"{identity.name!r} is good for the monitor {identity.monitor!r} alone.",
        field="monitor",
        value=identity.monitor,
        remedy="Ask an admin for a token that is good for more.",
    )


async def _samples(context: Context, monitor: str) -> set[str]:
    """Name the references that a monitor uses."""
    try:
        present = await context.broker.monitors.get(monitor)
    except UnknownMonitor:
        return set()
    return {present.reference, *(template.name for template in present.tolerance.templates)}


def address_of(request: Request) -> str:
    """Give the address that a request comes from."""
    return "" if request.client is None else request.client.host


async def identity_of(request: Request) -> Identity:
    """Give who sends a request that was let in; async like `context_of`."""
    return cast("Identity", getattr(request.state, "identity", NOBODY))


InIdentity = Annotated[Identity, Depends(identity_of)]
