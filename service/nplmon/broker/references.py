"""References: immutable samples, stored once per content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from nplmon.broker import pieces
from nplmon.broker.connection import milliseconds
from nplmon.broker.encoding import from_json, to_json
from nplmon.broker.errors import UnknownReference
from nplmon.broker.keys import REFERENCES, Key, ReferenceKeys
from nplmon.broker.lua import function
from nplmon.broker.messages import Reference

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection


@function("""
local held = redis.call('GET', lock)
if held and held ~= holder then return 0 end
redis.call('SET', lock, holder, 'PX', claim_milliseconds)
return 1
""")
def claim(*, lock: Key, holder: str, claim_milliseconds: int) -> int:
    """Claim a preparation, or keep the claim.

    Invariant: one holder at a time. Keys: lock. Returns 1 it is ours for this time from now, 0 another's.
    """
    raise NotImplementedError


class References:
    """Reference samples and the eigenbases prepared from them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(self, reference: Reference, body: bytes) -> bool:
        """Store a reference, and make it the newest version of its name.

        Parameters
        ----------
        body
            Safetensors bytes: `events` float32 (N, d), and `weights` float64 (N,) where it is weighted.

        Returns
        -------
        bool
            True if the content is new under this name.
        """
        keys = ReferenceKeys(reference.hash)
        # First: an upload cut short after its seal would have no owner. It has no name yet, so nobody reads it. The
        # same content may have two names; what it is was said by the first.
        await self._connection.ask("SET", keys.meta, to_json(reference), "NX")
        await pieces.put(self._connection, keys.events, body)
        before = await self._connection.ask("HGET", REFERENCES, reference.name)
        await self._connection.ask("HSET", REFERENCES, reference.name, reference.hash)
        return bool(before != reference.hash.encode())

    async def get(self, name: str) -> Reference:
        """Give the newest version of this name.

        Raises
        ------
        UnknownReference
            If no reference has it.
        """
        found = await self._connection.ask("HGET", REFERENCES, name)
        if found is None:
            raise UnknownReference(name)
        reference = await self.by_hash(found.decode())
        return msgspec.structs.replace(reference, name=name)

    async def by_hash(self, hash: str) -> Reference:  # noqa: A002 (the field's name in every message)
        """Give one version, also an old one.

        Raises
        ------
        UnknownReference
            If no reference has this content.
        """
        meta = await self._connection.ask("GET", ReferenceKeys(hash).meta)
        if meta is None:
            raise UnknownReference(hash)
        return from_json(meta, Reference)

    async def all(self) -> list[Reference]:
        """Give the newest version of each name, in order of names."""
        names = await self._connection.ask("HKEYS", REFERENCES)
        return [await self.get(name.decode()) for name in sorted(names)]

    async def body(self, hash: str) -> bytes:  # noqa: A002 (the field's name in every message)
        """Give the safetensors bytes of one version.

        Raises
        ------
        UnknownReference
            If no reference has this content.
        """
        found = await pieces.get(self._connection, ReferenceKeys(hash).events)
        if found is None:
            raise UnknownReference(hash)
        return found

    async def put_basis(self, hash: str, key: str, body: bytes) -> None:  # noqa: A002 (as above)
        """Store a prepared eigenbasis; the first one stays, so that all trainers fit in the same basis."""
        await pieces.put(self._connection, ReferenceKeys(hash).basis(key), body)

    async def basis(self, hash: str, key: str) -> bytes | None:  # noqa: A002 (as above)
        """Give a prepared eigenbasis, None if there is none yet."""
        return await pieces.get(self._connection, ReferenceKeys(hash).basis(key))

    async def put_levels(self, hash: str, name: str, body: bytes) -> None:  # noqa: A002 (as above)
        """Store thresholds; the first ones stay, so that all aggregators judge alike."""
        await self._connection.ask("SET", ReferenceKeys(hash).levels(name), body, "NX")

    async def levels(self, hash: str, name: str) -> bytes | None:  # noqa: A002 (as above)
        """Give thresholds, None if there are none yet."""
        body: bytes | None = await self._connection.ask("GET", ReferenceKeys(hash).levels(name))
        return body

    async def claim_basis(self, hash: str, key: str, holder: str, seconds: float) -> bool:  # noqa: A002 (as above)
        """Say whether this holder shall prepare the basis; others wait for it until the claim expires.

        The holder claims again from time to time while it prepares, and so keeps the claim.
        """
        return bool(
            await claim(
                self._connection,
                lock=ReferenceKeys(hash).basis_lock(key),
                holder=holder,
                claim_milliseconds=milliseconds(seconds),
            )
        )
