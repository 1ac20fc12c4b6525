"""Gate: who sends a request, by whatever it carries."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nplmon.access.bucket import Buckets
from nplmon.access.errors import RateLimited, Unauthorized
from nplmon.access.hosts import Hosts
from nplmon.access.identity import NOBODY, Identity
from nplmon.access.oidc import Issuer
from nplmon.access.sessions import Sessions
from nplmon.access.verifier import Failures, Verifier
from nplmon.broker import BrokerError

if TYPE_CHECKING:
    from nplmon.broker import Broker
    from nplmon.settings import Settings

BEARER = "bearer "


class Gate:
    """Knows who sends a request.

    Parameters
    ----------
    broker:
        Where the tokens are.
    settings:
        Whether tokens are needed, and how often one may come.
    """

    def __init__(self, broker: Broker, settings: Settings) -> None:
        self.open = not settings.needs_tokens
        self.hosts = Hosts(settings)
        self.sessions = Sessions(broker, settings.session_seconds)
        failures = Failures()
        self._verifier = Verifier(broker, failures)
        self._issuer = None if settings.oidc_issuer is None else Issuer(settings, failures)
        self._rates = Buckets(rate=settings.rate_limit, burst=2.0 * settings.rate_limit)

    async def identity(self, authorization: str | None, address: str, session: str | None = None) -> Identity:
        """Give who sends a request.

        Parameters
        ----------
        authorization:
            Its header of this name.
        address:
            Where it comes from.
        session:
            What a browser holds that has signed in; used where there is no `authorization`.

        Raises
        ------
        Unauthorized
            If it is nobody whom we know.
        RateLimited
            If it comes too often.
        StoreUnreachable
            If nobody can tell.
        """
        if self.open:
            return NOBODY
        known = await self._known(authorization, address, session)
        wait = self._rates.take(known.id)
        if wait > 0.0:
            raise RateLimited(
                f"{known.name!r} sends more requests than it may.",
                seconds=wait,
                remedy="Wait as long as Retry-After says; NPLMON_RATE_LIMIT sets the limit.",
            )
        return known

    async def still(self, identity: Identity) -> bool:
        """Tell whether somebody who was let in would be let in now: asked again for as long as an answer goes on."""
        if identity.kind == "open":
            return True
        if identity.expires_at is not None and time.time() >= identity.expires_at:
            return False
        try:
            if identity.kind == "session":
                return await self.sessions.alive(identity.session)
            return identity.kind == "oidc" or await self._verifier.alive(identity.id)
        except BrokerError:
            return True  # nor is there anything to tell

    async def _known(self, authorization: str | None, address: str, session: str | None) -> Identity:
        if authorization is None and session is not None:
            return await self.sessions.identity(session)
        if authorization is None:
            raise Unauthorized("The request carries no token.")
        if not authorization.lower().startswith(BEARER):
            raise Unauthorized("The request is authorized in another way than by a bearer token.")
        text = authorization[len(BEARER) :].strip()
        if self._issuer is not None and text.count(".") == 2:
            return await self._issuer.identity(text, address)
        token = await self._verifier.token(text, address)
        return Identity(
            kind="token",
            name=token.name,
            id=token.id,
            scopes=token.scopes,
            monitor=token.monitor,
            expires_at=token.expires_at,
        )
