"""Runs: what accumulates together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nplmon.broker.alarm_messages import Acknowledgement
from nplmon.broker.encoding import from_json
from nplmon.broker.errors import UnknownMonitor, UnknownRun
from nplmon.broker.journal import NOTE
from nplmon.broker.keys import Key, MonitorKeys
from nplmon.broker.lua import function
from nplmon.broker.messages import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nplmon.broker.connection import Connection


@function(
    NOTE
    + """
if redis.call('EXISTS', run) == 0 then return {} end
if redis.call('HGET', run, 'state') == 'open' then
  local _, _, time = now()
  redis.call('HSET', run, 'state', 'closed', 'closed_at', time)
  redis.call('SREM', open_runs, name)
  note(journal, {kind = 'run-closed', run = name, who = who})
  local at = redis.call('HMGET', run, 'accepted', 'sequence')
  if at[1] == at[2] then redis.call('UNLINK', payloads) end
  wake(done, name)
  redis.call('PUBLISH', updates, name)
end
return redis.call('HGETALL', run)
"""
)
def close(
    *,
    run: Key,
    open_runs: Key,
    done: Key,
    payloads: Key,
    journal: Key,
    name: str,
    updates: str,
    who: str,
) -> list[bytes]:
    """Close a run: no more chunks; those accepted are still applied.

    Invariant: `open` holds exactly the runs that take chunks. The events of a closed run are dropped once all its
    chunks are in the statistic, here or by the last save: nothing will ask for them.

    Keys: run, open, done, payloads, journal. Returns the run's fields; nothing if there is no such run.
    """
    raise NotImplementedError


@function(
    NOTE
    + """
local stored = redis.call('GET', monitor)
if not stored or redis.call('EXISTS', run) == 0 then return {} end
if redis.call('HGET', run, 'epoch') ~= epoch then return redis.call('HGETALL', run) end
redis.call('HINCRBY', run, 'epoch', 1)
local _, _, time = now()
redis.call('HSET', run, 'state', 'open', 'monitor_epoch', string.format('%d', cjson.decode(stored).epoch),
  'accepted', 0, 'applied', 0, 'dead', 0, 'sequence', 0, 'opened_at', time)
