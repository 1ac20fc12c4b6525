"""Verifier: whose token this is, by Argon2 once and from memory after that."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nplmon.access.bucket import Buckets
from nplmon.access.errors import RateLimited, Unauthorized
from nplmon.access.secret import split, verify
from nplmon.broker import BrokerError

if TYPE_CHECKING:
    from nplmon.broker import Broker
    from nplmon.broker.access_messages import Token

FRESH_SECONDS = 2.0
"""A token is read from the store again after so long: a revocation is heard within it."""
USED_SECONDS = 60.0
"""The time of a token's last use is written at most so often."""
LARGEST = 4096
"""Tokens that are remembered."""
FAILURE_SECONDS = 0.2
"""A failed attempt is answered so much later."""
FAILURES_AT_ONCE = 10.0
FAILURES_A_SECOND = 0.5


@dataclass(slots=True)
class Known:
    """A token whose secret was right."""

    token: Token
    read_at: float
    used_at: float


class Failures:
    """Attempts by address: a few at once, then one every other second, in the memory of this process."""

    def __init__(self) -> None:
        self._buckets = Buckets(rate=FAILURES_A_SECOND, burst=FAILURES_AT_ONCE)

    def attempt(self, address: str) -> None:
        """Count an attempt, before anything is looked at; one that is right is forgiven.

        Raises
        ------
        RateLimited
            Where too many failed.
        """
        wait = self._buckets.take(network(address))
        if wait > 0.0:
            raise RateLimited(
                "Too many failed attempts came from this address.",
                seconds=wait,
                remedy="Wait as long as Retry-After says; then try with a token that is right.",
            )

    def forgive(self, address: str) -> None:
        """Do not count the last attempt: it was right, or nobody could tell."""
        self._buckets.give(network(address))


class Verifier:
    """Checks tokens; what was right once is remembered by a keyed digest, never as it is."""

    def __init__(self, broker: Broker, failures: Failures) -> None:
        self._broker = broker
        self._failures = failures
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._alive: OrderedDict[str, tuple[float, bool]] = OrderedDict()
        self._checks: dict[bytes, asyncio.Task[Known | None]] = {}
        # One check at a time: each takes a core for 3 ms and 8 MB.
        self._turn = asyncio.Lock()

    async def token(self, text: str, address: str) -> Token:
        """Give the token that a text is.

        Raises
        ------
        Unauthorized
            If it is none, or expired or revoked.
        RateLimited
            If too many failed attempts came from `address`.
        StoreUnreachable
            If the store gives no answer: nobody is let in from memory for longer than two seconds.
        """
        digest = hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
        known = self._known.get(digest)
        if known is not None and time.monotonic() - known.read_at > FRESH_SECONDS:
            known = await self._again(digest, known)
        if known is None:
            known = await self._first(digest, text, address)
        token = known.token
        if token.expires_at is not None and time.time() >= token.expires_at:
            raise Unauthorized(
                f"The token {token.name!r} has expired.",
                remedy="Ask an admin for a new one.",
                error="invalid_token",
            )
        if time.monotonic() - known.used_at > USED_SECONDS:
            known.used_at = time.monotonic()
            await self._note(token)
        return token

    async def alive(self, token: str) -> bool:
        """Tell whether the token of this id is still there, as of at most two seconds ago."""
        read_at, there = self._alive.get(token, (-FRESH_SECONDS, False))
        if not there or time.monotonic() - read_at > FRESH_SECONDS:
            there = await self._broker.tokens.get(token) is not None
            self._alive[token] = (time.monotonic(), there)
            if len(self._alive) > LARGEST:
                self._alive.popitem(last=False)
        return there

    async def _again(self, digest: bytes, known: Known) -> Known | None:
        """Look whether a token that was right is still there."""
        token = await self._broker.tokens.get(known.token.id)
        if token is None or token.hash != known.token.hash:
            self._known.pop(digest, None)
            return None
        known.token, known.read_at = token, time.monotonic()
        return known

    async def _first(self, digest: bytes, text: str, address: str) -> Known:
        """Check a token that is not remembered; those who come with the same one meanwhile wait for the same check."""
        check = self._checks.get(digest)
        if check is None:
            self._failures.attempt(address)
            check = asyncio.create_task(self._check(digest, text, address))
            self._checks[digest] = check
            check.add_done_callback(lambda _: self._checks.pop(digest, None))
        known = await asyncio.shield(check)
        if known is None:
            raise Unauthorized("The token is not known.", error="invalid_token")
        return known

    async def _check(self, digest: bytes, text: str, address: str) -> Known | None:
        parts = split(text)
        try:
            token = await self._broker.tokens.get(parts[0]) if parts else None
        except BrokerError:
            self._failures.forgive(address)  # nobody could tell
            raise
        async with self._turn:
            right = await asyncio.to_thread(verify, token, parts[1] if parts else "")
        if right and token is not None:
            self._failures.forgive(address)
            return self._remember(digest, token)
        await asyncio.sleep(FAILURE_SECONDS)
        return None

    def _remember(self, digest: bytes, token: Token) -> Known:
        known = Known(token, time.monotonic(), -USED_SECONDS)
        self._known[digest] = known
        if len(self._known) > LARGEST:
            self._known.popitem(last=False)
        return known

    async def _note(self, token: Token) -> None:
        try:
            await self._broker.tokens.used(token.id, time.time())
        except BrokerError:
            # A store that is full or away: the request itself will say so, if it needs it.
            return


def network(address: str) -> str:
    """Give what counts as one address: of IPv6 the network of 64 bits, for one host may have all of it.

    Examples
    --------
    >>> network("10.0.0.7"), network("2001:db8::17"), network("testclient")
    ('10.0.0.7', '2001:db8::/64', 'testclient')
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
