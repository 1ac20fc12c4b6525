"""Monitors: creation, epochs, deletion without a trace."""

import asyncio

import pytest
from tests.broker.samples import a_fit, a_monitor, admit, fitted, keys_of, lease, save

from nplmon.broker import (
    Broker,
    EpochMoved,
    MonitorExists,
    MonitorOutdated,
    RunsOpen,
    UnknownMonitor,
    monitors,
)
from nplmon.broker.encoding import to_json
from nplmon.broker.keys import MonitorKeys
from nplmon.broker.messages import Monitor

pytestmark = pytest.mark.anyio


async def test_a_monitor_comes_back_as_it_was(broker: Broker, monitor: Monitor) -> None:
    assert await broker.monitors.get("muons") == monitor
    assert await broker.monitors.at("muons", 1) == monitor
    await broker.monitors.create(a_monitor("electrons"))
    assert await broker.monitors.names() == ["electrons", "muons"]
    assert await broker.monitors.all() == [a_monitor("electrons"), monitor]


async def test_a_name_is_taken_once(broker: Broker, monitor: Monitor) -> None:
    with pytest.raises(MonitorExists, match="muons"):
        await broker.monitors.create(a_monitor(description="another"))
    assert await broker.monitors.get("muons") == monitor
    answers = await asyncio.gather(
        *(broker.monitors.create(a_monitor("new", description=str(i))) for i in range(5)),
        return_exceptions=True,
    )
    assert sum(answer is None for answer in answers) == 1


async def test_a_creation_cut_short_before_the_set_heals(broker: Broker, monitor: Monitor) -> None:
    await broker.connection.ask("SREM", "nplmon:monitors", "muons")
    await broker.monitors.create(monitor)  # repeated, as after a lost reply
    assert await broker.monitors.names() == ["muons"]


async def test_unknown_monitors(broker: Broker, monitor: Monitor) -> None:
    for call in (broker.monitors.get("none"), broker.monitors.delete("none"), broker.monitors.at("muons", 2)):
        with pytest.raises(UnknownMonitor):
            await call
    with pytest.raises(UnknownMonitor):
        await broker.monitors.change(a_monitor("none"), statistical=False)


async def test_a_monitor_of_an_earlier_version_is_told_and_can_be_deleted(
    broker: Broker, monitor: Monitor
) -> None:
    """Its alarm was set by a probability: what that would be in chunks nobody said. Others are listed without it."""
    old = to_json(a_monitor("old")).replace(b'"expected_run_length":1000.0', b'"warning_probability":0.1')
    assert b"warning_probability" in old
    await broker.monitors.create(a_monitor("old"))
    for key in (MonitorKeys("old").monitor, MonitorKeys("old").at(1)):
        await broker.connection.ask("SET", key, old)
    for call in (broker.monitors.get("old"), broker.monitors.at("old", 1)):
        with pytest.raises(
            MonitorOutdated, match=r"'old' was stored by an earlier version .*warning_probability"
        ):
            await call
    assert await broker.monitors.all() == [monitor]
    await broker.monitors.delete("old")
    assert await keys_of(broker, "old") == []


async def test_a_statistical_change_begins_an_epoch(broker: Broker, monitor: Monitor) -> None:
    second = a_monitor(epoch=2)
    await broker.monitors.change(second, statistical=True)
    await broker.monitors.change(second, statistical=True)  # repeated, as after a lost reply
    assert await broker.monitors.get("muons") == second
    assert await broker.monitors.at("muons", 1) == monitor
    assert await broker.monitors.at("muons", 2) == second


async def test_a_change_from_an_old_reading_fails(broker: Broker, monitor: Monitor) -> None:
    await broker.monitors.change(a_monitor(epoch=2), statistical=True)
    for statistical, epoch in ((True, 2), (True, 4), (False, 1)):
        with pytest.raises(EpochMoved, match="epoch 2"):
            await broker.monitors.change(a_monitor(epoch=epoch, description="x"), statistical=statistical)


async def test_settings_stay_while_a_run_is_open_but_a_description_may_change(
    broker: Broker, monitor: Monitor
) -> None:
    await admit(broker)
    with pytest.raises(RunsOpen, match="7") as refused:
        await broker.monitors.change(a_monitor(epoch=2), statistical=True)
    assert refused.value.names == ("7",)
    described = a_monitor(description="the muons of run 3")
    await broker.monitors.change(described, statistical=False)
    assert await broker.monitors.get("muons") == await broker.monitors.at("muons", 1) == described
    await broker.runs.close("muons", "7")
    await broker.monitors.change(a_monitor(epoch=2), statistical=True)


