"""The aggregator over a real store: one writer, each chunk once, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pytest
from tests.aggregator.samples import EVENTS, a_ledger, a_monitor, admit, chunk, fit, fitted, payloads, sample
from tests.aggregator.work import AtWork

from nplmon.aggregator import aggregator
from nplmon.api import create_app
from nplmon.broker import Broker, StoreUnreachable
from nplmon.broker.messages import AlarmPolicy, Fit, Monitor
from nplmon.settings import Settings

Start = Callable[..., Awaitable[AtWork]]

pytestmark = pytest.mark.anyio


async def expected(broker: Broker, count: int, run: str = "a") -> dict[str, float | None]:
    """Compute the statistics of the first chunks of a run in a ledger of our own."""
    fits: list[Any] = await broker.statistics.fits("m", run, 0, count)
    assert len(fits) == count
    snapshot = a_ledger().apply(fits, payloads(range(1, count + 1)), 1.0).snapshot
    return {kind: one.value for kind, one in snapshot.statistics.items()}


async def found(broker: Broker, monitor: str = "m", run: str = "a") -> dict[str, float | None]:
    snapshot = await broker.statistics.snapshot(monitor, run)
    assert snapshot is not None
    return {kind: one.value for kind, one in snapshot.statistics.items()}


async def test_results_are_applied_in_order_and_once(broker: Broker, monitor: Monitor, start: Start) -> None:
    work = await start()
    await admit(broker, 1, 2, 3, 4)
    await fit(broker)
    await work.applied(4)
    assert [line.sequence for line in await broker.statistics.history("m", "a", 0, 10)] == [1, 2, 3, 4]
    assert await found(broker) == await expected(broker, 4)
    assert work.aggregator.applied == 4


async def test_a_gap_is_waited_for(broker: Broker, monitor: Monitor, start: Start) -> None:
    work = await start()
    await admit(broker, 1, 2)
    first, second = await broker.leases.take("t", ["m"], count=2, block_seconds=1.0)
    await broker.leases.hand_back("t", first, "not now", 3)
    assert second.payload is not None
    assert await broker.leases.finish("t", second, fitted(second.receipt, chunk(2))) == "finished"
    await asyncio.sleep(0.2)
    assert (await broker.runs.get("m", "a")).applied == 0
    ((again,), _) = await broker.leases.take_over(
        "t", "m", idle_seconds=1, deliveries_limit=3, in_flight=set(), count=1
    )
    assert await broker.leases.finish("t", again, fitted(again.receipt, chunk(1))) == "finished"
    await work.applied(2)
    assert await found(broker) == await expected(broker, 2)


async def test_a_restart_goes_on_where_the_state_is(broker: Broker, monitor: Monitor, start: Start) -> None:
    """Stopped, killed and started again between chunks, the values are those of one ledger, bit for bit."""
    for sequence, way in enumerate(("stop", "kill", "stop"), 1):
        work = await start(f"a{sequence}")
        await admit(broker, sequence)
        await fit(broker)
        await work.applied(sequence)
        await getattr(work, way)()
        if way == "kill":
            await broker.connection.ask("DEL", "nplmon:{m}:aggregator")  # as the hold expires
    assert await found(broker) == await expected(broker, 3)


async def test_after_a_kill_the_monitor_is_free_when_the_hold_expires(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aggregator, "HOLD_SECONDS", 0.3)
    first, second = await start("a1"), await start("a2")

    async def held() -> bool:
        return first.aggregator.monitors + second.aggregator.monitors == 1

    await first.until(held, "one of them holds the monitor")
    holder, other = (first, second) if first.aggregator.monitors else (second, first)
    await holder.kill()
    await admit(broker, 1)
    await fit(broker)
    await other.applied(1)
    assert other.aggregator.monitors == 1


async def test_without_the_hold_nothing_is_written(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another takes the monitor while a page is computed: that page is not saved, and the other goes on from before."""
    work = await start()
    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)
    state = await broker.statistics.state("m", "a")
    real = asyncio.to_thread

    async def taken_over(act: Callable[..., Any], *arguments: Any) -> Any:
        await broker.connection.ask("DEL", "nplmon:{m}:aggregator")
        assert await broker.statistics.hold("m", "somebody else", 30.0) is not None
        return await real(act, *arguments)

    monkeypatch.setattr(asyncio, "to_thread", taken_over)
    await admit(broker, 2)
    await fit(broker)

    async def noticed() -> bool:
        return work.value("nplmon_aggregation_failures_total", monitor="m", reason="fenced") == 1.0

    await work.until(noticed, "it is fenced")
    monkeypatch.setattr(asyncio, "to_thread", real)

    async def dropped() -> bool:
        return work.aggregator.monitors == 0

    await work.until(dropped, "it gives the monitor up")
    assert (await broker.runs.get("m", "a")).applied == 1
    assert await broker.statistics.state("m", "a") == state
    assert await broker.statistics.history_length("m", "a") == 1
    await broker.statistics.release("m", "somebody else")
    await work.applied(2)
    assert await found(broker) == await expected(broker, 2)


