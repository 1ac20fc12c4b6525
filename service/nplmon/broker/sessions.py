"""Sessions: browsers that have signed in; each expires by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nplmon.broker import keys
from nplmon.broker.access_messages import Session
from nplmon.broker.connection import milliseconds
from nplmon.broker.encoding import from_json, to_json

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection


class Sessions:
    """The sessions, by the digest of what the browser holds."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(self, digest: str, session: Session, seconds: float) -> None:
        """Store a session that ends after this time."""
        await self._connection.ask("SET", keys.session(digest), to_json(session), "PX", milliseconds(seconds))

    async def get(self, digest: str) -> Session | None:
        """Give a session, None if it has ended."""
        body = await self._connection.ask("GET", keys.session(digest))
        return None if body is None else from_json(body, Session)

    async def end(self, digest: str) -> None:
        """End a session."""
        await self._connection.ask("DEL", keys.session(digest))
