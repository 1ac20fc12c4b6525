"""How far the journal of each monitor is told to those who are notified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nplmon.broker.keys import Key, MonitorKeys
from nplmon.broker.lua import function

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection


@function("""
if redis.call('EXISTS', monitor) == 0 then return false end
local at = redis.call('GET', notified)
if not at then
  local last = redis.call('XREVRANGE', journal, '+', '-', 'COUNT', 1)[1]
  at = last and last[1] or '0-0'
  redis.call('SET', notified, at)
end
return at
""")
def begin(*, monitor: Key, journal: Key, notified: Key) -> bytes | None:
    """Give the place up to which the journal is told; where there is none yet, its present end.

    Invariant: nobody is told of the past of a monitor that begins to be watched, and of all that comes later at least
    once; a deleted monitor has no place.

    Keys: monitor, journal, notified. Returns the id of an entry; nil if there is no such monitor.
    """
    raise NotImplementedError


@function("""
local at = redis.call('GET', notified)
if at == after then return 1 end
if at ~= before then return 0 end
redis.call('SET', notified, after)
return 1
""")
def move(*, notified: Key, before: str, after: str) -> int:
    """Move the place on.

    Invariant: it is moved by whoever read it last, so that none who was replaced moves it back, or past what is not
    told.

    Keys: notified. Returns 1 moved, 0 it is elsewhere: read again.
    """
    raise NotImplementedError


class Notifications:
    """The places of all monitors."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(self, monitor: str) -> str | None:
        """Give the id of the last entry that is told; the present end where nothing was; None without a monitor."""
        keys = MonitorKeys(monitor)
        at = await begin(self._connection, monitor=keys.monitor, journal=keys.journal, notified=keys.notified)
        return None if at is None else at.decode()

    async def move(self, monitor: str, before: str, after: str) -> bool:
        """Say that all entries up to `after` are told; False if the place is not `before` any more."""
        moved = await move(
            self._connection, notified=MonitorKeys(monitor).notified, before=before, after=after
        )
        return bool(moved)