async def test_a_deletion_leaves_no_key_even_with_work_under_way(broker: Broker, monitor: Monitor) -> None:
    """Whoever still works for the monitor finds nothing to write to: no late call brings a key back."""
    await broker.monitors.create(a_monitor("muon"))
    await broker.monitors.change(a_monitor(epoch=2), statistical=True)
    await fitted_in_epoch_two(broker)
    dead = await lease(broker)
    assert await broker.leases.hand_back("t1", dead, "boom", 1) == "dead"
    retried = await lease(broker)
    assert await broker.leases.hand_back("t1", retried, "boom", 3) == "handed back"
    held = await lease(broker)
    fence = await broker.statistics.hold("muons", "a1", 10.0)
    assert await save(broker, fence, 0, 1, projection=b"p") == "saved"
    assert len(await keys_of(broker)) >= 15
    neighbour = await keys_of(broker, "muon")

    await broker.monitors.delete("muons")
    assert await keys_of(broker) == []
    assert await broker.leases.finish("t1", held, a_fit(held)) == "superseded"
    assert await broker.leases.hand_back("t1", held, "late", 1) == "lost"
    assert await broker.leases.hand_back("t1", held, None, 3) == "lost"
    assert await broker.leases.renew("t1", [held]) == set()
    assert await save(broker, fence, 1, 2) == "fenced"
    assert await broker.statistics.hold("muons", "a1", 10.0) is None
    assert (await admit(broker, "late", monitor_epoch=2)).status == "unknown-monitor"
    assert (await broker.admission.replay("muons", "7", "c2", 10)).status == "unknown-monitor"
    assert await broker.leases.take("t1", ["muons"], count=1, block_seconds=0.01) == []
    taken = await broker.leases.take_over(
        "t2", "muons", idle_seconds=0.0, deliveries_limit=3, in_flight=set(), count=9
    )
    assert taken == ([], [])
    with pytest.raises(UnknownMonitor):
        await broker.runs.reset("muons", "7")
    with pytest.raises(UnknownMonitor):
        await broker.runs.close("muons", "7")
    await broker.leases.leave("t1", ["muons"])
    assert await broker.statistics.wait_done({"muons": "0-0"}, 0.01) == []
    assert await keys_of(broker) == []
    assert await broker.monitors.names() == ["muon"]
    assert await keys_of(broker, "muon") == neighbour


async def fitted_in_epoch_two(broker: Broker) -> None:
    for chunk in ("c1", "c2", "c3", "c4"):
        await admit(broker, chunk, monitor_epoch=2)
    one = await lease(broker)
    assert await broker.leases.finish("t1", one, a_fit(one)) == "finished"


async def test_late_work_does_not_touch_a_monitor_created_again(broker: Broker, monitor: Monitor) -> None:
    """Epochs begin at 1 again, so the entry and the fence must tell old from new."""
    await admit(broker)
    held = await lease(broker)
    fence = await broker.statistics.hold("muons", "a1", 10.0)
    await broker.monitors.delete("muons")
    await broker.monitors.create(monitor)
    await admit(broker)
    assert await broker.leases.finish("t1", held, a_fit(held)) == "lost"
    assert await broker.leases.renew("t1", [held]) == set()
    newer = await broker.statistics.hold("muons", "a1", 10.0)
    assert newer is not None
    assert newer > fence
    assert await save(broker, fence, 0, 1) == "fenced"
    again = await lease(broker)
    assert await broker.leases.finish("t1", again, a_fit(again)) == "finished"


@pytest.mark.parametrize(("epoch", "runs"), [(1, []), (1, [b"8"]), (1, [b"7", b"8"]), (2, [b"7"])])
async def test_a_deletion_with_an_old_reading_deletes_nothing(
    broker: Broker, monitor: Monitor, epoch: int, runs: list[bytes]
) -> None:
    """The keys to delete are named beforehand; a run opened meanwhile would be left behind."""
    await admit(broker)
    before, keys = await keys_of(broker), MonitorKeys("muons")
    status = await monitors.delete(
        broker.connection,
        monitor=keys.monitor,
        runs=keys.runs,
        others=keys.fixed,
        epoch=epoch,
        updates=keys.updates,
        names=runs,
    )
    assert status == b"moved"
    assert await keys_of(broker) == before


async def test_a_deletion_while_runs_are_opened_leaves_no_key(broker: Broker, monitor: Monitor) -> None:
    async def open_runs() -> None:
        for i in range(40):
            await admit(broker, "c", run=f"r{i}")

    await asyncio.gather(open_runs(), broker.monitors.delete("muons"))
    assert await keys_of(broker) == []


async def test_a_waiting_trainer_survives_the_deletion(broker: Broker, monitor: Monitor) -> None:
    waiting = asyncio.create_task(broker.leases.take("t1", ["muons"], count=1, block_seconds=1.0))
    await asyncio.sleep(0.1)
    await broker.monitors.delete("muons")
    assert await waiting == []
    assert await keys_of(broker) == []


async def test_a_lost_group_is_made_again_and_loses_nothing(broker: Broker, monitor: Monitor) -> None:
    await admit(broker)
    await broker.connection.ask("XGROUP", "DESTROY", "nplmon:{muons}:work", "trainers")
    assert (await lease(broker)).receipt.chunk == "c1"


async def test_fits_before_the_deletion_are_gone_after_it(broker: Broker, monitor: Monitor) -> None:
    await fitted(broker, "c1", "c2")
    await broker.monitors.delete("muons")
    await broker.monitors.create(monitor)
    assert await broker.runs.all("muons") == []
    assert await broker.statistics.fits("muons", "7", 0, 10) == []