redis.call('HDEL', run, 'closed_at', 'acknowledged', 'stale')
redis.call('SADD', open_runs, name)
for _, key in ipairs(contents) do redis.call('UNLINK', key) end
for _, field in ipairs(redis.call('HKEYS', dead)) do
  if string.sub(field, 1, #name + 1) == name .. ':' then redis.call('HDEL', dead, field) end
end
note(journal, {kind = 'run-reset', run = name, who = who, text = 'epoch ' .. redis.call('HGET', run, 'epoch')})
wake(done, name)
redis.call('PUBLISH', updates, name)
return redis.call('HGETALL', run)
"""
)
def reset(
    *,
    monitor: Key,
    run: Key,
    open_runs: Key,
    dead: Key,
    done: Key,
    journal: Key,
    contents: Sequence[Key],
    name: str,
    epoch: int,
    updates: str,
    who: str,
) -> list[bytes]:
    """Begin a new epoch of a run at zero, with the monitor's present settings.

    Invariant: nothing of the old epoch is left but its work entries, which carry the old epoch and are
    therefore superseded wherever they turn up. The run leaves `epoch` once: a command that the connection repeats,
    because the reply was lost, does not drop what was accepted since.

    Keys: monitor, run, open, dead, done, journal, all contents of the run. Returns the run's fields; nothing if there
    is no such run.
    """
    raise NotImplementedError


def run_of(monitor: str, name: str, fields: Mapping[bytes, bytes]) -> Run:
    """Read a run from the fields of its hash."""
    closed_at, acknowledged = fields.get(b"closed_at"), fields.get(b"acknowledged")
    return Run(
        monitor=monitor,
        name=name,
        state="open" if fields[b"state"] == b"open" else "closed",
        epoch=int(fields[b"epoch"]),
        monitor_epoch=int(fields[b"monitor_epoch"]),
        accepted=int(fields[b"accepted"]),
        applied=int(fields[b"applied"]),
        dead=int(fields[b"dead"]),
        opened_at=float(fields[b"opened_at"]),
        closed_at=None if closed_at is None else float(closed_at),
        acknowledged=None if acknowledged is None else from_json(acknowledged, Acknowledgement),
    )


class Runs:
    """The runs of all monitors; the first chunk opens a run."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, monitor: str, run: str) -> Run:
        """Give one run.

        Raises
        ------
        UnknownMonitor
            If there is no such monitor.
        UnknownRun
            If the monitor has no such run.
        """
        fields = await self._connection.ask("HGETALL", MonitorKeys(monitor).run(run).hash)
        if not fields:
            raise await self._unknown(monitor, run)
        return run_of(monitor, run, fields)

    async def all(self, monitor: str) -> list[Run]:
        """Give all runs, the one opened last first.

        Raises
        ------
        UnknownMonitor
            If there is no such monitor.
        """
        keys = MonitorKeys(monitor)
        found = []
        for name in await self._connection.ask("ZREVRANGE", keys.runs, 0, -1):
            fields = await self._connection.ask("HGETALL", keys.run(name.decode()).hash)
            if fields:
                found.append(run_of(monitor, name.decode(), fields))
        if not found and not await self._connection.ask("EXISTS", keys.monitor):
            raise UnknownMonitor(monitor)
        return found

    async def latest(self, monitor: str) -> Run | None:
        """Give the run opened last, None if there is none.

        Raises
        ------
        UnknownMonitor
            If there is no such monitor.
        """
        keys = MonitorKeys(monitor)
        names = await self._connection.ask("ZREVRANGE", keys.runs, 0, 0)
        if names:
            return await self.get(monitor, names[0].decode())
        if not await self._connection.ask("EXISTS", keys.monitor):
            raise UnknownMonitor(monitor)
        return None

    async def close(self, monitor: str, run: str, *, who: str = "") -> Run:
        """Close a run, as `who` tells the journal; closing it again changes nothing.

        Raises
        ------
        UnknownMonitor
            If there is no such monitor.
        UnknownRun
            If the monitor has no such run.
        """
        keys = MonitorKeys(monitor)
        fields = await close(
            self._connection,
            run=keys.run(run).hash,
            open_runs=keys.open_runs,
            done=keys.done,
            payloads=keys.run(run).payloads,
            journal=keys.journal,
            name=run,
            updates=keys.updates,
            who=who,
        )
        return await self._answer(monitor, run, fields)

    async def reset(self, monitor: str, run: str, *, who: str = "") -> Run:
        """Begin a new epoch of a run: all counts and statistics from zero, open; `who` did it, for the journal.

        Raises
        ------
        UnknownMonitor
            If there is no such monitor.
        UnknownRun
            If the monitor has no such run.
        """
        keys = MonitorKeys(monitor)
        one = keys.run(run)
        epoch = (await self.get(monitor, run)).epoch
        fields = await reset(
            self._connection,
            monitor=keys.monitor,
            run=one.hash,
            open_runs=keys.open_runs,
            dead=keys.dead,
            done=keys.done,
            journal=keys.journal,
            contents=one.contents,
            name=run,
            epoch=epoch,
            updates=keys.updates,
            who=who,
        )
        return await self._answer(monitor, run, fields)

    async def _answer(self, monitor: str, run: str, fields: Sequence[Any]) -> Run:
        if not fields:
            raise await self._unknown(monitor, run)
        return run_of(monitor, run, dict(zip(fields[::2], fields[1::2], strict=True)))

    async def _unknown(self, monitor: str, run: str) -> UnknownMonitor | UnknownRun:
        known = await self._connection.ask("EXISTS", MonitorKeys(monitor).monitor)
        return UnknownRun(monitor, run) if known else UnknownMonitor(monitor)
