"""Glances: what is known of a monitor now, read in one call and without what is heavy, to look at many monitors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from redis.exceptions import RedisError

from nplmon.broker.alarm_messages import TestAlarm
from nplmon.broker.encoding import from_json
from nplmon.broker.errors import UnknownMonitor, translated
from nplmon.broker.judgement import CalibrationUsed
from nplmon.broker.keys import MONITORS, Key, MonitorKeys
from nplmon.broker.lua import function
from nplmon.broker.messages import Alarm, Monitor, Run, Statistic, StatisticKind
from nplmon.broker.monitors import read_monitor
from nplmon.broker.runs import run_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nplmon.broker.connection import Connection

_LOOKS = 3


@function("""
local stored = redis.call('GET', monitor)
if not stored then return {'unknown'} end
local about = {stored, redis.call('HLEN', dead), redis.call('HGET', calibration, 'state'),
  redis.call('GET', test_alarm)}
local latest = redis.call('ZREVRANGE', runs, 0, 0)[1]
if not latest then return {'no run', about} end
if latest ~= name then return {'other', about, latest} end
local first = tonumber(since)
if redis.call('HGET', run, 'epoch') ~= epoch then first = 0 end
-- To LRANGE an end of -1 is the end of the list.
local lines = tonumber(count) > 0 and redis.call('LRANGE', history, first, first + count - 1) or {}
return {'run', about, redis.call('HGETALL', run), redis.call('GET', snapshot), redis.call('LLEN', history), first,
  lines}
""")
def glance(
    *,
    monitor: Key,
    runs: Key,
    dead: Key,
    calibration: Key,
    test_alarm: Key,
    run: Key,
    snapshot: Key,
    history: Key,
    name: str,
    epoch: int,
    since: int,
    count: int,
) -> list[Any]:
    """Look at a monitor and at the run opened last, all of one moment; changes nothing.

    `name` is the run that the caller takes for the last one, and `epoch` that in which it read the history up to
    `since`; of another epoch the history is given from its beginning.

    Keys: monitor, runs, dead, calibration, test alarm; run, snapshot and history of the run named.

    Returns unknown; no run; other and the name of the run to ask about; run with its fields, its snapshot, the length
    of its history, how many lines come before those given, and up to `count` lines. All but the first are followed by
    the monitor, the number of dead chunks, the state of the calibration and the test alarm.
    """
    raise NotImplementedError


class FeatureHead(msgspec.Struct, frozen=True, kw_only=True):
    """Of a feature what needs no bins, see `FeatureRatio`."""

    name: str
    shift: float
    shift_error: float | None = None
    rank: int = 1


class ToleranceHead(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a warning or an alarm is withheld, see `ToleranceState`."""

    withheld: bool = False


class SnapshotHead(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot without what is heavy, see `Snapshot`."""

    run_epoch: int
    sequence: int
    chunks: int
    events: int
    exposure_ratio: float
    exposure_budget: float = 0.5
    pool_left: int | None = None
    statistics: dict[str, Statistic] = {}
    tolerance: ToleranceHead | None = None
    deciding: StatisticKind | None = None
    calibration: CalibrationUsed | None = None
    alarm: Alarm = Alarm()
    features: tuple[FeatureHead, ...] = ()
    updated_at: float
    last_accepted_at: float


@dataclass(frozen=True, slots=True)
class Glance:
    """A monitor at one moment."""

    monitor: Monitor
    run: Run | None = None
    """The one opened last."""
    snapshot: SnapshotHead | None = None
    dead: int = 0
    """Chunks given up, and neither replayed nor deleted, of all runs."""
    calibration: str | None = None
    """State of the calibration by toys; None if nobody asked for one."""
    test: TestAlarm | None = None
    length: int = 0
    """Lines of the run's history."""
    first: int = 0
    """Lines before those in `lines`."""
    lines: tuple[bytes, ...] = ()
    """A stretch of the history, as it is stored."""


class Glances:
    """Looks at monitors, many and often."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, monitor: str, *, run: str = "", epoch: int = 0, since: int = 0, count: int) -> Glance:
        """Look at a monitor.

        Parameters
        ----------
        run, epoch, since
            Where the caller has read the history: the run opened last as far as it knows, its epoch, and the number
            of lines. Of another run or epoch the history is given from its beginning.
        count
            Lines of the history to give at most.

        Raises
        ------
        UnknownMonitor
            If there is none of this name.
        MonitorOutdated
            If an earlier version stored it.
        """
        keys = MonitorKeys(monitor)
        for _ in range(_LOOKS):
            one = keys.run(run)
            status, *rest = await glance(
                self._connection,
                monitor=keys.monitor,
                runs=keys.runs,
                dead=keys.dead,
                calibration=keys.calibration,
                test_alarm=keys.test_alarm,
                run=one.hash,
                snapshot=one.snapshot,
                history=one.history,
                name=run,
                epoch=epoch,
                since=since,
                count=count,
            )
            if status == b"unknown":
                raise UnknownMonitor(monitor)
            if status != b"other":
                break
            # Runs open rarely: asked a second time, the run opened last is mostly the one that was named.
            run, epoch, since = rest[1].decode(), 0, 0
        stored, dead, calibration, test = rest[0]
        seen = Glance(
            monitor=read_monitor(monitor, stored),
            dead=dead,
            calibration=None if calibration is None else calibration.decode(),
            test=None if test is None else from_json(test, TestAlarm),
        )
        if status != b"run":
            return seen
        _, fields, snapshot, length, first, lines = rest
        return Glance(
            monitor=seen.monitor,
            run=run_of(monitor, run, dict(zip(fields[::2], fields[1::2], strict=True))),
            snapshot=None if snapshot is None else from_json(snapshot, SnapshotHead),
            dead=seen.dead,
            calibration=seen.calibration,
            test=seen.test,
            length=length,
            first=first,
            lines=tuple(lines),
        )

    async def names(self) -> list[str]:
        """Give the names of all monitors, in order, also of those that an earlier version stored."""
        return sorted(name.decode() for name in await self._connection.ask("SMEMBERS", MONITORS))

    async def changes(self) -> AsyncIterator[str]:
        """Give the name of each monitor of which something changed, as it changes; ends with the broker.

        The first that it gives is "": from now on nothing is missed, until the store cannot be reached, which it
        says by ending with an error. On a cluster it hears all nodes, for what is published is sent to all.

        Raises
        ------
        StoreUnreachable
            If the subscription is lost.
        """
        pattern = MonitorKeys("*").updates
        before, after = (part.encode() for part in pattern.split("*"))
        listener = self._connection.subscription()
        try:
            await listener.psubscribe(pattern)
            await listener.get_message(timeout=1.0)  # the confirmation
            yield ""
            # A closed connection would be opened again by the subscription, hence the look at it now and then.
            while not self._connection.closed:
                message = await listener.get_message(timeout=1.0)
                if message is not None:
                    yield message["channel"].removeprefix(before).removesuffix(after).decode()
        except RedisError as error:
            raise translated(error) from error
        finally:
            close: Any = listener.aclose
            await close()