async def test_a_reset_in_the_middle_starts_anew(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = await start()
    await admit(broker, 1, 2)
    await fit(broker)
    await work.applied(2)
    real = asyncio.to_thread

    async def reset_first(act: Callable[..., Any], *arguments: Any) -> Any:
        await broker.runs.reset("m", "a")
        monkeypatch.setattr(asyncio, "to_thread", real)
        return await real(act, *arguments)

    monkeypatch.setattr(asyncio, "to_thread", reset_first)
    await admit(broker, 3)
    await fit(broker)

    async def noticed() -> bool:
        return work.value("nplmon_aggregation_failures_total", monitor="m", reason="superseded") == 1.0

    await work.until(noticed, "it is superseded")
    assert await broker.statistics.snapshot("m", "a") is None
    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)
    assert await found(broker) == await expected(broker, 1)
    assert (await broker.runs.get("m", "a")).epoch == 2


async def test_a_monitor_made_again_with_other_settings(
    broker: Broker, monitor: Monitor, start: Start
) -> None:
    """Same name, same epoch, same run: nothing of the first one is in the second one's statistics."""
    work = await start()
    await admit(broker, 1, 2)
    await fit(broker)
    await work.applied(2)
    await broker.monitors.delete("m")
    await broker.monitors.create(a_monitor(mode="rate", rate=2.0 * EVENTS))
    await admit(broker, 3, exposure=1.0)
    await fit(broker)
    await work.applied(1)
    snapshot = await broker.statistics.snapshot("m", "a")
    assert snapshot is not None
    assert (snapshot.chunks, snapshot.events, snapshot.expected) == (1, EVENTS, 2.0 * EVENTS)


@pytest.mark.parametrize("runs", [False, True])
async def test_deletions_do_not_end_it(broker: Broker, monitor: Monitor, start: Start, runs: bool) -> None:
    work = await start()
    for _ in range(5):
        if runs:
            await admit(broker, 1)
            await fit(broker)

        async def held() -> bool:
            return work.aggregator.monitors == 1

        await work.until(held, "the monitor is held")
        await broker.monitors.delete("m")

        async def dropped() -> bool:
            return work.aggregator.monitors == 0

        await work.until(dropped, "the monitor is dropped")
        await broker.monitors.create(monitor)
    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)


async def test_two_runs_at_once_do_not_mix(broker: Broker, monitor: Monitor, start: Start) -> None:
    work = await start()
    for sequence in (1, 2, 3):
        await admit(broker, sequence, run="a")
        await admit(broker, sequence, run="b")
        await fit(broker)
    await work.applied(3, run="a")
    await work.applied(3, run="b")
    assert await found(broker, run="a") == await found(broker, run="b") == await expected(broker, 3)


async def test_a_run_that_cannot_go_on_does_not_stop_another(
    broker: Broker, monitor: Monitor, start: Start
) -> None:
    work = await start()
    await admit(broker, 1, run="bad")
    await fit(broker)
    await work.applied(1, run="bad")
    await work.stop()
    await broker.connection.ask("SETRANGE", "nplmon:{m}:run:bad:state", 100, "damage")
    again = await start("a2")
    await admit(broker, 2, run="bad")
    await admit(broker, 1, run="good")
    await fit(broker)
    await again.applied(1, run="good")

    async def counted() -> bool:
        value = again.value("nplmon_aggregation_failures_total", monitor="m", reason="exception")
        return value is not None and value > 0

    await again.until(counted, "the failure is counted")
    assert (await broker.runs.get("m", "bad")).applied == 1
    # What the message says helps.
    await broker.runs.reset("m", "bad")
    await admit(broker, 2, run="bad")
    await fit(broker)
    await again.applied(1, run="bad")


async def test_a_closed_run_is_applied_to_its_end(broker: Broker, monitor: Monitor, start: Start) -> None:
    await admit(broker, 1, 2)
    await broker.runs.close("m", "a")
    await fit(broker)
    work = await start()
    await work.applied(2)


async def test_a_store_away_for_a_moment_is_waited_for(
    broker: Broker, monitor: Monitor, start: Start
) -> None:
    """CLIENT KILL cuts every connection of the aggregator in the middle of whatever it says."""
    work = await start()
    for sequence in range(1, 9):
        await admit(broker, sequence)
        await fit(broker)
        await broker.connection.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await work.applied(8)
    assert [line.sequence for line in await broker.statistics.history("m", "a", 0, 10)] == list(range(1, 9))
    assert await found(broker) == await expected(broker, 8)


