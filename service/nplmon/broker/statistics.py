"""Statistics: what the aggregator writes, fenced, and what all others read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from redis.exceptions import RedisError

from nplmon.broker.connection import block_milliseconds, looked_at, milliseconds
from nplmon.broker.encoding import from_json, to_json, unpack
from nplmon.broker.errors import translated
from nplmon.broker.journal import NOTE, encoded
from nplmon.broker.keys import Key, MonitorKeys
from nplmon.broker.lua import function, word
from nplmon.broker.messages import Death, Fit, HistoryEntry, Snapshot

if TYPE_CHECKING:
    from nplmon.broker.alarm_messages import JournalEntry
    from nplmon.broker.connection import Connection

_BATCH = 200


@function("""
if redis.call('EXISTS', monitor) == 0 then return false end
local held = redis.call('GET', aggregator)
if held then
  local owner, present = string.match(held, '^(.*) (%d+)$')
  if owner ~= holder then return false end
  redis.call('PEXPIRE', aggregator, hold_milliseconds)
  return tonumber(present)
end
local seconds, microseconds = now()
local next = math.max(tonumber(redis.call('GET', fence) or 0) + 1, seconds * 1000000 + microseconds)
next = string.format('%.0f', next)
redis.call('SET', fence, next)
redis.call('SET', aggregator, holder .. ' ' .. next, 'PX', hold_milliseconds)
return tonumber(next)
""")
def hold(*, monitor: Key, aggregator: Key, fence: Key, holder: str, hold_milliseconds: int) -> int | None:
    """Hold or renew the right to write a monitor's statistics.

    Invariant: one holder at a time; each new hold has a greater fence, also over the deletion of the monitor
    and of this very counter (it starts at the server's clock).

    Keys: monitor, aggregator, aggregator:fence. Returns the fence; nil if another holds it or there is no
    such monitor.
    """
    raise NotImplementedError


@function("""
local held = redis.call('GET', aggregator)
if held and string.match(held, '^(.*) %d+$') == holder then return redis.call('DEL', aggregator) end
return 0
""")
def release(*, aggregator: Key, holder: str) -> int:
    """Give the right back.

    Invariant: only its holder can. Keys: aggregator. Returns 1 released, 0 it was not ours.
    """
    raise NotImplementedError


@function(
    NOTE
    + """
if redis.call('GET', aggregator) ~= holder .. ' ' .. fence then return 'fenced' end
local at = redis.call('HMGET', run, 'epoch', 'sequence')
if at[1] ~= epoch then return 'superseded' end
if at[2] ~= previous then return 'moved' end
if pool_after ~= pool_before then
  if (redis.call('HGET', positions, reference) or '0') ~= pool_before then return 'moved' end
  redis.call('HSET', positions, reference, pool_after)
end
redis.call('SET', state, new_state)
redis.call('SET', snapshot, new_snapshot)
if new_projection ~= '' then redis.call('SET', projection, new_projection) end
redis.call('HSET', run, 'sequence', sequence, 'applied', applied, 'dead', deaths)
in_batches('RPUSH', history, lines)
in_batches('HDEL', payloads, drop_payloads)
local at = redis.call('HMGET', run, 'state', 'accepted')
if at[1] == 'closed' and at[2] == sequence then redis.call('UNLINK', payloads) end
in_batches('HDEL', fits, drop_fits)
for _, entry in ipairs(notes) do write(journal, entry) end
redis.call('PUBLISH', updates, name)
return 'saved'
"""
)
def save(
    *,
    aggregator: Key,
    run: Key,
    state: Key,
    snapshot: Key,
    history: Key,
    projection: Key,
    payloads: Key,
    fits: Key,
    positions: Key,
    journal: Key,
    holder: str,
    fence: int,
    epoch: int,
    previous: int,
    sequence: int,
    applied: int,
    deaths: int,
    reference: str,
    pool_before: int,
    pool_after: int,
    name: str,
    updates: str,
    new_state: bytes,
    new_snapshot: bytes,
    new_projection: bytes,
    lines: Sequence[bytes],
    drop_payloads: Sequence[int],
    drop_fits: Sequence[int],
    notes: Sequence[bytes],
) -> bytes:
    """Advance the statistic of a run.

    Invariant: state, snapshot, history, counters and projection always belong to one sequence number, and
    each chunk is applied once: the writer holds the fence, and the state was computed from the one stored. The
    monitor's position in the pool moves with them, so that it uses no event of the pool twice.

    Keys: aggregator, run, state, snapshot, history, projection, payloads, fits, the monitor's pool positions,
    journal.

    Returns saved; fenced (another aggregator holds the monitor, or the hold expired); superseded (the run was
    reset or deleted); moved (the stored state is not at `previous`, or the pool not at `pool_before`: read again).
    """
    raise NotImplementedError


class Statistics:
    """The statistics of all runs: one writer per monitor, many readers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def hold(self, monitor: str, holder: str, seconds: float) -> int | None:
        """Hold or renew the right to write; give the fence, None if another has it or the monitor is gone."""
        keys = MonitorKeys(monitor)
        return await hold(
            self._connection,
            monitor=keys.monitor,
            aggregator=keys.aggregator,
            fence=keys.fence,
            holder=holder,
            hold_milliseconds=milliseconds(seconds),
        )

    async def release(self, monitor: str, holder: str) -> None:
        """Give the right back, if it is ours."""
        await release(self._connection, aggregator=MonitorKeys(monitor).aggregator, holder=holder)

    async def fits(self, monitor: str, run: str, after: int, count: int) -> list[Fit | Death]:
        """Give the results after a sequence number, consecutive, up to the first gap or `count`."""
        wanted = range(after + 1, after + 1 + count)
        if not wanted:
            return []
        found: list[Fit | Death] = []
        for body in await self._connection.ask("HMGET", MonitorKeys(monitor).run(run).fits, *wanted):
            if body is None:
                break
            found.append(unpack(body))
        return found

    async def models(self, monitor: str, run: str, upto: int) -> list[Fit]:
        """Give all stored fits up to a sequence number, in order."""
        key = MonitorKeys(monitor).run(run).fits
        sequences = sorted(i for i in map(int, await self._connection.ask("HKEYS", key)) if i <= upto)
        found: list[Fit] = []
        for i in range(0, len(sequences), _BATCH):
            bodies = await self._connection.ask("HMGET", key, *sequences[i : i + _BATCH])
            results = (unpack(body) for body in bodies if body is not None)
            found += [result for result in results if isinstance(result, Fit)]
        return found

    async def payload(self, monitor: str, run: str, sequence: int) -> bytes | None:
        """Give the events of one chunk: float32 little-endian, row major; None if they were dropped."""
        body: bytes | None = await self._connection.ask(
            "HGET", MonitorKeys(monitor).run(run).payloads, sequence
        )
        return body

    async def state(self, monitor: str, run: str) -> bytes | None:
        """Give the aggregator's saved arrays."""
        body: bytes | None = await self._connection.ask("GET", MonitorKeys(monitor).run(run).state)
        return body

    async def save(
        self,
        monitor: str,
        run: str,
        *,
        holder: str,
        fence: int,
        run_epoch: int,
        previous: int,
        snapshot: Snapshot,
        state: bytes,
        history: Sequence[HistoryEntry],
        projection: bytes | None,
        drop_payloads: Sequence[int],
        drop_fits: Sequence[int],
        pool: tuple[int, int] = (0, 0),
        journal: Sequence[JournalEntry] = (),
    ) -> Literal["saved", "fenced", "superseded", "moved"]:
        """Advance the statistic of a run from `previous` to `snapshot.sequence`, all or nothing.

        Parameters
        ----------
        history
            One entry per sequence number from previous + 1 to snapshot.sequence.
        projection
            None leaves the stored one as it is.
        drop_payloads, drop_fits
            Sequence numbers whose events or fits are not needed any more.
        pool
            The monitor's position in the pool of the snapshot's reference: as stored before, and as it shall be.
        journal
            What these chunks have raised.

        Raises
        ------
        ValueError
            If the history does not lead from `previous` to the snapshot's sequence.
        """
        if [entry.sequence for entry in history] != list(range(previous + 1, snapshot.sequence + 1)):
            message = (
                f"the history of run {run!r} must lead from {previous + 1} to {snapshot.sequence}, "
                f"not {[entry.sequence for entry in history]}"
            )
            raise ValueError(message)
        keys = MonitorKeys(monitor)
        one = keys.run(run)
        reply = await save(
            self._connection,
            aggregator=keys.aggregator,
            run=one.hash,
            state=one.state,
            snapshot=one.snapshot,
            history=one.history,
            projection=one.projection,
            payloads=one.payloads,
            fits=one.fits,
            positions=keys.positions,
            journal=keys.journal,
            holder=holder,
            fence=fence,
            epoch=run_epoch,
            previous=previous,
            sequence=snapshot.sequence,
            applied=snapshot.chunks,
            deaths=snapshot.dead,
            reference=snapshot.reference_hash,
            pool_before=pool[0],
            pool_after=pool[1],
            name=run,
            updates=keys.updates,
            new_state=state,
            new_snapshot=to_json(snapshot),
            new_projection=projection or b"",
            lines=[to_json(entry) for entry in history],
            drop_payloads=drop_payloads,
            drop_fits=drop_fits,
            notes=[encoded(entry) for entry in journal],
        )
        return word(reply, "saved", "fenced", "superseded", "moved")

    async def snapshot(self, monitor: str, run: str) -> Snapshot | None:
        """Give the saved snapshot, None if nothing was applied yet."""
        body = await self._connection.ask("GET", MonitorKeys(monitor).run(run).snapshot)
        return None if body is None else from_json(body, Snapshot)

    async def projection(self, monitor: str, run: str) -> bytes | None:
        """Give the averaged ratio in projected form, None while t_agg is not frozen."""
        body: bytes | None = await self._connection.ask("GET", MonitorKeys(monitor).run(run).projection)
        return body

    async def history(self, monitor: str, run: str, since: int, count: int) -> list[HistoryEntry]:
        """Give up to `count` lines of the history with sequence numbers above `since`."""
        lines = await self.history_lines(monitor, run, since, count)
        return [from_json(line, HistoryEntry) for line in lines]

    async def history_lines(self, monitor: str, run: str, since: int, count: int) -> list[bytes]:
        """Give up to `count` lines of the history after `since`, as they are stored."""
        if count < 1:
            return []
        key = MonitorKeys(monitor).run(run).history
        found: list[bytes] = await self._connection.ask("LRANGE", key, since, since + count - 1)
        return found

    async def history_length(self, monitor: str, run: str) -> int:
        """Give the number of lines of the history."""
        return int(await self._connection.ask("LLEN", MonitorKeys(monitor).run(run).history))

    async def wait_done(self, cursors: dict[str, str], block_seconds: float) -> list[str]:
        """Wait for news of these monitors: results, deaths, runs closed or reset.

        Parameters
        ----------
        cursors
            Monitor -> where we stopped reading; begin with "0-0". Updated in place.

        Returns
        -------
        list[str]
            Monitors with news; empty when none came in time.
        """
        if not cursors:
            await asyncio.sleep(block_seconds)
            return []
        if self._connection.one_slot and len(cursors) > 1:
            return await looked_at(lambda: self._news(cursors), block_seconds)
        return await self._read(cursors, cursors, "BLOCK", block_milliseconds(block_seconds))

    async def _news(self, cursors: dict[str, str]) -> list[str]:
        return [
            monitor for one in list(cursors) for monitor in await self._read(cursors, [one], "COUNT", 1000)
        ]

    async def _read(self, cursors: dict[str, str], monitors: Iterable[str], *how: str | int) -> list[str]:
        names = {MonitorKeys(monitor).done.encode(): monitor for monitor in monitors}
        places = [cursors[monitor] for monitor in names.values()]
        reply = await self._connection.ask("XREAD", *how, "STREAMS", *names, *places)
        news = []
        for key, entries in reply or []:
            monitor = names[key]
            cursors[monitor] = entries[-1][0].decode()
            news.append(monitor)
        return news

    async def updates(self, monitor: str) -> AsyncIterator[str]:
        """Give the name of each run whose snapshot changed, as it changes; ends with the monitor or the broker.

        The subscription begins with the first step of the iteration. News may be missed while the store is
        unreachable, so a reader also looks at the snapshot from time to time.
        """
        listener = self._connection.subscription()
        try:
            await listener.subscribe(MonitorKeys(monitor).updates)
            # A closed connection would be opened again by the subscription, hence the look at it now and then.
            while not self._connection.closed:
                message = await listener.get_message(timeout=1.0)
                if message is None:
                    continue
                if not message["data"]:
                    return
                yield message["data"].decode()
        except RedisError as error:
            raise translated(error) from error
        finally:
            close: Any = listener.aclose
            await close()
