"""Tolerance in the ledger: mixtures of templates explain data, and a floor on the effect size withholds alarms."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from tests.aggregator.samples import (
    HASH,
    ONE,
    SEVERAL,
    a_fit,
    a_ledger,
    a_monitor,
    a_run,
    admit,
    calibration,
    chunk,
    fit,
    prepared,
    sample,
)
from tests.aggregator.work import AtWork

from nplmon.aggregator.judge import Judge
from nplmon.aggregator.ledger import Ledger
from nplmon.aggregator.metrics import AggregatorMetrics
from nplmon.aggregator.page import Page
from nplmon.aggregator.state import SavedState
from nplmon.broker import Broker
from nplmon.broker.messages import Monitor, Reference, TemplateReference, ToleranceSettings
from nplmon.nplm.reference import Reference as Sample
from nplmon.nplm.templates import Template
from nplmon.tolerated import templates_of

Start = Callable[..., Awaitable[AtWork]]

SCALE = 1.25
UP = TemplateReference(name="up", hash="cd34")


def with_template(**changes: object) -> Monitor:
    return a_monitor(tolerance=ToleranceSettings(templates=(UP,)), **changes)


def a_tolerant_ledger(quantiles: tuple[float, ...] = ONE, scale: float = SCALE) -> Ledger:
    """Give a ledger to which another scale is a template."""
    up = Sample((scale * sample(4_000, 99)).astype(np.float32))
    one = prepared(quantiles)
    ledger = Ledger(
        with_template(),
        a_run(),
        one,
        event_cap=10_000,
        exposure_budget=0.5,
        templates=[[Template.of(width.basis, up)] for width in one.widths],
    )
    ledger.judge = Judge(closed=calibration("shape", quantiles=quantiles))
    return ledger


def scaled(ledger: Ledger, sequence: int, scale: float = SCALE, quantiles: tuple[float, ...] = ONE) -> Page:
    events = (chunk(sequence) * scale).astype(np.float32)
    found = a_fit(sequence, events, quantiles)
    return ledger.apply([found], {sequence: events.tobytes()}, 5.0)


@pytest.mark.parametrize("quantiles", [ONE, SEVERAL])
def test_what_a_template_explains_raises_no_alarm(quantiles: tuple[float, ...]) -> None:
    """The same chunks alarm without it; with it t_profiled decides, and the mixture is mostly the template."""
    plain, tolerant = a_ledger(quantiles=quantiles), a_tolerant_ledger(quantiles)
    for i in range(1, 13):
        strict, page = scaled(plain, i, quantiles=quantiles), scaled(tolerant, i, quantiles=quantiles)
    assert strict.snapshot.alarm.level == "alarm"
    assert strict.snapshot.tolerance is None
    assert page.snapshot.alarm.level == "ok"
    found = page.snapshot.statistics
    assert found["t_profiled"].p is not None
    assert found["t_profiled"].p > 0.05 > found["t_score"].p
    assert found["t_profiled"].threshold is not None
    assert page.snapshot.deciding == "t_profiled"
    state = page.snapshot.tolerance
    assert state is not None
    assert [one.name for one in state.templates] == ["up"]
    assert 0.5 < state.templates[0].fraction <= 1
    assert not state.withheld


def test_what_no_template_explains_alarms_by_t_profiled() -> None:
    """A scale that is down, where one that is up is tolerated."""
    ledger = a_tolerant_ledger(scale=1.1)
    for i in range(1, 13):
        page = scaled(ledger, i, 0.7)
    assert page.snapshot.alarm.level == "alarm"
    assert page.snapshot.alarm.kind == "t_profiled"
    assert page.snapshot.tolerance is not None
    assert page.snapshot.tolerance.templates[0].fraction < 0.1


def test_below_the_floor_an_alarm_is_withheld_and_says_so() -> None:
    """A quarter of scale has an effect size of about 0.2: a floor of 0.05 lets it alarm, one of 0.5 does not."""
    floors = {
        floor: a_ledger(a_monitor(tolerance=ToleranceSettings(effect_size=floor))) for floor in (0.05, 0.5)
    }
    pages = {floor: [scaled(ledger, i) for i in range(1, 13)][-1] for floor, ledger in floors.items()}

    assert pages[0.05].snapshot.alarm.level == "alarm"
    assert not pages[0.05].snapshot.tolerance.withheld
    low = pages[0.5].snapshot
    assert low.alarm.level == pages[0.5].history[-1].alarm == "ok"
    assert low.tolerance.withheld
    for said in ("alarm withheld", "the floor 0.5", "t_score = "):
        assert said in low.tolerance.reason
    registry = CollectorRegistry()
    metrics = AggregatorMetrics(registry)
    for floor, wanted in ((0.05, 0), (0.5, 1)):
        metrics.show(pages[floor].snapshot)
        assert registry.get_sample_value("nplmon_alarm_withheld", {"monitor": "m"}) == wanted
    metrics.show(msgspec.structs.replace(low, tolerance=None))
    assert registry.get_sample_value("nplmon_alarm_withheld", {"monitor": "m"}) is None


def test_a_restart_withholds_as_before() -> None:
    monitor = a_monitor(tolerance=ToleranceSettings(effect_size=0.5))
    one = a_ledger(monitor)
    pages = [scaled(one, i) for i in range(1, 13)]
    other = a_ledger(monitor)
    saved = SavedState.from_bytes(pages[-2].state)
    kept = {i: (chunk(i) * SCALE).astype(np.float32).tobytes() for i in saved.kept}
    other.restore(saved, kept)
    again = scaled(other, 12)
    assert again == pages[-1]
    assert again.snapshot.tolerance.withheld


async def store_template(broker: Broker, events: np.ndarray) -> None:
    """Put the template into the store, with another feature and in another order."""
    count = len(events)
    stored = Reference(
        name="up",
        hash=UP.hash,
        features=("z", "y", "x"),
        units=("", "", "GeV"),
        events=count,
        weighted=False,
        sum_weights=float(count),
        effective_events=float(count),
        means=(1.0,) * 3,
        standard_deviations=(1.0,) * 3,
        minima=(0.0,) * 3,
        maxima=(9.0,) * 3,
        created_at=1.0,
    )
    columns = np.column_stack([np.zeros(count), events[:, 1], events[:, 0]])
    await broker.references.put(stored, Sample(np.ascontiguousarray(columns, dtype=np.float32)).to_bytes())


@pytest.mark.anyio
async def test_templates_are_made_once_and_kept_in_the_store(broker: Broker) -> None:
    """In the monitor's features, whatever the order of the template's own."""
    events = (SCALE * sample(500, 98)).astype(np.float32)
    await store_template(broker, events)
    basis = prepared().widths[0].basis
    [[made]] = await templates_of(broker, with_template(), [basis])
    key = f"template-{UP.hash}-{basis.digest}"
    assert await broker.references.basis(HASH, key) == made.to_bytes()
    np.testing.assert_allclose(made.mean, Template.of(basis, Sample(events)).mean, rtol=1e-6)
    [[again]] = await templates_of(broker, with_template(), [basis])
    assert again.to_bytes() == made.to_bytes()
    assert await templates_of(broker, a_monitor(), [basis]) == [[]]


@pytest.mark.anyio
async def test_an_aggregator_profiles_over_stored_templates(broker: Broker, start: Start) -> None:
    await store_template(broker, (SCALE * sample(500, 98)).astype(np.float32))
    await broker.monitors.create(with_template())
    work = await start()
    await admit(broker, 1, 2)
    await fit(broker)
    await work.applied(2)
    snapshot = await broker.statistics.snapshot("m", "a")
    assert snapshot is not None
    assert snapshot.statistics["t_profiled"].threshold is not None
    assert snapshot.tolerance is not None
    assert [one.name for one in snapshot.tolerance.templates] == ["up"]
    assert work.registry.get_sample_value("nplmon_tolerated_fraction", {"monitor": "m"}) is not None