@pytest.mark.parametrize("saved", [False, True])
async def test_a_save_without_an_answer_is_neither_lost_nor_repeated(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch, saved: bool
) -> None:
    """The store may have saved or not; the next page begins where it says it is."""
    work = await start()
    real = type(broker.statistics).save

    async def silent(*arguments: Any, **more: Any) -> str:
        monkeypatch.setattr(type(broker.statistics), "save", real)
        if saved:
            assert await real(*arguments, **more) == "saved"
        raise StoreUnreachable("no answer")

    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)
    monkeypatch.setattr(type(broker.statistics), "save", silent)
    await admit(broker, 2)
    await fit(broker)
    await work.applied(2)
    await admit(broker, 3)
    await fit(broker)
    await work.applied(3)
    assert await found(broker) == await expected(broker, 3)
    assert work.value("nplmon_aggregator_store_errors_total") == 1
    assert work.value("nplmon_aggregation_failures_total", monitor="m", reason="exception") == 0


async def test_past_the_cap_readers_go_on_through_the_projection(
    broker: Broker, monitor: Monitor, start: Start, store: Any
) -> None:
    work = await start(aggregation_events=2 * EVENTS)
    await admit(broker, 1, 2, 3, 4)
    await fit(broker)
    await work.applied(4)
    assert await broker.statistics.payload("m", "a", 1) is None
    assert await broker.statistics.models("m", "a", 4) == []
    assert await broker.statistics.projection("m", "a") is not None
    transport = httpx.ASGITransport(create_app(Broker.connect(store.url), Settings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://nplmon") as client:
        points = sample(20, 99)
        answer = await client.post("/v1/monitors/m/density-ratio", json={"events": points.tolist()})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["form"], body["sequence"]) == ("projection", 4)
        assert np.isfinite(body["log_ratio"]).all()
        statistic = (await client.get("/v1/monitors/m/statistic")).json()
        assert statistic["snapshot"]["statistics"]["t_agg"]["state"] == "frozen"
    await transport.app.state.context.broker.close()


async def test_the_statistics_of_the_live_run_are_exported(
    broker: Broker, monitor: Monitor, start: Start
) -> None:
    work = await start()
    await admit(broker, 1, 2)
    await fit(broker)
    await work.applied(2)
    values = await found(broker)

    async def shown() -> bool:
        return work.value("nplmon_run_chunks", monitor="m") == 2

    await work.until(shown, "the run is shown")
    for kind, value in values.items():
        assert work.value("nplmon_test_statistic", monitor="m", kind=kind) == value
    assert work.value("nplmon_chunks_applied_total", monitor="m", outcome="applied") == 2
    assert work.value("nplmon_chunk_age_seconds_count", monitor="m") == 2
    await broker.runs.reset("m", "a")

    async def hidden() -> bool:
        return work.value("nplmon_test_statistic", monitor="m", kind="t_agg") is None

    await work.until(hidden, "the values of before the reset are gone")
    assert work.value("nplmon_alarm_level", monitor="m") is None
    await broker.monitors.delete("m")

    async def forgotten() -> bool:
        return work.value("nplmon_unapplied_chunks", monitor="m") is None

    await work.until(forgotten, "the monitor's gauges are gone")


async def test_a_restart_shows_what_is_saved(broker: Broker, monitor: Monitor, start: Start) -> None:
    work = await start()
    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)
    await work.stop()
    again = await start("a2")

    async def shown() -> bool:
        return again.value("nplmon_run_chunks", monitor="m") == 1

    await again.until(shown, "the saved run is shown")
    assert again.value("nplmon_chunks_applied_total", monitor="m", outcome="applied") == 0


async def test_an_alarm_is_logged_once(broker: Broker, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each page holds one chunk."""
    warnings: list[dict[str, Any]] = []
    monkeypatch.setattr(aggregator.log, "warning", lambda event, **more: warnings.append(more | {"e": event}))
    policy = AlarmPolicy(expected_run_length=50, warning_run_length=5)
    await broker.monitors.create(a_monitor(alarm=policy))
    work = await start()
    for sequence in range(1, 7):
        await admit(broker, sequence, payload=(chunk(sequence) * 1.3).astype("<f4").tobytes())
        await fit(broker)
        await work.applied(sequence)
    alarms = [line["level"] for line in warnings if line["e"] == "alarm"]
    levels = [line.alarm for line in await broker.statistics.history("m", "a", 0, 10)]
    assert levels[-1] == "alarm"
    assert alarms == list(dict.fromkeys(level for level in levels if level != "ok"))


async def test_models_stay_for_readers_of_the_mixture(broker: Broker, monitor: Monitor, start: Start) -> None:
    work = await start()
    await admit(broker, 1, 2)
    await fit(broker, 1, die=True)
    await fit(broker)
    await work.applied(2)
    models = await broker.statistics.models("m", "a", 2)
    assert [type(one) for one in models] == [Fit]
    run = await broker.runs.get("m", "a")
    assert (run.applied, run.dead) == (1, 1)
