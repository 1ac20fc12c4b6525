"""Pools: held-out events of a reference version, appended to and never changed; and how far each monitor is in them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from nplmon.broker import pieces
from nplmon.broker.errors import PoolFull, StoreUnreachable, UnknownReference
from nplmon.broker.keys import Key, MonitorKeys, ReferenceKeys
from nplmon.broker.lua import function
from nplmon.broker.pool_messages import Pool, PoolSegment

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection


@function("""
if redis.call('HEXISTS', known, hash) == 1 then return 0 end
if redis.call('EXISTS', meta) == 0 then return -1 end
if redis.call('EXISTS', whole) == 0 then return -2 end
local held, first = 0, 0
for _, line in ipairs(redis.call('LRANGE', pool, 0, -1)) do
  local before, count = string.match(line, '^(%d+) (%d+) ')
  held, first = held + count, before + count
end
if held + events > tonumber(limit) then return -3 end
local _, _, time = now()
redis.call('RPUSH', pool, string.format('%d %d %s %s', first, events, hash, time))
redis.call('HSET', known, hash, first)
return 1
""")
def append(
    *,
    pool: Key,
    known: Key,
    meta: Key,
    whole: Key,
    hash: str,  # noqa: A002 (the field's name in every message)
    events: int,
    limit: int,
) -> int:
    """Append a segment to a pool.

    Invariant: a segment is whole before it is listed, is listed once, and the place of an event never changes.

    Keys: pool, pool:known, meta, the seal of the segment's pieces.

    Returns 1 appended, 0 it is or was there, -1 no such reference, -2 its events are missing, -3 the pool is full.
    """
    raise NotImplementedError


@function("""
local dropped = {}
while redis.call('LLEN', pool) > 1 do
  local first, events, hash = string.match(redis.call('LINDEX', pool, 0), '^(%d+) (%d+) (%x+) ')
  if first + events > tonumber(used) then break end
  redis.call('LPOP', pool)
  table.insert(dropped, hash)
end
return dropped
""")
def trim(*, pool: Key, used: int) -> list[bytes]:
    """Take segments of used events off the head of a pool's list.

    Invariant: the last segment stays, for it says where the next begins; what was known stays known.

    Keys: pool. Returns the hashes of the segments taken off.
    """
    raise NotImplementedError


class Pools:
    """The pools of all reference versions."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(
        self, reference_hash: str, segment_hash: str, body: bytes, *, events: int, limit: int
    ) -> bool:
        """Append a segment.

        Parameters
        ----------
        segment_hash
            Of its content.
        body
            Its events in all features of the reference: float32, little-endian, row major; in random order.
        limit
            Events that the pool may have.

        Returns
        -------
        bool
            False if this content is there: nothing was added.

        Raises
        ------
        UnknownReference
            If no reference has this content.
        PoolFull
            If the pool would have more events than the limit.
        """
        keys = ReferenceKeys(reference_hash)
        prefix = keys.segment(segment_hash)
        held = (await self.get(reference_hash)).events
        if await self._connection.ask("HEXISTS", keys.pool_known, segment_hash):
            return False
        if held + events > limit:
            raise PoolFull(reference_hash, held, events, limit)
        await pieces.put(self._connection, prefix, body)
        reply = await append(
            self._connection,
            pool=keys.pool,
            known=keys.pool_known,
            meta=keys.meta,
            whole=pieces.seal_of(prefix),
            hash=segment_hash,
            events=events,
            limit=limit,
        )
        if reply in {-1, -3}:
            await pieces.drop(self._connection, prefix)
        if reply == -1:
            raise UnknownReference(reference_hash)
        if reply == -2:
            message = f"the events of segment {segment_hash[:12]} are not in the store; send them again"
            raise StoreUnreachable(message)
        if reply == -3:
            raise PoolFull(reference_hash, held, events, limit)
        return reply == 1

    async def trim(self, reference_hash: str, used: int) -> int:
        """Drop segments whose events are all before number `used`; give how many segments.

        Parameters
        ----------
        used
            The least position of all monitors with this reference: none reads what is before.
        """
        keys = ReferenceKeys(reference_hash)
        dropped = await trim(self._connection, pool=keys.pool, used=used)
        for segment in dropped:
            await pieces.drop(self._connection, keys.segment(segment.decode()))
        return len(dropped)

    async def get(self, reference_hash: str) -> Pool:
        """Give the pool of a reference version; one without any is empty."""
        lines = await self._connection.ask("LRANGE", ReferenceKeys(reference_hash).pool, 0, -1)
        segments = tuple(_segment(line.decode()) for line in lines)
        digest = hashlib.sha256("".join(segment.hash for segment in segments).encode()).hexdigest()
        return Pool(
            reference_hash=reference_hash,
            hash=digest if segments else "",
            first=segments[0].first if segments else 0,
            events=sum(segment.events for segment in segments),
            segments=segments,
        )

    async def read(self, pool: Pool, first: int, count: int, row_bytes: int) -> bytes:
        """Give the events from number `first` on, up to `count` of them; fewer where the pool ends or has dropped them.

        Parameters
        ----------
        pool
            As `get` gave it; events added since are not seen.
        row_bytes
            Bytes of one event: 4 x features of the reference.

        Raises
        ------
        StoreUnreachable
            If the store has lost events of the pool.
        """
        found = []
        for segment in pool.segments:
            low = max(first - segment.first, 0)
            high = min(first + count - segment.first, segment.events)
            if low >= high:
                continue
            prefix = ReferenceKeys(pool.reference_hash).segment(segment.hash)
            body = await pieces.get_range(self._connection, prefix, low * row_bytes, high * row_bytes)
            if body is None or len(body) != (high - low) * row_bytes:
                message = f"events of segment {segment.hash[:12]} of a pool are not in the store"
                raise StoreUnreachable(message)
            found.append(body)
        return b"".join(found)

    async def position(self, monitor: str, reference_hash: str) -> int:
        """Give the number of events of this pool that a monitor has used: where its unused ones begin."""
        return int(await self._connection.ask("HGET", MonitorKeys(monitor).positions, reference_hash) or 0)


def _segment(line: str) -> PoolSegment:
    first, events, content, added_at = line.split()
    return PoolSegment(hash=content, first=int(first), events=int(events), added_at=float(added_at))
