"""Atomic changes of the work stream: what a trainer may do with an entry, and when it may not."""

from __future__ import annotations

from collections.abc import Sequence

from nplmon.broker.keys import Key
from nplmon.broker.lua import function

# An entry is past when its run was reset or deleted (superseded), or its place in the sequence is taken
# (duplicate). Such an entry is garbage, whoever holds it: it is acknowledged and deleted wherever it turns up.
_PAST = """
local function past(work, run, fits, entry, epoch, sequence)
  local now_at = redis.call('HMGET', run, 'epoch', 'sequence')
  local status
  if now_at[1] ~= epoch then
    status = 'superseded'
  elseif tonumber(sequence) <= tonumber(now_at[2]) or redis.call('HEXISTS', fits, sequence) == 1 then
    status = 'duplicate'
  end
  if status then settle(work, entry) end
  return status
end
"""


@function("""
if redis.call('EXISTS', monitor) == 0 then return 0 end
local made = redis.pcall('XGROUP', 'CREATE', work, GROUP, '0', 'MKSTREAM')
return 1
""")
def open_group(*, monitor: Key, work: Key) -> int:
    """Create the consumer group of a monitor that exists, from the first entry on.

    Invariant: no stream appears for a monitor that was deleted.

    Keys: monitor, work. Returns 1 the group is there, 0 there is no such monitor.
    """
    raise NotImplementedError


@function(
    _PAST
    + """
local status = past(work, run, fits, entry, epoch, sequence)
if status then return {status, false} end
return {'live', redis.call('HGET', payloads, sequence)}
"""
)
def fetch(
    *, work: Key, run: Key, fits: Key, payloads: Key, entry: str, epoch: int, sequence: int
) -> tuple[bytes, bytes | None]:
    """Give the events of an entry just leased.

    Invariant: events of another epoch are never given under an old entry; an entry that is past is removed.

    Keys: work, run, fits, payloads. Returns live and the events (nil if they are gone); superseded;
    duplicate.
    """
    raise NotImplementedError


@function("""
local left_alone = {}
for _, entry in ipairs(in_flight) do left_alone[entry] = true end
local idle = redis.pcall('XPENDING', work, GROUP, 'IDLE', idle_milliseconds, '-', '+', count + #in_flight)
if idle.err then return {} end
local claimed = {}
for _, one in ipairs(idle) do
  if #claimed == tonumber(count) then break end
  if not left_alone[one[1]] then
    local body = redis.call('XCLAIM', work, GROUP, consumer, idle_milliseconds, one[1])[1]
    if body then
      local receipt = ''
      for i = 1, #body[2], 2 do
        if body[2][i] == 'receipt' then receipt = body[2][i + 1] end
      end
      claimed[#claimed + 1] = {one[1], one[4] + 1, receipt}
    end
  end
end
-- Consumers of processes that are long gone.
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', work, GROUP)) do
  local other = {}
  for i = 1, #flat, 2 do other[flat[i]] = flat[i + 1] end
  if other.pending == 0 and other.idle > 86400000 then
    redis.call('XGROUP', 'DELCONSUMER', work, GROUP, other.name)
  end
end
return claimed
""")
def claim(
    *, work: Key, consumer: str, idle_milliseconds: int, count: int, in_flight: Sequence[str]
) -> list[tuple[bytes, int, bytes]]:
    """Take over entries that are idle for too long, whoever holds them.

    Invariant: each take-over raises the entry's delivery count by one; entries in `in_flight` keep theirs. The
    idle filter passes over entries that are held, so that all idle ones are reached without a cursor.

    Keys: work. Returns entry id, deliveries with this one, receipt, for each; nothing without such a stream.
    """
    raise NotImplementedError


@function("""
local owned = {}
for _, entry in ipairs(entries) do
  if pending(work, entry) == consumer then
    if redis.call('XCLAIM', work, GROUP, consumer, 0, entry, 'IDLE', 0, 'JUSTID')[1] then
      owned[#owned + 1] = entry
    end
  end
end
return owned
""")
def renew(*, work: Key, consumer: str, entries: Sequence[str]) -> list[bytes]:
    """Set the idle time of our entries to zero.

    Invariant: an entry of another consumer is not touched, and no delivery is counted.

    Keys: work. Returns the entries that are still ours.
    """
    raise NotImplementedError


