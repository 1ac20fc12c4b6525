"""Sessions: browsers that have signed in with a token; kept in the store, by the digest of what the browser holds."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from nplmon.access.errors import Unauthorized
from nplmon.access.identity import Identity
from nplmon.access.secret import SECRET_BYTES, digest
from nplmon.access.verifier import FRESH_SECONDS, LARGEST
from nplmon.broker.access_messages import Session

if TYPE_CHECKING:
    from nplmon.broker import Broker

REMEDY = "Sign in again."


class Sessions:
    """Begins, knows and ends sessions."""

    def __init__(self, broker: Broker, seconds: float) -> None:
        self._broker = broker
        self._seconds = seconds
        self._known: OrderedDict[str, tuple[Session, float]] = OrderedDict()

    async def begin(self, identity: Identity) -> tuple[str, Session]:
        """Begin one for somebody who has shown who he is: what the browser gets to hold, and what is stored."""
        now = time.time()
        seconds = self._seconds
        if identity.kind == "token" and identity.expires_at is not None:
            seconds = min(seconds, identity.expires_at - now)
        session = Session(
            name=identity.name,
            scopes=identity.scopes,
            monitor=identity.monitor,
            token=identity.id if identity.kind == "token" else None,
            created_at=now,
            expires_at=now + seconds,
        )
        held = secrets.token_urlsafe(SECRET_BYTES)
        await self._broker.sessions.begin(digest(held), session, seconds)
        return held, session

    async def identity(self, held: str) -> Identity:
        """Give who a browser is.

        Raises
        ------
        Unauthorized
            If the session has ended.
        """
        name = digest(held)
        session = await self._read(name)
        if session is None:
            raise Unauthorized("The session has ended.", remedy=REMEDY)
        return Identity(
            kind="session",
            name=session.name,
            id=session.token or f"session:{name[:16]}",
            scopes=session.scopes,
            monitor=session.monitor,
            expires_at=session.expires_at,
            session=name,
        )

    async def alive(self, name: str) -> bool:
        """Tell whether a session is still there."""
        return await self._read(name) is not None

    async def end(self, name: str) -> None:
        """End a session."""
        self._known.pop(name, None)
        await self._broker.sessions.end(name)

    async def _read(self, name: str) -> Session | None:
        known = self._known.get(name)
        if known is not None and time.monotonic() - known[1] <= FRESH_SECONDS:
            session: Session | None = known[0]
        else:
            session = await self._broker.sessions.get(name)
            if session is not None and session.token is not None:
                token = await self._broker.tokens.get(session.token)
                session = None if token is None else session
            self._known.pop(name, None)
            if session is not None:
                self._known[name] = (session, time.monotonic())
                if len(self._known) > LARGEST:
                    self._known.popitem(last=False)
        if session is not None and time.time() >= session.expires_at:
            return None
        return session
