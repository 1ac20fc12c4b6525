"""Admission: the one door through which chunks come in, and where each of them is now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from nplmon.broker.encoding import from_json, unpack
from nplmon.broker.errors import PayloadLost, UnknownChunk
from nplmon.broker.journal import NOTE
from nplmon.broker.keys import Key, MonitorKeys
from nplmon.broker.lua import function, word
from nplmon.broker.messages import ChunkState, Death, HistoryEntry, Receipt

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection

AdmissionStatus = Literal[
    "accepted", "duplicate", "conflict", "full", "run-closed", "unknown-monitor", "epoch-moved"
]


@dataclass(frozen=True, slots=True)
class Admitted:
    """Answer of the admission; nothing was stored unless the status is "accepted"."""

    status: AdmissionStatus
    receipt: Receipt | None
    """Of this chunk if accepted, of the first one of this id if it is a duplicate or in conflict."""
    backlog: int
    """Chunks accepted and not yet through, this one included."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Chunks of one monitor in the work stream."""

    waiting: int
    leased: int
    oldest_accepted_at: float | None


# The backlog: entries waiting or in work, or, when no aggregator takes the results, chunks not yet applied.
# A receipt gets its last fields from the server, where sequence and time cannot be out of order.
_ENTER = """
local function backlog()
  local counts = redis.call('HMGET', run, 'accepted', 'sequence')
  return math.max(redis.call('XLEN', work), tonumber(counts[1] or 0) - tonumber(counts[2] or 0))
end

local function enter(opening, name, chunk)
  local sequence = redis.call('HINCRBY', run, 'accepted', 1)
  local epochs = redis.call('HMGET', run, 'epoch', 'monitor_epoch')
  local _, _, time = now()
  local receipt = string.format('%s,"run_epoch":%d,"monitor_epoch":%d,"sequence":%d,"accepted_at":%s}',
    opening, epochs[1], epochs[2], sequence, time)
  redis.call('HSET', receipts, chunk, receipt)
  redis.call('XADD', work, '*', 'run', name, 'sequence', sequence, 'epoch', epochs[1], 'receipt', receipt)
  return receipt, string.format('%d', sequence)
end
"""


@function(
    NOTE
    + _ENTER
    + """
local stored = redis.call('GET', monitor)
if not stored then return {'unknown-monitor', '', 0} end
local first = redis.call('HGET', receipts, chunk)
if first then
  local same = cjson.decode(first).digest == digest
  return {same and 'duplicate' or 'conflict', first, backlog()}
end
if cjson.decode(stored).epoch ~= tonumber(monitor_epoch) then return {'epoch-moved', '', backlog()} end
local state = redis.call('HGET', run, 'state')
if state == 'closed' then return {'run-closed', '', backlog()} end
local before = backlog()
if before >= tonumber(limit) then return {'full', '', before} end
if not state then
  local _, _, time = now()
  redis.call('HSET', run, 'state', 'open', 'epoch', 1, 'monitor_epoch', monitor_epoch,
    'accepted', 0, 'applied', 0, 'dead', 0, 'sequence', 0, 'opened_at', time)
  redis.call('ZADD', runs, time, name)
  redis.call('SADD', open_runs, name)
  note(journal, {kind = 'run-opened', run = name})
  redis.call('PUBLISH', updates, name)
end
local receipt, sequence = enter(opening, name, chunk)
redis.call('HSET', payloads, sequence, payload)
return {'accepted', receipt, backlog()}
"""
)
def admit(
    *,
    monitor: Key,
    runs: Key,
    open_runs: Key,
    work: Key,
    run: Key,
    receipts: Key,
    payloads: Key,
    journal: Key,
    name: str,
    chunk: str,
    monitor_epoch: int,
    digest: str,
    limit: int,
    updates: str,
    opening: bytes,
    payload: bytes,
) -> list[Any]:
    """Admit one chunk.

    Invariant: payload, receipt, sequence number and work entry appear together or not at all; one id enters
    one epoch of a run once; the first chunk opens its run.

    Keys: monitor, runs, open, work, run, receipts, payloads, journal.

    Returns status, receipt, backlog: accepted; duplicate (same id, same content) and conflict (same id, other
    content) with the first receipt; epoch-moved; run-closed; full; unknown-monitor.
    """
    raise NotImplementedError


