"""What the holder of a monitor says while no chunk comes, over a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.aggregator.samples import a_monitor, admit, chunk, fit
from tests.aggregator.work import AtWork

from nplmon.aggregator.vigil import Vigil
from nplmon.broker import Broker
from nplmon.broker.alarm_messages import Handling
from nplmon.broker.messages import AlarmPolicy, Monitor

Start = Callable[..., Awaitable[AtWork]]

pytestmark = pytest.mark.anyio

QUICK = Handling(stale_after=0.4)


async def turns(broker: Broker) -> list[str]:
    return [entry.kind for entry in await broker.journal.entries("m") if entry.kind in {"stale", "fresh"}]


async def becomes(work: AtWork, name: str, value: float | None) -> None:
    async def so() -> bool:
        return work.value(name, monitor="m") == value

    await work.until(so, f"{name} is {value}")


async def test_stale_and_fresh_take_turns_in_the_journal(broker: Broker, start: Start) -> None:
    await broker.monitors.create(a_monitor())
    work = await start()

    async def turned(*kinds: str) -> None:
        async def so() -> bool:
            return await turns(broker) == list(kinds)

        await work.until(so, f"the journal has {kinds}")

    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)
    # From now on, for the thresholds before the first chunk take longer.
    await broker.monitors.change(a_monitor(handling=QUICK), statistical=False)
    await turned("stale")
    await admit(broker, 2)
    await fit(broker)
    await work.applied(2)
    await turned("stale", "fresh")
    await turned("stale", "fresh", "stale")
    entries = {entry.kind: entry for entry in await broker.journal.entries("m")}
    assert (entries["stale"].run, entries["stale"].who) == ("a", "")
    assert entries["stale"].text == "no chunk entered the statistic for 0.4 s"
    assert entries["fresh"].text.startswith("chunks enter the statistic again, ")


async def test_another_holder_does_not_say_it_again(broker: Broker, start: Start) -> None:
    await broker.monitors.create(a_monitor())
    work = await start()
    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)
    await broker.monitors.change(a_monitor(handling=QUICK), statistical=False)

    async def stale() -> bool:
        return await turns(broker) == ["stale"]

    await work.until(stale, "it is stale")
    await work.stop()
    again = await start("a2")
    await becomes(again, "nplmon_run_open", 1)
    await asyncio.sleep(0.2)
    assert await turns(broker) == ["stale"]
    # A closed run is neither.
    await broker.runs.close("m", "a")
    await becomes(again, "nplmon_run_open", 0)
    await asyncio.sleep(0.2)
    assert await turns(broker) == ["stale"]


async def test_how_a_monitor_stands_is_exported_between_chunks(
    broker: Broker, monitor: Monitor, start: Start
) -> None:
    work = await start()
    await becomes(work, "nplmon_run_open", 0)
    await becomes(work, "nplmon_run_opened_timestamp_seconds", None)
    await becomes(work, "nplmon_stale_after_seconds", 600)
    await becomes(work, "nplmon_uncalibrated", 0)
    await admit(broker, 1)
    await becomes(work, "nplmon_run_open", 1)
    opened = (await broker.runs.get("m", "a")).opened_at
    await becomes(work, "nplmon_run_opened_timestamp_seconds", opened)
    await broker.alarms.begin_test("m", seconds=60, who="ada", comment="")
    await becomes(work, "nplmon_test_alarm", 1)
    await broker.alarms.end_test("m", who="ada")
    await becomes(work, "nplmon_test_alarm", 0)
    await broker.monitors.delete("m")
    for name in ("run_open", "stale_after_seconds", "test_alarm", "alarm_acknowledged", "uncalibrated"):
        await becomes(work, f"nplmon_{name}", None)


async def test_an_alarm_stays_when_its_run_is_closed(broker: Broker, start: Start) -> None:
    """Nothing vanishes silently: a rule that takes it away asks for `nplmon_run_open`."""
    await broker.monitors.create(a_monitor(alarm=AlarmPolicy(expected_run_length=50, warning_run_length=5)))
    work = await start()
    for sequence in range(1, 7):
        await admit(broker, sequence, payload=(chunk(sequence) * 1.3).astype("<f4").tobytes())
        await fit(broker)
    await work.applied(6)
    await becomes(work, "nplmon_alarm_level", 2)
    journal = await broker.journal.entries("m")
    told = [entry for entry in journal if entry.kind in {"warning", "alarm"}]
    snapshot = await broker.statistics.snapshot("m", "a")
    assert snapshot is not None
    assert (told[-1].kind, told[-1].text) == ("alarm", snapshot.alarm.rule)
    assert [entry.kind for entry in told].count("alarm") == 1
    assert snapshot.alarm.sequence is not None
    await broker.alarms.acknowledge(
        "m", "a", level="alarm", sequence=snapshot.alarm.sequence, who="ada", comment=""
    )
    await becomes(work, "nplmon_alarm_acknowledged", 1)
    await broker.runs.close("m", "a")
    await becomes(work, "nplmon_run_open", 0)
    for name, value in {"alarm_level": 2, "alarm_acknowledged": 1, "run_chunks": 6}.items():
        assert work.value(f"nplmon_{name}", monitor="m") == value
    # So it is after a restart.
    await work.stop()
    again = await start("a2")
    await becomes(again, "nplmon_alarm_level", 2)
    await becomes(again, "nplmon_alarm_acknowledged", 1)
    await becomes(again, "nplmon_run_open", 0)


async def test_one_that_cannot_be_looked_at_hides_no_other(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    await broker.monitors.create(a_monitor("a-broken-one"))
    real = Vigil.look

    async def look(self: Vigil, name: str, fence: int) -> None:
        if name == "a-broken-one":
            raise ZeroDivisionError
        await real(self, name, fence)

    monkeypatch.setattr(Vigil, "look", look)
    work = await start()
    await becomes(work, "nplmon_run_open", 0)
    await broker.alarms.begin_test("m", seconds=60, who="ada", comment="")
    await becomes(work, "nplmon_test_alarm", 1)
    assert work.aggregator.monitors == 2
