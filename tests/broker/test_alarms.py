"""Acknowledgements and test alarms."""

import asyncio

import msgspec
import pytest
from tests.broker.samples import a_snapshot, fitted, save

from nplmon.broker import AlarmChanged, Broker, NoAlarm, UnknownMonitor
from nplmon.broker.messages import Alarm, Monitor

pytestmark = pytest.mark.anyio


async def raised(broker: Broker, level: str, sequence: int, previous: int) -> None:
    """Save a state whose alarm was raised by the chunk of this number."""
    fence = await broker.statistics.hold("muons", "a1", 10.0)
    assert fence is not None
    alarm = Alarm(level=level, kind="t_score", chunk=f"c{sequence}", sequence=sequence, since=2.0, rule="r")
    snapshot = msgspec.structs.replace(a_snapshot(sequence), alarm=alarm)
    assert await save(broker, fence, previous, sequence, snapshot=snapshot) == "saved"


async def acknowledge(broker: Broker, level: str, sequence: int, comment: str = "seen") -> object:
    return await broker.alarms.acknowledge(
        "muons", "7", level=level, sequence=sequence, who="a shifter", comment=comment
    )


async def test_an_alarm_is_acknowledged_and_the_record_stays(broker: Broker, monitor: Monitor) -> None:
    await fitted(broker, "c1", "c2")
    await raised(broker, "warning", 1, 0)
    done = await acknowledge(broker, "warning", 1)
    run = await broker.runs.get("muons", "7")
    assert run.acknowledged == done
    (entry,) = await broker.journal.latest("muons", 1)
    assert (entry.kind, entry.run, entry.level, entry.sequence, entry.chunk, entry.who, entry.text) == (
        *("acknowledged", "7", "warning", 1, "c1"),
        *("a shifter", "seen"),
    )
    snapshot = await broker.statistics.snapshot("muons", "7")
    assert snapshot is not None
    assert snapshot.alarm.level == "warning", "acknowledged is not reset"


async def test_what_has_risen_since_is_not_acknowledged(broker: Broker, monitor: Monitor) -> None:
    await fitted(broker, "c1", "c2")
    with pytest.raises(NoAlarm, match="no warning and no alarm"):
        await acknowledge(broker, "warning", 1)
    await raised(broker, "warning", 1, 0)
    await raised(broker, "alarm", 2, 1)
    with pytest.raises(AlarmChanged, match="alarm, raised by chunk number 2"):
        await acknowledge(broker, "warning", 1)
    with pytest.raises(AlarmChanged):
        await acknowledge(broker, "alarm", 1)
    assert (await broker.runs.get("muons", "7")).acknowledged is None
    await acknowledge(broker, "alarm", 2)


async def test_a_reset_drops_it(broker: Broker, monitor: Monitor) -> None:
    await fitted(broker, "c1")
    await raised(broker, "alarm", 1, 0)
    await acknowledge(broker, "alarm", 1)
    assert (await broker.runs.reset("muons", "7")).acknowledged is None
    with pytest.raises(NoAlarm):
        await acknowledge(broker, "alarm", 1)


async def test_nothing_is_acknowledged_where_there_is_no_run(broker: Broker, monitor: Monitor) -> None:
    with pytest.raises(NoAlarm):
        await acknowledge(broker, "alarm", 1)
    assert await broker.journal.entries("muons") == []


async def test_a_test_alarm_ends_by_itself(broker: Broker, monitor: Monitor) -> None:
    assert await broker.alarms.test("muons") is None
    fired = await broker.alarms.begin_test("muons", seconds=0.1, who="me", comment="does it ring?")
    assert await broker.alarms.test("muons") == fired
    assert fired.until - fired.since == pytest.approx(0.1)
    await asyncio.sleep(0.2)
    assert await broker.alarms.test("muons") is None
    assert not await broker.alarms.end_test("muons", who="me")


async def test_a_test_alarm_is_ended_once(broker: Broker, monitor: Monitor) -> None:
    await broker.alarms.begin_test("muons", seconds=60.0, who="me", comment="")
    assert await broker.alarms.end_test("muons", who="you")
    assert not await broker.alarms.end_test("muons", who="you")
    begun, ended = await broker.journal.entries("muons")
    assert (begun.kind, begun.who, ended.kind, ended.who) == ("test-begun", "me", "test-ended", "you")


async def test_there_is_no_test_alarm_of_no_monitor(broker: Broker) -> None:
    with pytest.raises(UnknownMonitor):
        await broker.alarms.begin_test("none", seconds=60.0, who="me", comment="")
