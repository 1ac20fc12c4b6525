"""Monitors: what each statistic depends on, by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from nplmon.broker.encoding import from_json, to_json
from nplmon.broker.errors import (
    EpochMoved,
    MonitorExists,
    MonitorOutdated,
    RunsOpen,
    StoredOtherwise,
    UnknownMonitor,
)
from nplmon.broker.journal import NOTE
from nplmon.broker.keys import MONITORS, Key, MonitorKeys
from nplmon.broker.lua import function
from nplmon.broker.messages import Monitor
from nplmon.broker.toys import END

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection


@function("""
local stored = redis.call('GET', monitor)
if stored then return stored == body and 1 or 0 end
redis.call('SET', monitor, body)
redis.call('SET', at_epoch, body)
redis.call('XGROUP', 'CREATE', work, GROUP, '0', 'MKSTREAM')
return 1
""")
def create(*, monitor: Key, at_epoch: Key, work: Key, body: bytes) -> int:
    """Create a monitor with its first epoch and its consumer group.

    Invariant: a monitor is never overwritten.

    Keys: monitor, monitor:EPOCH, work. Returns 1 created (also when the very same call is repeated), 0 the
    name is taken.
    """
    raise NotImplementedError


@function(
    NOTE
    + END
    + """
local stored = redis.call('GET', monitor)
if not stored then return {'unknown'} end
if stored == body then return {'changed'} end
local present = cjson.decode(stored).epoch
local names = {}
if statistical == '1' then
  if present ~= tonumber(epoch) - 1 then return {'moved', present} end
  names = redis.call('SMEMBERS', open_runs)
  if #names > 0 then return {'open', names} end
elseif present ~= tonumber(epoch) then
  return {'moved', present}
end
redis.call('SET', monitor, body)
redis.call('SET', at_epoch, body)
note(journal, {kind = 'monitor-changed', who = who, text = 'epoch ' .. epoch})
redis.call('PUBLISH', updates, '*')
local state = redis.call('HGET', calibration, 'state')
if statistical == '1' and state and state ~= 'cancelled' and state ~= 'void' then
  end_calibration(calibration, toys, batches, result, 'void',
    'the monitor was changed and is at epoch ' .. epoch .. '; calibrate it again')
end
return {'changed'}
"""
)
def change(
    *,
    monitor: Key,
    at_epoch: Key,
    open_runs: Key,
    calibration: Key,
    toys: Key,
    batches: Key,
    result: Key,
    journal: Key,
    epoch: int,
    statistical: int,
    updates: str,
    who: str,
    body: bytes,
) -> list[Any]:
    """Replace a monitor; with `statistical` 1 this begins the epoch given.

    Invariant: no run is open while the epoch moves, and epochs follow each other without gaps. A calibration by toys
    is void from the moment that the epoch moves.

    Keys: monitor, monitor:EPOCH, open, calibration, toys, batches, result, journal. Returns changed; unknown; moved and
    the present epoch; open and the runs.
    """
    raise NotImplementedError


@function("""
local stored = redis.call('GET', monitor)
if not stored then return 'unknown' end
if cjson.decode(stored).epoch ~= tonumber(epoch) then return 'moved' end
local present = redis.call('ZRANGE', runs, 0, -1)
if #present ~= #names then return 'moved' end
for i, name in ipairs(present) do
  if name ~= names[i] then return 'moved' end
