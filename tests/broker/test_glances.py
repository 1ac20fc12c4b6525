"""Glances: one moment of a monitor, its run opened last, and the next lines of the history."""

import asyncio

import pytest
from tests.broker.samples import a_monitor, admit, fitted, lease, save

from nplmon.broker import Broker, MonitorOutdated, UnknownMonitor
from nplmon.broker.glances import Glance
from nplmon.broker.messages import Monitor

pytestmark = pytest.mark.anyio


async def look(broker: Broker, run: str = "", epoch: int = 0, since: int = 0, count: int = 10) -> Glance:
    return await broker.glances.get("muons", run=run, epoch=epoch, since=since, count=count)


async def applied(broker: Broker, count: int) -> None:
    await fitted(broker, *(f"c{i}" for i in range(1, count + 1)))
    fence = await broker.statistics.hold("muons", "a1", 10.0)
    assert await save(broker, fence, 0, count) == "saved"


async def test_monitor_without_a_run(broker: Broker, monitor: Monitor) -> None:
    assert await look(broker) == Glance(monitor=monitor)


async def test_run_with_its_snapshot_and_the_lines_asked_for(broker: Broker, monitor: Monitor) -> None:
    await applied(broker, 5)
    seen = await look(broker, count=2)
    assert seen.run == await broker.runs.get("muons", "7")
    assert seen.snapshot is not None
    assert (seen.snapshot.sequence, seen.length, seen.first, len(seen.lines)) == (5, 5, 0, 2)
    rest = await look(broker, run="7", epoch=1, since=2)
    assert (rest.first, len(rest.lines)) == (2, 3)
    assert (await look(broker, run="7", epoch=1, since=5)).lines == ()
    assert (await look(broker, count=0)).lines == ()


async def test_another_run_or_epoch_is_read_from_its_beginning(broker: Broker, monitor: Monitor) -> None:
    await applied(broker, 3)
    assert (await look(broker, run="6", epoch=1, since=2)).first == 0
    await broker.runs.reset("muons", "7")
    again = await look(broker, run="7", epoch=1, since=3)
    assert again.run is not None
    assert (again.run.epoch, again.snapshot, again.first, again.lines) == (2, None, 0, ())


async def test_dead_chunks_and_calibration(broker: Broker, monitor: Monitor) -> None:
    await admit(broker)
    await broker.connection.ask("HSET", "nplmon:{muons}:dead", "7:c1", b"D")
    await broker.connection.ask("HSET", "nplmon:{muons}:calibration", "state", "void")
    test = await broker.alarms.begin_test("muons", seconds=60.0, who="Ada", comment="")
    seen = await look(broker)
    assert (seen.dead, seen.calibration, seen.test) == (1, "void", test)


async def test_what_is_not_there_or_cannot_be_read(broker: Broker) -> None:
    with pytest.raises(UnknownMonitor):
        await look(broker)
    await broker.connection.ask("SET", "nplmon:{muons}:monitor", b'{"name": "muons"}')
    with pytest.raises(MonitorOutdated):
        await look(broker)


async def test_changes_of_all_monitors_are_heard(broker: Broker, monitor: Monitor) -> None:
    await broker.monitors.create(a_monitor("electrons"))
    heard = broker.glances.changes()
    assert await anext(heard) == ""
    await broker.connection.ask("PUBLISH", "nplmon:{electrons}:updates", "7")
    await broker.connection.ask("PUBLISH", "nplmon:{muons}:updates", "")
    async with asyncio.timeout(5.0):
        assert [await anext(heard), await anext(heard)] == ["electrons", "muons"]
    await heard.aclose()


async def test_all_that_changes_a_monitor_is_heard(broker: Broker, monitor: Monitor) -> None:
    async def dead(chunk: str) -> None:
        await admit(broker, chunk)
        assert await broker.leases.hand_back("t1", await lease(broker), "boom", 1) == "dead"

    await dead("c1")
    await dead("c2")
    heard = broker.glances.changes()
    assert await anext(heard) == ""
    for act in (
        lambda: broker.admission.replay("muons", "7", "c1", 10),
        lambda: broker.dead_letters.delete("muons", "7", "c2", who="Ada"),
        lambda: admit(broker, "c3", run="8"),
        lambda: broker.alarms.begin_test("muons", seconds=60.0, who="Ada", comment=""),
        lambda: broker.alarms.end_test("muons", who="Ada"),
        lambda: broker.monitors.change(a_monitor(description="new"), statistical=False),
        lambda: broker.runs.reset("muons", "7"),
        lambda: broker.runs.close("muons", "7"),
        lambda: broker.monitors.delete("muons"),
    ):
        await act()
        async with asyncio.timeout(5.0):
            assert await anext(heard) == "muons"
    await heard.aclose()
