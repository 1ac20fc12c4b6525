"""Atomic changes of a calibration by toys: how it begins and ends, and each batch of it exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nplmon.broker.keys import Key
from nplmon.broker.lua import function

# A batch belongs to the calibration that runs, or it is superseded. Batch 0 is the first toy alone: it tells how long
# a toy takes, and with it how many make a batch.
_LIVE = """
local function live(calibration, generation)
  local at = redis.call('HMGET', calibration, 'generation', 'state')
  return at[1] == generation and at[2] == 'running'
end

local function queue(toys, generation, batch, first, count)
  redis.call('XADD', toys, '*', 'generation', generation, 'batch', batch, 'first', first, 'count', count)
end

local function renew_stream(toys)
  redis.call('UNLINK', toys)
  redis.call('XGROUP', 'CREATE', toys, GROUP, '0', 'MKSTREAM')
end

local function queue_missing(calibration, toys, batches, generation)
  local at = redis.call('HMGET', calibration, 'toys', 'size')
  local wanted, size = tonumber(at[1]), tonumber(at[2])
  local batch, first, count = 0, 0, 1
  while first < wanted and (batch == 0 or size > 0) do
    if redis.call('HEXISTS', batches, batch) == 0 then queue(toys, generation, batch, first, count) end
    batch, first = batch + 1, first + count
    count = math.min(size, wanted - first)
  end
end
"""

# What ends a calibration keeps its record, and the generation, so that nothing late is taken for a new one's.
END = """
local function end_calibration(calibration, toys, batches, result, state, reason)
  local _, _, time = now()
  redis.call('HSET', calibration, 'state', state, 'reason', reason, 'ended_at', time)
  redis.call('UNLINK', toys, batches, result)
end
"""


@function(
    _LIVE
    + """
local stored = redis.call('GET', monitor)
if not stored then return {'unknown-monitor', 0} end
local present = cjson.decode(stored).epoch
if present ~= tonumber(epoch) then return {'moved', present} end
local at = redis.call('HMGET', calibration, 'key', 'state')
local same, state = at[1] == key, at[2]
if same and (state == 'running' or state == 'complete') then return {state, 0} end
local generation = string.format('%d', redis.call('HINCRBY', calibration, 'generation', 1))
redis.call('HDEL', calibration, 'reason', 'ended_at', 'error', 'disagreement', 'pieces', 'digest')
renew_stream(toys)
if same and state == 'failed' then
  redis.call('HSET', calibration, 'state', 'running')
  queue_missing(calibration, toys, batches, generation)
  wake(done, '')
  return {'resumed', 0}
end
redis.call('UNLINK', batches, result)
redis.call('HDEL', calibration, 'seconds')
redis.call('HSET', calibration, 'state', 'running', 'key', key, 'order', order, 'toys', wanted,
  'toys_done', 0, 'size', 0, 'batches', 0, 'batches_done', 0)