end
redis.call('UNLINK', monitor, runs)
for _, key in ipairs(others) do redis.call('UNLINK', key) end
redis.call('PUBLISH', updates, '')
return 'deleted'
""")
def delete(
    *, monitor: Key, runs: Key, others: Sequence[Key], epoch: int, updates: str, names: Sequence[bytes]
) -> bytes:
    """Remove a monitor with all that belongs to it.

    Invariant: no key of the monitor is left but its positions in pools, and none comes back: every function that
    writes needs the monitor, a run or a pending entry, and all three are gone. `others` are the keys of the epochs
    and of the runs named.

    Keys: monitor, runs, all others. Returns deleted; unknown; moved: epoch or runs are not those named.
    """
    raise NotImplementedError


class Monitors:
    """The monitors of this store."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create(self, monitor: Monitor) -> None:
        """Create a monitor.

        Raises
        ------
        MonitorExists
            If the name is taken.
        """
        keys = MonitorKeys(monitor.name)
        created = await create(
            self._connection,
            monitor=keys.monitor,
            at_epoch=keys.at(monitor.epoch),
            work=keys.work,
            body=to_json(monitor),
        )
        # The set lies in another slot. Adding also when the name is taken heals a creation cut short here.
        await self._connection.ask("SADD", MONITORS, monitor.name)
        if not created:
            raise MonitorExists(monitor.name)

    async def get(self, name: str) -> Monitor:
        """Give a monitor as it is now.

        Raises
        ------
        UnknownMonitor
            If there is none of this name.
        MonitorOutdated
            If an earlier version stored it with settings that this one does not know.
        """
        body = await self._connection.ask("GET", MonitorKeys(name).monitor)
        if body is None:
            raise UnknownMonitor(name)
        return read_monitor(name, body)

    async def at(self, name: str, epoch: int) -> Monitor:
        """Give a monitor as it was at an epoch.

        Raises
        ------
        UnknownMonitor
            If there is none of this name, or it never had this epoch.
        MonitorOutdated
            If an earlier version stored it with settings that this one does not know.
        """
        body = await self._connection.ask("GET", MonitorKeys(name).at(epoch))
        if body is None:
            raise UnknownMonitor(name, epoch)
        return read_monitor(name, body)

    async def all(self) -> list[Monitor]:
        """Give all monitors, in order of names; those that an earlier version stored are left out."""
        found = []
        for name in sorted(await self._connection.ask("SMEMBERS", MONITORS)):
            body = await self._connection.ask("GET", MonitorKeys(name.decode()).monitor)
            if body is not None:
                with suppress(MonitorOutdated):  # it must not hide all others; asked for by name it is told
                    found.append(read_monitor(name.decode(), body))
        return found

    async def names(self) -> list[str]:
        """Give the names of all monitors, in order."""
        return [monitor.name for monitor in await self.all()]

    async def change(self, monitor: Monitor, *, statistical: bool, who: str = "") -> None:
        """Replace a monitor.

        Parameters
        ----------
        monitor
            As it shall be; its epoch is the new one if the change is statistical, else the present one.
        who
            Who changes it, for the journal.

        Raises
        ------
        UnknownMonitor
            If there is none of this name.
        RunsOpen
            If the change is statistical and a run is open.
        EpochMoved
            If somebody else changed it meanwhile.
        """
        keys = MonitorKeys(monitor.name)
        status, *rest = await change(
            self._connection,
            monitor=keys.monitor,
            at_epoch=keys.at(monitor.epoch),
            open_runs=keys.open_runs,
            calibration=keys.calibration,
            toys=keys.toys,
            batches=keys.toy_batches,
            result=keys.toy_result,
            journal=keys.journal,
            epoch=monitor.epoch,
            statistical=int(statistical),
            updates=keys.updates,
            who=who,
            body=to_json(monitor),
        )
        if status == b"unknown":
            raise UnknownMonitor(monitor.name)
        if status == b"open":
            raise RunsOpen(monitor.name, sorted(name.decode() for name in rest[0]))
        if status == b"moved":
            raise EpochMoved(monitor.name, rest[0])

    async def delete(self, name: str) -> None:
        """Remove a monitor with all its runs; work under way ends as superseded.

        Raises
        ------
        UnknownMonitor
            If there is none of this name.
        """
        keys = MonitorKeys(name)
        status = b"moved"
        # A run opened or a setting changed between the reading and the deletion: read again.
        while status == b"moved":
            body = await self._connection.ask("GET", keys.monitor)
            if body is None:
                raise UnknownMonitor(name)
            epoch = from_json(body, _Epoch).epoch  # also of one that cannot be read any more
            runs = await self._connection.ask("ZRANGE", keys.runs, 0, -1)
            others = [*keys.fixed, *(keys.at(i) for i in range(1, epoch + 1))]
            for run in runs:
                one = keys.run(run.decode())
                others += [one.hash, *one.contents]
            status = await delete(
                self._connection,
                monitor=keys.monitor,
                runs=keys.runs,
                others=others,
                epoch=epoch,
                updates=keys.updates,
                names=runs,
            )
        await self._connection.ask("SREM", MONITORS, name)
        # Created again between the two commands: it must not be missing in the set.
        if await self._connection.ask("EXISTS", keys.monitor):
            await self._connection.ask("SADD", MONITORS, name)


class _Epoch(msgspec.Struct):
    """What every version stores of a monitor."""

    epoch: int


def read_monitor(name: str, body: bytes) -> Monitor:
    """Read a monitor as it is stored.

    Raises
    ------
    MonitorOutdated
        If an earlier version stored it with settings that this one does not know.
    """
    try:
        return from_json(body, Monitor)
    except StoredOtherwise as error:
        raise MonitorOutdated(name, str(error.__cause__)) from error
