"""Whether an open run is stale, as its journal has it: each beginning and each end is written once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nplmon.broker.alarm_messages import JournalEntry
from nplmon.broker.journal import NOTE, encoded
from nplmon.broker.keys import Key, MonitorKeys
from nplmon.broker.lua import function

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection


@function(
    NOTE
    + """
if redis.call('GET', aggregator) ~= holder .. ' ' .. fence then return 0 end
local at = redis.call('HMGET', run, 'epoch', 'state', 'stale')
if at[1] ~= epoch or at[2] ~= 'open' or (at[3] or '0') == stale then return 0 end
redis.call('HSET', run, 'stale', stale)
write(journal, entry)
redis.call('PUBLISH', updates, name)
return 1
"""
)
def turn(
    *,
    aggregator: Key,
    run: Key,
    journal: Key,
    holder: str,
    fence: int,
    epoch: int,
    stale: int,
    name: str,
    updates: str,
    entry: bytes,
) -> int:
    """Write that a run has become stale, or that it is no longer.

    Invariant: the two take turns in the journal of an epoch, beginning with stale, whoever holds the monitor and
    however often it is said; a closed run is neither.

    Keys: aggregator, run, journal. Returns 1 written, 0 it is so already, or the run or the hold has moved on.
    """
    raise NotImplementedError


class Staleness:
    """Which runs are stale."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def turn(
        self, monitor: str, run: str, *, epoch: int, stale: bool, text: str, holder: str, fence: int
    ) -> bool:
        """Write that an open run has become stale, or is so no longer; False where nothing is to be written."""
        keys = MonitorKeys(monitor)
        written = await turn(
            self._connection,
            aggregator=keys.aggregator,
            run=keys.run(run).hash,
            journal=keys.journal,
            holder=holder,
            fence=fence,
            epoch=epoch,
            stale=int(stale),
            name=run,
            updates=keys.updates,
            entry=encoded(JournalEntry(kind="stale" if stale else "fresh", run=run, text=text)),
        )
        return bool(written)

    async def is_stale(self, monitor: str, run: str) -> bool:
        """Tell what was written last; of a closed run, what it was when it was closed."""
        found = await self._connection.ask("HGET", MonitorKeys(monitor).run(run).hash, "stale")
        return bool(found == b"1")