queue(toys, generation, 0, 0, 1)
return {'begun', 0}
"""
)
def begin(
    *,
    monitor: Key,
    calibration: Key,
    toys: Key,
    batches: Key,
    result: Key,
    done: Key,
    epoch: int,
    key: str,
    wanted: int,
    order: bytes,
) -> list[Any]:
    """Begin a calibration, go on with one that failed, or find that it runs or is there.

    Invariant: a monitor has one calibration; another key replaces it with all its results. Each start has a
    greater generation, so that no entry of an older one is ever finished. What a failed one has done is kept.

    Keys: monitor, calibration, toys, batches, result, done. Returns begun; resumed; running; complete;
    unknown-monitor; moved and the present epoch.
    """
    raise NotImplementedError


@function("""
local at = redis.call('HMGET', calibration, 'generation', 'state', 'order')
if at[2] ~= 'running' then return {} end
local entry, fields, deliveries
local left_alone = {}
for _, one in ipairs(in_flight) do left_alone[one] = true end
local idle = redis.pcall('XPENDING', toys, GROUP, 'IDLE', idle_milliseconds, '-', '+', 1 + #in_flight)
for _, one in ipairs(idle.err and {} or idle) do
  if not entry and not left_alone[one[1]] then
    local claimed = redis.call('XCLAIM', toys, GROUP, consumer, idle_milliseconds, one[1])[1]
    if claimed then entry, fields, deliveries = claimed[1], claimed[2], one[4] + 1 end
  end
end
if not entry then
  local read = redis.pcall('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', 1, 'STREAMS', toys, '>')
  if not read or read.err or not read[1] then return {} end
  entry, fields, deliveries = read[1][2][1][1], read[1][2][1][2], 1
end
local said = {}
for i = 1, #fields, 2 do said[fields[i]] = fields[i + 1] end
return {entry, said.generation, said.batch, said.first, said.count, deliveries, at[3]}
""")
def take(
    *, calibration: Key, toys: Key, consumer: str, idle_milliseconds: int, in_flight: Sequence[str]
) -> list[Any]:
    """Lease one batch: one that its holder left alone for too long, else one that waits.

    Invariant: batches are given out only while the calibration runs; each take-over raises the entry's delivery
    count by one; entries in `in_flight` keep theirs.

    Keys: calibration, toys. Returns entry, generation, batch, first toy, number of toys, deliveries, order; nothing
    where there is no batch.
    """
    raise NotImplementedError


@function(
    _LIVE
    + """
if not live(calibration, generation) then return 'superseded' end
if redis.call('HEXISTS', batches, batch) == 1 then
  settle(toys, entry)
  return 'duplicate'
end
if pending(toys, entry) ~= consumer or not settle(toys, entry) then return 'lost' end
redis.call('HSET', batches, batch, result)
redis.call('HINCRBY', calibration, 'toys_done', count)
redis.call('HINCRBY', calibration, 'batches_done', 1)
if tonumber(batch) == 0 then
  local others = tonumber(redis.call('HGET', calibration, 'toys')) - 1
  -- More would hold up the store while they are queued.
  local each = math.max(tonumber(size), math.ceil(others / 20000))
  redis.call('HSET', calibration, 'size', string.format('%d', each), 'seconds', seconds,
    'batches', string.format('%d', 1 + math.ceil(others / each)))
  queue_missing(calibration, toys, batches, generation)
end
local at = redis.call('HMGET', calibration, 'batches', 'batches_done')
if at[1] == at[2] then wake(done, '') end
return 'finished'
"""
)
def finish(
    *,
    calibration: Key,
    toys: Key,
    batches: Key,
    done: Key,
    consumer: str,
    entry: str,
    generation: int,
    batch: int,
    count: int,
    size: int,
    seconds: float,
    result: bytes,
) -> bytes:
    """Store the result of a batch and end its entry; after the first toy, queue all the others in batches of `size`.

    Batches are larger where there would be more than 20,000.

    Invariant: one result per batch and generation, written by the consumer that holds the entry; the numbers of toys
    and batches done are those of the results stored.

    Keys: calibration, toys, batches, done. Returns finished; duplicate; lost; superseded (the calibration was
    cancelled, replaced, failed or is void).
    """
    raise NotImplementedError


@function(
    _LIVE
    + """
if not live(calibration, generation) then return 'superseded' end
local owner, deliveries = pending(toys, entry)
if owner ~= consumer then return 'lost' end
if error ~= '' then
  redis.call('HSET', calibration, 'error', error)
else
  deliveries = deliveries - 1
end
redis.call('XCLAIM', toys, GROUP, NOBODY, 0, entry, 'IDLE', 31536000000, 'RETRYCOUNT', deliveries, 'JUSTID')
return 'handed back'
"""
)
def hand_back(
    *, calibration: Key, toys: Key, consumer: str, entry: str, generation: int, error: str
) -> bytes:
    """Give a batch to nobody, idle for a year, so that the next trainer takes it over.

    Invariant: without an error the delivery is not counted; with one it is, and the error is kept.

    Keys: calibration, toys. Returns handed back; lost; superseded.
    """
    raise NotImplementedError


@function(
    _LIVE
    + """
if not live(calibration, generation) then return 'superseded' end
if pending(toys, entry) ~= consumer then return 'lost' end
local before = redis.call('HGET', calibration, 'error')
if crashed == '1' and before then reason = reason .. '; an earlier attempt failed: ' .. before end
local _, _, time = now()
redis.call('HSET', calibration, 'state', 'failed', 'reason', reason, 'ended_at', time)
redis.call('UNLINK', toys)
wake(done, '')
return 'failed'
"""
)
def fail(
    *,
    calibration: Key,
    toys: Key,
    done: Key,
    consumer: str,
    entry: str,
    generation: int,
    crashed: int,
    reason: str,
) -> bytes:
    """Let a batch that cannot be done end the calibration.

    Invariant: only the holder of the batch can; no batch waits any more, and what is done is kept for a new start.

    Keys: calibration, toys, done. Returns failed; lost; superseded.
    """
    raise NotImplementedError


@function(
    END
    + """
local state = redis.call('HGET', calibration, 'state')
if not state then return 'none' end
if state ~= 'cancelled' then
  end_calibration(calibration, toys, batches, result, 'cancelled', 'cancelled on request')
  wake(done, '')
end
return 'cancelled'
"""
)
def cancel(*, calibration: Key, toys: Key, batches: Key, result: Key, done: Key) -> bytes:
    """Cancel a calibration, whatever its state; its results are dropped.

    Invariant: after it no result of this generation is stored or read.

    Keys: calibration, toys, batches, result, done. Returns cancelled; none if there is no calibration.
    """
    raise NotImplementedError


_HELD = """
local function refused(aggregator, calibration, holder, fence, generation)
  if redis.call('GET', aggregator) ~= holder .. ' ' .. fence then return 'fenced' end
  local at = redis.call('HMGET', calibration, 'generation', 'state', 'batches', 'batches_done')
  if at[1] ~= generation or at[2] ~= 'running' then return 'superseded' end
  if at[3] == '0' or at[3] ~= at[4] then return 'unfinished' end
end
"""


@function(
    _HELD
    + """
local status = refused(aggregator, calibration, holder, fence, generation)
if status then return status end
redis.call('HSET', result, piece, body)
return 'stored'
"""
)
def store_piece(
    *,
    aggregator: Key,
    calibration: Key,
    result: Key,
    holder: str,
    fence: int,
    generation: int,
    piece: int,
    body: bytes,
) -> bytes:
    """Store one piece of what the batches were reduced to.

    Invariant: as of `complete`; nothing reads it before that.

    Keys: aggregator, calibration, result. Returns stored; fenced; superseded; unfinished.
    """
    raise NotImplementedError


@function(
    _HELD
    + """
local status = refused(aggregator, calibration, holder, fence, generation)
if status then return status end
if redis.call('HLEN', result) ~= tonumber(pieces) then return 'torn' end
local _, _, time = now()
redis.call('HSET', calibration, 'state', 'complete', 'pieces', pieces, 'digest', digest,
  'disagreement', disagreement,
  'ended_at', time)
redis.call('UNLINK', toys, batches)
return 'complete'
"""
)
def complete(
    *,
    aggregator: Key,
    calibration: Key,
    toys: Key,
    batches: Key,
    result: Key,
    holder: str,
    fence: int,
    generation: int,
    pieces: int,
    digest: str,
    disagreement: str,
) -> bytes:
    """Declare a calibration complete and drop the results of its batches.

    Invariant: once, by the aggregator that holds the monitor, from all results of the present generation; a
    complete calibration can be read whole.

    Keys: aggregator, calibration, toys, batches, result. Returns complete; fenced; superseded; unfinished (a batch
    is missing); torn (a piece is missing).
    """
    raise NotImplementedError


@function(
    _HELD
    + """
local status = refused(aggregator, calibration, holder, fence, generation)
if status then return status end
local _, _, time = now()
redis.call('HSET', calibration, 'state', 'failed', 'reason', reason, 'ended_at', time)
redis.call('UNLINK', result)
return 'failed'
"""
)
def give_up(
    *, aggregator: Key, calibration: Key, result: Key, holder: str, fence: int, generation: int, reason: str
) -> bytes:
    """Let a calibration fail whose results cannot be reduced; they are kept for a new start.

    Invariant: as of `complete`. Keys: aggregator, calibration, result. Returns failed; fenced; superseded;
    unfinished.
    """
    raise NotImplementedError
