"""Dead letters: chunks given up, until they are replayed or deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nplmon.broker.errors import UnknownChunk
from nplmon.broker.journal import NOTE
from nplmon.broker.keys import Key, MonitorKeys
from nplmon.broker.lua import function

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection


@function(
    NOTE
    + """
if redis.call('HDEL', dead, name .. ':' .. chunk) == 0 then return 0 end
redis.call('HDEL', kept, chunk)
redis.call('HDEL', receipts, chunk)
note(journal, {kind = 'dead-deleted', run = name, chunk = chunk, who = who})
redis.call('PUBLISH', updates, name)
return 1
"""
)
def delete(
    *, dead: Key, receipts: Key, kept: Key, journal: Key, name: str, chunk: str, who: str, updates: str
) -> int:
    """Delete a dead chunk with its events and its receipt.

    Invariant: what is deleted was in no statistic and never will be; its death keeps its place in the sequence. Its
    id is free for another chunk.

    Keys: dead, receipts and kept of the run, journal. Returns 1 deleted, 0 it is not dead.
    """
    raise NotImplementedError


class DeadLetters:
    """The chunks given up, of all monitors."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def count(self, monitor: str) -> int:
        """Give the number of chunks given up, and neither replayed nor deleted."""
        return int(await self._connection.ask("HLEN", MonitorKeys(monitor).dead))

    async def delete(self, monitor: str, run: str, chunk: str, *, who: str) -> None:
        """Delete a dead chunk for good.

        Raises
        ------
        UnknownChunk
            If the run has no dead chunk of this id.
        """
        keys = MonitorKeys(monitor)
        one = keys.run(run)
        deleted = await delete(
            self._connection,
            dead=keys.dead,
            receipts=one.receipts,
            kept=one.kept,
            journal=keys.journal,
            name=run,
            chunk=chunk,
            who=who,
            updates=keys.updates,
        )
        if not deleted:
            raise UnknownChunk(monitor, run, chunk)
