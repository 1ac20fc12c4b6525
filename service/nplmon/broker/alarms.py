"""Alarms as people handle them: taken note of, and fired for a test."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from nplmon.broker.alarm_messages import Acknowledgement, TestAlarm
from nplmon.broker.encoding import from_json, to_json
from nplmon.broker.errors import AlarmChanged, NoAlarm, UnknownMonitor
from nplmon.broker.journal import NOTE
from nplmon.broker.keys import Key, MonitorKeys
from nplmon.broker.lua import function

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection
    from nplmon.broker.message import AlarmLevel


@function(
    NOTE
    + """
local stored = redis.call('GET', snapshot)
local alarm = stored and cjson.decode(stored).alarm
if not alarm or alarm.level == 'ok' then return {'no-alarm'} end
if alarm.level ~= level or alarm.sequence ~= tonumber(sequence) then
  return {'changed', alarm.level, alarm.sequence}
end
if redis.call('HGET', run, 'acknowledged') == body then return {'acknowledged'} end
redis.call('HSET', run, 'acknowledged', body)
note(journal, {kind = 'acknowledged', run = name, level = level, sequence = alarm.sequence,
  chunk = alarm.chunk, who = who, text = comment})
redis.call('PUBLISH', updates, name)
return {'acknowledged'}
"""
)
def acknowledge(
    *,
    run: Key,
    snapshot: Key,
    journal: Key,
    name: str,
    level: str,
    sequence: int,
    who: str,
    comment: str,
    updates: str,
    body: bytes,
) -> list[Any]:
    """Take note of the alarm of a run.

    Invariant: what is acknowledged is the alarm that was looked at; one that has risen since is not.

    Keys: run, snapshot, journal. Returns acknowledged; no-alarm; changed with the present level and sequence.
    """
    raise NotImplementedError


@function(
    NOTE
    + """
if redis.call('EXISTS', monitor) == 0 then return 0 end
if redis.call('GET', test_alarm) == body then return 1 end
redis.call('SET', test_alarm, body, 'PX', milliseconds)
note(journal, {kind = 'test-begun', who = who, text = comment})
redis.call('PUBLISH', updates, '*')
return 1
"""
)
def begin_test(
    *,
    monitor: Key,
    test_alarm: Key,
    journal: Key,
    milliseconds: int,
    who: str,
    comment: str,
    updates: str,
    body: bytes,
) -> int:
    """Fire a test alarm; one that is there is replaced.

    Invariant: it ends by itself, and touches no statistic and no alarm of a run.

    Keys: monitor, test alarm, journal. Returns 1 fired, 0 there is no such monitor.
    """
    raise NotImplementedError


@function(
    NOTE
    + """
if redis.call('DEL', test_alarm) == 0 then return 0 end
note(journal, {kind = 'test-ended', who = who})
redis.call('PUBLISH', updates, '*')
return 1
"""
)
def end_test(*, test_alarm: Key, journal: Key, who: str, updates: str) -> int:
    """End a test alarm before its time.

    Invariant: its end is journaled once. Keys: test alarm, journal. Returns 1 ended, 0 there is none.
    """
    raise NotImplementedError


class Alarms:
    """Acknowledgements and test alarms of all monitors."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def acknowledge(
        self, monitor: str, run: str, *, level: AlarmLevel, sequence: int, who: str, comment: str
    ) -> Acknowledgement:
        """Take note of the alarm of a run, as it was looked at: its level, and the chunk that raised it.

        Raises
        ------
        NoAlarm
            If the run has no alarm (or there is no such run).
        AlarmChanged
            If its alarm is another one by now.
        """
        keys = MonitorKeys(monitor)
        one = keys.run(run)
        done = Acknowledgement(level=level, sequence=sequence, who=who, comment=comment, at=time.time())
        status, *rest = await acknowledge(
            self._connection,
            run=one.hash,
            snapshot=one.snapshot,
            journal=keys.journal,
            name=run,
            level=level,
            sequence=sequence,
            who=who,
            comment=comment,
            updates=keys.updates,
            body=to_json(done),
        )
        if status == b"no-alarm":
            raise NoAlarm(monitor, run)
        if status == b"changed":
            raise AlarmChanged(monitor, run, rest[0].decode(), int(rest[1]))
        return done

    async def test(self, monitor: str) -> TestAlarm | None:
        """Give the test alarm of a monitor, None if there is none now."""
        body = await self._connection.ask("GET", MonitorKeys(monitor).test_alarm)
        return None if body is None else from_json(body, TestAlarm)

    async def begin_test(self, monitor: str, *, seconds: float, who: str, comment: str) -> TestAlarm:
        """Fire a test alarm that ends by itself after so many seconds; it replaces one that is there.

        Raises
        ------
        UnknownMonitor
            If there is no such monitor.
        """
        keys = MonitorKeys(monitor)
        now = time.time()
        fired = TestAlarm(who=who, comment=comment, since=now, until=now + seconds)
        begun = await begin_test(
            self._connection,
            monitor=keys.monitor,
            test_alarm=keys.test_alarm,
            journal=keys.journal,
            milliseconds=max(1, round(seconds * 1000)),
            who=who,
            comment=comment,
            updates=keys.updates,
            body=to_json(fired),
        )
        if not begun:
            raise UnknownMonitor(monitor)
        return fired

    async def end_test(self, monitor: str, *, who: str) -> bool:
        """End a test alarm before its time; False if there is none."""
        keys = MonitorKeys(monitor)
        ended = await end_test(
            self._connection,
            test_alarm=keys.test_alarm,
            journal=keys.journal,
            who=who,
            updates=keys.updates,
        )
        return bool(ended)
