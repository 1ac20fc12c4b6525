"""Gate: who sends a request, by whatever it carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nplmon.access.bucket import Buckets
from nplmon.access.errors import RateLimited, Unauthorized
from nplmon.access.identity import NOBODY, Identity
from nplmon.access.verifier import Failures, Verifier

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
        failures = Failures()
        self._verifier = Verifier(broker, failures)
        self._rates = Buckets(rate=settings.rate_limit, burst=2.0 * settings.rate_limit)

    async def identity(self, authorization: str | None, address: str) -> Identity:
        """Give who sends a request.

        Parameters
        ----------
        authorization:
            Its header of this name.
        address:
            Where it comes from.

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
        known = await self._known(authorization, address)
        wait = self._rates.take(known.id)
        if wait > 0.0:
            raise RateLimited(
                f"{known.name!r} sends more requests than it may.",
                seconds=wait,
                remedy="Wait as long as Retry-After says; NPLMON_RATE_LIMIT sets the limit.",
            )
        return known

    async def _known(self, authorization: str | None, address: str) -> Identity:
        if authorization is None:
            raise Unauthorized("The request carries no token.")
        if not authorization.lower().startswith(BEARER):
            raise Unauthorized("The request is authorized in another way than by a bearer token.")
        token = await self._verifier.token(authorization[len(BEARER) :].strip(), address)
        return Identity(
            kind="token",
            name=token.name,
            id=token.id,
            scopes=token.scopes,
            monitor=token.monitor,
            expires_at=token.expires_at,
        )
