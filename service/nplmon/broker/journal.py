"""The journal of a monitor: what happened and what was done, in order, written with what it tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from nplmon.broker.alarm_messages import JournalEntry
from nplmon.broker.encoding import from_json, to_json
from nplmon.broker.keys import Key, MonitorKeys
from nplmon.broker.lua import function

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection

BEGIN = "0-0"
"""Before the first entry."""

# About the last ten thousand entries stay: it is a record for people, no work is lost with the oldest.
NOTE = """
local function write(journal, entry)
  redis.call('XADD', journal, 'MAXLEN', '~', 10000, '*', 'entry', entry)
end

local function note(journal, fields)
  write(journal, cjson.encode(fields))
end
"""


@function(
    NOTE
    + """
if redis.call('EXISTS', monitor) == 0 then return 0 end
local last = redis.call('XREVRANGE', journal, '+', '-', 'COUNT', 1)[1]
if last and last[2][2] == entry then return 0 end
write(journal, entry)
redis.call('PUBLISH', updates, '*')
return 1
"""
)
def append(*, monitor: Key, journal: Key, updates: str, entry: bytes) -> int:
    """Write one entry.

    Invariant: a deleted monitor has no journal; an entry equal to the last one is the same one, sent again by the
    connection.

    Keys: monitor, journal. Returns 1 written, 0 not.
    """
    raise NotImplementedError


class Journal:
    """The journals of all monitors."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def append(self, monitor: str, entry: JournalEntry) -> bool:
        """Write one entry; its id and time are the store's. False if it is there already or the monitor is gone."""
        keys = MonitorKeys(monitor)
        written = await append(
            self._connection,
            monitor=keys.monitor,
            journal=keys.journal,
            updates=keys.updates,
            entry=encoded(entry),
        )
        return bool(written)

    async def entries(self, monitor: str, since: str = BEGIN, count: int = 100) -> list[JournalEntry]:
        """Give up to `count` entries after the one of this id, the oldest first."""
        found = await self._connection.ask(
            "XRANGE", MonitorKeys(monitor).journal, f"({since}", "+", "COUNT", count
        )
        return [_entry(*one) for one in found]

    async def latest(self, monitor: str, count: int = 100) -> list[JournalEntry]:
        """Give the last `count` entries, the newest first."""
        found = await self._connection.ask(
            "XREVRANGE", MonitorKeys(monitor).journal, "+", "-", "COUNT", count
        )
        return [_entry(*one) for one in found]


def encoded(entry: JournalEntry) -> bytes:
    """Give an entry as it is stored: without id and time, which are the store's."""
    return to_json(msgspec.structs.replace(entry, id="", at=0.0))


def _entry(place: bytes, fields: dict[bytes, bytes]) -> JournalEntry:
    stored = from_json(fields[b"entry"], JournalEntry)
    return msgspec.structs.replace(stored, id=place.decode(), at=int(place.split(b"-")[0]) / 1000)