@function(
    _PAST
    + """
local status = past(work, run, fits, entry, epoch, sequence)
if status then return status end
local owner, deliveries = pending(work, entry)
if owner ~= consumer then return 'lost' end
if error ~= '' then
  redis.call('HSET', attempts, sequence, error)
else
  deliveries = deliveries - 1
end
redis.call('XCLAIM', work, GROUP, NOBODY, 0, entry, 'IDLE', 31536000000, 'RETRYCOUNT', deliveries, 'JUSTID')
return 'handed back'
"""
)
def hand_back(
    *,
    work: Key,
    run: Key,
    fits: Key,
    attempts: Key,
    consumer: str,
    entry: str,
    epoch: int,
    sequence: int,
    error: str,
) -> bytes:
    """Give an entry to nobody, idle for a year, so that the next take-over finds it.

    Invariant: without an error the delivery is not counted; with one it is, and the error is kept.

    Keys: work, run, fits, attempts. Returns handed back; lost; superseded; duplicate.
    """
    raise NotImplementedError


@function(
    _PAST
    + """
local status = past(work, run, fits, entry, epoch, sequence)
if status then return status end
if pending(work, entry) ~= consumer or not settle(work, entry) then return 'lost' end
redis.call('HSET', fits, sequence, fit)
redis.call('HDEL', attempts, sequence)
wake(done, name)
return 'finished'
"""
)
def finish(
    *,
    work: Key,
    done: Key,
    run: Key,
    fits: Key,
    attempts: Key,
    consumer: str,
    entry: str,
    name: str,
    epoch: int,
    sequence: int,
    fit: bytes,
) -> bytes:
    """Store a result and end the entry.

    Invariant: one result per sequence number and epoch, written by the consumer that holds the entry; after it
    the entry is gone. Nothing is written for a run that was reset or deleted.

    Keys: work, done, run, fits, attempts. Returns finished; duplicate; superseded; lost.
    """
    raise NotImplementedError


@function(
    _PAST
    + """
local status = past(work, run, fits, entry, epoch, sequence)
if status then return status end
if pending(work, entry) ~= consumer or not settle(work, entry) then return 'lost' end
redis.call('HSET', fits, sequence, death)
redis.call('HSET', dead, name .. ':' .. chunk, death)
redis.call('HDEL', attempts, sequence)
local payload = redis.call('HGET', payloads, sequence)
if payload then
  redis.call('HSET', kept, chunk, payload)
  redis.call('HDEL', payloads, sequence)
end
wake(done, name)
return 'dead'
"""
)
def bury(
    *,
    work: Key,
    done: Key,
    dead: Key,
    run: Key,
    fits: Key,
    attempts: Key,
    payloads: Key,
    kept: Key,
    consumer: str,
    entry: str,
    name: str,
    chunk: str,
    epoch: int,
    sequence: int,
    death: bytes,
) -> bytes:
    """Let a death take the chunk's place in the sequence; its events are kept for a replay.

    Invariant: as of `finish`; the chunk is in `dead` exactly when its last entry ended so.

    Keys: work, done, dead, run, fits, attempts, payloads, kept. Returns dead; duplicate; superseded; lost.
    """
    raise NotImplementedError


@function("""
local consumers = redis.pcall('XINFO', 'CONSUMERS', work, GROUP)
for _, flat in ipairs(consumers.err and {} or consumers) do
  local one = {}
  for i = 1, #flat, 2 do one[flat[i]] = flat[i + 1] end
  if one.name == consumer and one.pending == 0 then
    return redis.call('XGROUP', 'DELCONSUMER', work, GROUP, consumer)
  end
end
return -1
""")
def leave(*, work: Key, consumer: str) -> int:
    """Remove a consumer that holds nothing.

    Invariant: pending entries are never dropped with their consumer.

    Keys: work. Returns 0 removed, -1 not there or still holding entries.
    """
    raise NotImplementedError
