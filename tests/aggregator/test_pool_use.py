"""The pool over a real store: no event twice for one monitor, whatever is killed, deleted or refilled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
import numpy as np
import pytest
from structlog.testing import CapturingLogger
from tests.aggregator.samples import EVENTS, HASH, a_ledger, a_monitor, admit, fit, payloads, sample
from tests.aggregator.work import AtWork

from nplmon.aggregator import aggregator
from nplmon.aggregator.evidence import Fresh
from nplmon.api import create_app
from nplmon.broker import Broker
from nplmon.broker.messages import Monitor, Snapshot
from nplmon.settings import Settings

Start = Callable[..., Awaitable[AtWork]]

pytestmark = pytest.mark.anyio


async def fill(broker: Broker, events: np.ndarray, name: str = "aa") -> None:
    assert await broker.pools.add(HASH, name, events.tobytes(), events=len(events), limit=10**9)


async def snapshot(broker: Broker, run: str = "a") -> Snapshot:
    found = await broker.statistics.snapshot("m", run)
    assert found is not None
    return found


async def shows(work: AtWork, name: str, value: object, **labels: str) -> None:
    """Wait for an exported value: it follows the save."""

    async def seen() -> bool:
        return work.value(name, monitor="m", **labels) == value

    await work.until(seen, f"{name} is {value}")


async def position(broker: Broker) -> int:
    return await broker.pools.position("m", HASH)


async def test_the_values_are_those_of_a_ledger_and_the_position_is_what_was_used(
    broker: Broker, monitor: Monitor, start: Start
) -> None:
    """Stopped, killed and started again between chunks: the same events, the same coins."""
    pool = sample(10_000, 77)
    await fill(broker, pool)
    for sequence, way in enumerate(("stop", "kill", "stop"), 1):
        work = await start(f"a{sequence}")
        await admit(broker, sequence)
        await fit(broker)
        await work.applied(sequence)
        await getattr(work, way)()
        if way == "kill":
            await broker.connection.ask("DEL", "nplmon:{m}:aggregator")  # as the hold expires
    fits = await broker.statistics.fits("m", "a", 0, 3)
    ledger = a_ledger()
    wanted = ledger.apply(
        fits, payloads((1, 2, 3)), 1.0, Fresh(events=pool, left=len(pool), pooled=True)
    ).snapshot
    now = await snapshot(broker)
    for kind in ("log_e", "log_sr", "log_cusum", "log_e_poisson"):
        assert now.statistics[kind].value == pytest.approx(wanted.statistics[kind].value, rel=1e-9)
    assert now.pool_used == wanted.pool_used == await position(broker)
    assert now.pool_left == len(pool) - now.pool_used


async def test_two_runs_of_a_monitor_share_its_position(
    broker: Broker, monitor: Monitor, start: Start
) -> None:
    """Each would use the first events of the pool, were the position kept by run."""
    await fill(broker, sample(10_000, 77))
    work = await start()
    for sequence in (1, 2):
        for run in ("a", "b"):
            await admit(broker, sequence, run=run)
        await fit(broker)
        for run in ("a", "b"):
            await work.applied(sequence, run=run)
    one, other = await snapshot(broker, "a"), await snapshot(broker, "b")
    assert await position(broker) == one.pool_used + other.pool_used
    await shows(work, "nplmon_pool_consumed_events_total", await position(broker))
    reset = await broker.runs.reset("m", "a")
    assert reset.applied == 0
    assert await position(broker) == one.pool_used + other.pool_used


async def test_a_page_computed_from_another_position_is_not_saved(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever moved it meanwhile has used the same events; the chunk is computed again with others."""
    await fill(broker, sample(10_000, 77))
    work = await start()
    real, moved = work.aggregator._fresh, []

    async def late(*arguments: object) -> tuple[Fresh, int, int]:
        found = await real(*arguments)  # type: ignore[arg-type]
        if not moved:
            moved.append(await broker.connection.ask("HSET", "nplmon:{m}:pool", HASH, 5000))
        return found

    monkeypatch.setattr(work.aggregator, "_fresh", late)
    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)
    await shows(work, "nplmon_aggregation_failures_total", 1, reason="moved")
    assert await position(broker) == 5000 + (await snapshot(broker)).pool_used


