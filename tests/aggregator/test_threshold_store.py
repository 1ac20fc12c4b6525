"""Thresholds are computed once for all aggregators, while nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.aggregator.samples import EVENTS, HASH, a_monitor, admit, calibration, fit, prepared
from tests.aggregator.work import AtWork

from nplmon.aggregator import threshold_store
from nplmon.aggregator.threshold_store import ThresholdStore
from nplmon.broker import Broker
from nplmon.broker.messages import Monitor
from nplmon.nplm.calibration import Calibration

pytestmark = pytest.mark.anyio

Start = Callable[..., Awaitable[AtWork]]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count computations; each takes the thresholds of the samples, and a fifth of a second."""
    made: list[str] = []
    calibration()  # here, so that the look does not wait for it

    def closed_form(*_: Any) -> Calibration:
        found = calibration()
        made.append(found.key)
        time.sleep(0.2)
        return found

    monkeypatch.setattr(threshold_store.thresholds, "closed_form", closed_form)
    monkeypatch.setattr(threshold_store, "PATIENCE_SECONDS", 10.0)
    return made


async def test_they_are_computed_once_for_all(broker: Broker, computed: list[str]) -> None:
    monitor, one, other = a_monitor(), ThresholdStore(broker), ThresholdStore(broker)
    found = await asyncio.gather(*(one.get(monitor, prepared(), float(EVENTS)) for _ in range(3)))
    assert found[0] is not None
    assert found[1] is found[0]
    again = await other.get(monitor, prepared(), EVENTS * 1.05)
    assert again is not None
    assert again.to_bytes() == found[0].to_bytes()
    assert len(computed) == 1


async def test_the_first_ones_stored_stay(broker: Broker, computed: list[str]) -> None:
    """Another aggregator, on a machine that rounds otherwise, was first: its numbers are everybody's."""
    store, monitor = ThresholdStore(broker), a_monitor()
    wanted, first = calibration(), calibration("shape", (900.0, 90.0))
    await broker.references.put_levels(HASH, wanted.key, first.to_bytes())
    await broker.references.put_levels(HASH, wanted.key, wanted.to_bytes())
    found = await store.get(monitor, prepared(), float(EVENTS))
    assert found is not None
    assert found.to_bytes() == first.to_bytes()
    assert computed == []


async def test_meanwhile_chunks_wait_and_are_applied_afterwards(
    broker: Broker, monitor: Monitor, start: Start, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threshold_store, "PATIENCE_SECONDS", 0.01)
    work = await start()
    await admit(broker, 1, 2, 3)
    await fit(broker)

    async def computing() -> bool:
        return bool(computed)

    await work.until(computing, "the thresholds are being computed")
    assert (await broker.runs.get("m", "a")).applied == 0
    await work.applied(3)
    history = await broker.statistics.history("m", "a", 0, 10)
    assert [entry.sequence for entry in history] == [1, 2, 3]
    assert all(entry.statistics["t_score"].threshold is not None for entry in history)
    assert len(computed) == 1


async def test_what_cannot_be_computed_is_tried_again(
    broker: Broker, monitor: Monitor, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is counted, the chunk stays, and the next attempt is a new one."""
    failed = []

    def once(*_: Any) -> Calibration:
        if not failed:
            failed.append(1)
            raise MemoryError("no memory")
        return calibration()

    monkeypatch.setattr(threshold_store.thresholds, "closed_form", once)
    work = await start()
    await admit(broker, 1)
    await fit(broker)
    await work.applied(1)
    assert work.value("nplmon_aggregation_failures_total", monitor="m", reason="exception") == 1.0
