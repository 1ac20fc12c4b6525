"""Large immutable values in pieces, so that none blocks the store or its replication for long."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nplmon.broker.connection import milliseconds
from nplmon.broker.errors import StoreUnreachable
from nplmon.broker.keys import Key
from nplmon.broker.lua import function

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection

PIECE_BYTES = 8_000_000
_UPLOAD_SECONDS = 3600.0
"""Pieces of an upload that was never sealed expire after this time."""


@function("""
if redis.call('EXISTS', whole) == 1 then return 0 end
for _, piece in ipairs(pieces) do
  if redis.call('EXISTS', piece) == 0 then return -1 end
end
for _, piece in ipairs(pieces) do redis.call('PERSIST', piece) end
redis.call('SET', whole, #pieces .. ' ' .. token)
return 1
""")
def seal(*, whole: Key, pieces: Sequence[Key], token: str) -> int:
    """Declare an upload whole.

    Invariant: a sealed value is complete, comes from one upload, and is never replaced.

    Keys: `whole` ("COUNT TOKEN"), the pieces.

    Returns 1 sealed, 0 another upload was first, -1 a piece is missing (it expired).
    """
    raise NotImplementedError


def _pieces(prefix: str, token: str, count: int) -> list[Key]:
    return [Key(f"{prefix}:piece:{token}:{i}") for i in range(count)]


def seal_of(prefix: str) -> Key:
    """Name what says that the value of this prefix is whole."""
    return Key(f"{prefix}:pieces")


async def is_whole(connection: Connection, prefix: str) -> bool:
    """Say whether a value is stored completely."""
    return bool(await connection.ask("EXISTS", seal_of(prefix)))


async def put(connection: Connection, prefix: str, body: bytes) -> bool:
    """Store a value; the first one wins, and a torn mixture of two cannot be read.

    Returns
    -------
    bool
        True if this upload became the value.
    """
    if await is_whole(connection, prefix):
        return False
    token = secrets.token_hex(8)
    view = memoryview(body)
    parts = [view[i : i + PIECE_BYTES] for i in range(0, len(view), PIECE_BYTES)] or [view]
    keys = _pieces(prefix, token, len(parts))
    for key, part in zip(keys, parts, strict=True):
        await connection.ask("SET", key, part, "PX", milliseconds(_UPLOAD_SECONDS))
    sealed = await seal(connection, whole=seal_of(prefix), pieces=keys, token=token)
    if sealed < 1:
        for key in keys:
            await connection.ask("UNLINK", key)
    if sealed < 0:
        message = f"upload of {prefix} took longer than {_UPLOAD_SECONDS:g} s; try again"
        raise StoreUnreachable(message)
    return sealed == 1


async def get(connection: Connection, prefix: str) -> bytes | None:
    """Read a value, None if it is not stored (completely)."""
    whole = await connection.ask("GET", seal_of(prefix))
    if whole is None:
        return None
    count, token = whole.decode().split()
    parts = [await connection.ask("GET", key) for key in _pieces(prefix, token, int(count))]
    return b"".join(part or b"" for part in parts)


async def get_range(connection: Connection, prefix: str, start: int, stop: int) -> bytes | None:
    """Read the bytes from `start` up to `stop` of a value, from the pieces that hold them alone.

    All pieces but the last have the size of the first; None if the value is not stored (completely).
    """
    whole = await connection.ask("GET", seal_of(prefix))
    if whole is None:
        return None
    count, token = whole.decode().split()
    keys = _pieces(prefix, token, int(count))
    size = int(await connection.ask("STRLEN", keys[0])) or 1
    parts = []
    for i in range(start // size, min(len(keys), -(-stop // size))):
        low, high = max(start - i * size, 0), min(stop - i * size, size)
        # GETRANGE includes the last position.
        parts.append(await connection.ask("GETRANGE", keys[i], low, high - 1))
    return b"".join(parts)


async def drop(connection: Connection, prefix: str) -> None:
    """Remove a value; the seal first, so that no reader takes what is left for whole."""
    whole = await connection.ask("GET", seal_of(prefix))
    if whole is None:
        return
    count, token = whole.decode().split()
    for key in (seal_of(prefix), *_pieces(prefix, token, int(count))):
        await connection.ask("UNLINK", key)