async def test_an_empty_pool_stops_and_a_refill_goes_on(
    broker: Broker, monitor: Monitor, start: Start
) -> None:
    """With the interface beside it: what is stopped has no number anywhere, and the level follows the upload."""
    await fill(broker, sample(100, 77))
    work = await start()
    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)
    now = await snapshot(broker)
    stopped = now.statistics["log_e"]
    assert (stopped.state, stopped.value, stopped.p) == ("stopped", None, None)
    assert (now.pool_left, await position(broker)) == (0, 100)
    assert 0 < now.untested < EVENTS
    await shows(work, "nplmon_e_process_stopped", 1)
    await shows(work, "nplmon_pool_events", 0)
    await shows(work, "nplmon_pool_untested_events", now.untested)
    assert work.value("nplmon_test_statistic", monitor="m", kind="log_e") is None

    transport = httpx.ASGITransport(create_app(broker, Settings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://nplmon") as client:
        body = {"events": sample(2_000, 78).tolist()}
        assert (await client.put("/v1/references/r/pool", json=body)).json()["pool"]["left"] == {"m": 2_000}

        await shows(work, "nplmon_pool_events", 2_000)  # also between chunks
        await admit(broker, 2)
        await fit(broker)
        await work.applied(2)
        said = (await client.get("/v1/monitors/m/statistic")).json()["snapshot"]
    exact = said["statistics"]["log_e"]
    assert exact["state"] == "exact"
    assert f"{now.untested} events of the run were not tested" in exact["note"]
    assert said["untested"] == now.untested
    await shows(work, "nplmon_e_process_stopped", 0)
    await shows(work, "nplmon_test_statistic", exact["value"], kind="log_e")


async def test_a_monitor_made_anew_goes_on_where_the_deleted_one_was(
    broker: Broker, monitor: Monitor, start: Start
) -> None:
    """Who makes it anew may have seen what the used events gave: they are not fresh to him."""
    await fill(broker, sample(10_000, 77))
    work = await start()
    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)
    used = await position(broker)
    assert used > 0
    await broker.monitors.delete("m")
    await broker.monitors.create(a_monitor())
    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)
    again = await snapshot(broker)
    assert await position(broker) == used + again.pool_used


async def test_a_pool_shortened_before_the_monitor_was_there_is_used_from_its_first_event(
    broker: Broker, monitor: Monitor, start: Start
) -> None:
    await fill(broker, sample(1_000, 76))
    await fill(broker, sample(1_000, 77), "bb")
    assert await broker.pools.trim(HASH, 1_000) == 1
    work = await start()
    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)
    now = await snapshot(broker)
    assert now.statistics["log_e"].state == "exact"
    assert await position(broker) == 1_000 + now.pool_used


async def test_past_the_budget_it_is_exported_and_warned_about_and_the_approximate_form_is_not(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(broker, sample(10, 77))
    said = CapturingLogger()
    monkeypatch.setattr(aggregator, "log", said)
    work = await start(exposure_budget=EVENTS / 2000 / 2)
    for sequence in (1, 2):
        await admit(broker, sequence)
        await fit(broker)
        await work.applied(sequence)
    warned = [call.args[0] for call in said.calls if call.method_name == "warning"]
    assert warned == ["exposure budget used up", "pool empty"]  # once each
    await shows(work, "nplmon_reference_exposure_budget_ratio", 4.0)
    assert work.value("nplmon_test_statistic", monitor="m", kind="log_e_poisson") is None
    assert (await snapshot(broker)).statistics["log_e_poisson"].state == "invalid"
    assert work.value("nplmon_test_statistic", monitor="m", kind="t_score") is not None
