"""Audited: every request that changed something is written down before its sender hears that it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from nplmon.access import NOBODY
from nplmon.access.hosts import READING
from nplmon.api.scopes import rule_of
from nplmon.broker import BrokerError
from nplmon.broker.access_messages import AuditEntry

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from nplmon.access import Identity
    from nplmon.api.context import Context

log = structlog.get_logger()

SILENT = frozenset({"push", "read", None})
"""Rules of routes that are not written down: a chunk has its receipt, and many come each second."""


class Audited:
    """Middleware: writes the audit."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and write down what it changed."""
        if scope["type"] != "http" or scope["method"] in READING:
            await self._app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                await self._write(scope, message)
            await send(message)

        await self._app(scope, receive, told)

    async def _write(self, scope: Scope, message: Message) -> None:
        route = str(getattr(scope.get("route"), "path", ""))
        if rule_of(scope["method"], route) in SILENT:
            return
        identity: Identity = scope.get("state", {}).get("identity", NOBODY)
        made = next((value.decode() for name, value in message["headers"] if name == b"location"), None)
        client = scope.get("client")
        entry = AuditEntry(
            who=identity.name,
            token=identity.id,
            address=client[0] if client else "",
            action=f"{scope['method']} {route}",
            object=made or scope["path"],
            status=message["status"],
        )
        try:
            await self._context.broker.audit.append(entry)
        except BrokerError as error:
            # It is done, and cannot be undone: the log is what remains.
            log.error(  # noqa: TRY400  # the error tells nothing more than its text
                "audit not written", error=str(error), who=entry.who, action=entry.action, object=entry.object
            )