@function(
    NOTE
    + _ENTER
    + """
if redis.call('EXISTS', monitor) == 0 then return {'unknown-monitor', '', 0} end
local first = redis.call('HGET', receipts, chunk)
if not first then return {'unknown-chunk', '', 0} end
if redis.call('HEXISTS', dead, name .. ':' .. chunk) == 0 then return {'duplicate', first, backlog()} end
if redis.call('HGET', run, 'state') ~= 'open' then return {'run-closed', first, backlog()} end
local before = backlog()
if before >= tonumber(limit) then return {'full', first, before} end
local payload = redis.call('HGET', kept, chunk)
if not payload then return {'payload-lost', first, before} end
local opening = string.match(first, '^(.-),"run_epoch":')
local receipt, sequence = enter(opening, name, chunk)
redis.call('HSET', payloads, sequence, payload)
redis.call('HDEL', kept, chunk)
redis.call('HDEL', dead, name .. ':' .. chunk)
note(journal, {kind = 'dead-replayed', run = name, chunk = chunk, who = who, sequence = tonumber(sequence)})
redis.call('PUBLISH', updates, name)
return {'accepted', receipt, backlog()}
"""
)
def replay(
    *,
    monitor: Key,
    work: Key,
    dead: Key,
    run: Key,
    receipts: Key,
    payloads: Key,
    kept: Key,
    journal: Key,
    name: str,
    chunk: str,
    limit: int,
    who: str,
    updates: str,
) -> list[Any]:
    """Let a dead chunk enter again, at the end of the sequence.

    Invariant: a chunk is dead or under way, never both; its death keeps its old place in the sequence.

    Keys: monitor, work, dead, run, receipts, payloads, kept, journal.

    Returns status, receipt, backlog: accepted; duplicate (it is not dead); run-closed; full; unknown-monitor;
    unknown-chunk; payload-lost.
    """
    raise NotImplementedError


@function("""
local receipt = redis.call('HGET', receipts, chunk)
if not receipt then return {} end
local sequence = cjson.decode(receipt).sequence
local entry = redis.call('LINDEX', history, sequence - 1)
if redis.call('HEXISTS', dead, name .. ':' .. chunk) == 1 then return {'dead', receipt, entry} end
if sequence <= tonumber(redis.call('HGET', run, 'sequence')) then return {'applied', receipt, entry} end
if redis.call('HEXISTS', fits, string.format('%d', sequence)) == 1 then return {'fitted', receipt, false} end
local epoch = redis.call('HGET', run, 'epoch')
local held = redis.pcall('XPENDING', work, GROUP, '-', '+', 10000)
for _, one in ipairs(held.err and {} or held) do
  local body = redis.call('XRANGE', work, one[1], one[1])[1]
  if one[2] ~= NOBODY and body then
    local fields = {}
    for i = 1, #body[2], 2 do fields[body[2][i]] = body[2][i + 1] end
    if fields.run == name and fields.epoch == epoch and tonumber(fields.sequence) == sequence then
      return {'leased', receipt, false}
    end
  end
end
return {'queued', receipt, false}
""")
def place(
    *, work: Key, dead: Key, run: Key, receipts: Key, fits: Key, history: Key, name: str, chunk: str
) -> list[Any]:
    """Say where a chunk is; changes nothing.

    Keys: work, dead, run, receipts, fits, history. Returns state, receipt, line of the history or nil;
    nothing if the run's epoch has no such chunk.
    """
    raise NotImplementedError


@function("""
local total, leased = redis.call('XLEN', work), 0
local summary = redis.pcall('XPENDING', work, GROUP)
for _, one in ipairs(not summary.err and summary[4] or {}) do
  if one[1] ~= NOBODY then leased = leased + tonumber(one[2]) end
end
local oldest = redis.call('XRANGE', work, '-', '+', 'COUNT', 1)[1]
return {total - leased, leased, oldest and oldest[2] or {}}
""")
def count_backlog(*, work: Key) -> list[Any]:
    """Count the entries of the work stream; changes nothing.

    Keys: work. Returns the numbers of waiting and leased entries, and the fields of the oldest entry.
    """
    raise NotImplementedError


