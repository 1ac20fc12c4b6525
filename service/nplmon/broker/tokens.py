"""Tokens: who may speak to the interface; each is one field, so that every change is one command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nplmon.broker import keys
from nplmon.broker.access_messages import Token
from nplmon.broker.encoding import from_json, to_json

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection


class Tokens:
    """The API tokens, by their public ids."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, token: Token) -> None:
        """Store a token."""
        await self._connection.ask("HSET", keys.TOKENS, token.id, to_json(token))

    async def get(self, token: str) -> Token | None:
        """Give the token of this id, None if there is none or it was revoked."""
        body = await self._connection.ask("HGET", keys.TOKENS, token)
        return None if body is None else from_json(body, Token)

    async def all(self) -> list[Token]:
        """Give all tokens, the oldest first."""
        found = await self._connection.ask("HVALS", keys.TOKENS)
        return sorted((from_json(body, Token) for body in found), key=lambda token: token.created_at)

    async def count(self) -> int:
        """Count the tokens, also those that have expired."""
        return int(await self._connection.ask("HLEN", keys.TOKENS))

    async def revoke(self, token: str) -> bool:
        """Forget a token; False if there was none."""
        gone = await self._connection.ask("HDEL", keys.TOKENS, token)
        await self._connection.ask("HDEL", keys.TOKENS_USED, token)
        return bool(gone)

    async def used(self, token: str, at: float) -> None:
        """Note that a token was used; by whole seconds, and not at each use."""
        await self._connection.ask("HSET", keys.TOKENS_USED, token, int(at))

    async def last_used(self) -> dict[str, float]:
        """Give when each token was used last, to about a minute; those never used are absent."""
        found = await self._connection.ask("HGETALL", keys.TOKENS_USED)
        return {name.decode(): float(at) for name, at in found.items()}