class Admission:
    """Chunks coming in, and where they are."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def admit(
        self,
        *,
        monitor: str,
        monitor_epoch: int,
        run: str,
        chunk: str,
        digest: str,
        payload: bytes,
        events: int,
        exposure: float | None,
        source_time: float | None,
        backlog_limit: int,
    ) -> Admitted:
        """Admit one chunk; repeating the call changes nothing more.

        Parameters
        ----------
        monitor_epoch
            The epoch against which the chunk was checked.
        digest
            Of the payload: what makes two chunks the same.
        payload
            Events, float32 little-endian, row major.

        Raises
        ------
        StoreFull
            If the store has no memory left.
        """
        keys = MonitorKeys(monitor)
        one = keys.run(run)
        opening = msgspec.json.encode(
            {
                "monitor": monitor,
                "run": run,
                "chunk": chunk,
                "events": events,
                "digest": digest,
                "exposure": exposure,
                "source_time": source_time,
            }
        )[:-1]
        reply = await admit(
            self._connection,
            monitor=keys.monitor,
            runs=keys.runs,
            open_runs=keys.open_runs,
            work=keys.work,
            run=one.hash,
            receipts=one.receipts,
            payloads=one.payloads,
            journal=keys.journal,
            name=run,
            chunk=chunk,
            monitor_epoch=monitor_epoch,
            digest=digest,
            limit=backlog_limit,
            updates=keys.updates,
            opening=opening,
            payload=payload,
        )
        return _admitted(reply)

    async def replay(
        self, monitor: str, run: str, chunk: str, backlog_limit: int, *, who: str = ""
    ) -> Admitted:
        """Let a dead chunk enter again, with a new sequence number; "duplicate" if it is not dead.

        Raises
        ------
        UnknownChunk
            If the run's epoch has no such chunk.
        PayloadLost
            If its events are gone.
        """
        keys = MonitorKeys(monitor)
        one = keys.run(run)
        reply = await replay(
            self._connection,
            monitor=keys.monitor,
            work=keys.work,
            dead=keys.dead,
            run=one.hash,
            receipts=one.receipts,
            payloads=one.payloads,
            kept=one.kept,
            journal=keys.journal,
            name=run,
            chunk=chunk,
            limit=backlog_limit,
            who=who,
            updates=keys.updates,
        )
        if reply[0] == b"unknown-chunk":
            raise UnknownChunk(monitor, run, chunk)
        if reply[0] == b"payload-lost":
            raise PayloadLost(monitor, run, chunk)
        return _admitted(reply)

    async def place(
        self, monitor: str, run: str, chunk: str
    ) -> tuple[ChunkState, Receipt, HistoryEntry | None]:
        """Give the state of a chunk, its receipt, and its line of the history once it is applied or dead.

        Raises
        ------
        UnknownChunk
            If the run's epoch has no such chunk.
        """
        keys = MonitorKeys(monitor)
        one = keys.run(run)
        reply = await place(
            self._connection,
            work=keys.work,
            dead=keys.dead,
            run=one.hash,
            receipts=one.receipts,
            fits=one.fits,
            history=one.history,
            name=run,
            chunk=chunk,
        )
        if not reply:
            raise UnknownChunk(monitor, run, chunk)
        state: ChunkState = word(reply[0], "queued", "leased", "fitted", "applied", "dead")
        entry = from_json(reply[2], HistoryEntry) if reply[2] else None
        return state, from_json(reply[1], Receipt), entry

    async def dead(self, monitor: str) -> list[Death]:
        """Give the chunks given up and not replayed, in order of their deaths."""
        bodies = await self._connection.ask("HVALS", MonitorKeys(monitor).dead)
        deaths = [death for death in map(unpack, bodies) if isinstance(death, Death)]
        return sorted(deaths, key=lambda death: death.died_at)

    async def backlog(self, monitor: str) -> Backlog:
        """Count the chunks of a monitor that wait or are in work; all zero if there is no such monitor."""
        waiting, leased, oldest = await count_backlog(self._connection, work=MonitorKeys(monitor).work)
        fields = dict(zip(oldest[::2], oldest[1::2], strict=True))
        accepted_at = from_json(fields[b"receipt"], Receipt).accepted_at if fields else None
        return Backlog(waiting=waiting, leased=leased, oldest_accepted_at=accepted_at)


def _admitted(reply: list[Any]) -> Admitted:
    status, receipt, backlog = reply
    return Admitted(
        status=word(
            status,
            "accepted",
            "duplicate",
            "conflict",
            "full",
            "run-closed",
            "unknown-monitor",
            "epoch-moved",
        ),
        receipt=from_json(receipt, Receipt) if receipt else None,
        backlog=backlog,
    )
