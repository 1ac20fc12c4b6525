"""What the aggregator exports, and when it does not."""

from __future__ import annotations

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from tests.aggregator.samples import a_death, a_fit, a_ledger, payloads

from nplmon.aggregator.metrics import AggregatorMetrics
from nplmon.broker.messages import Alarm, RateTested, Snapshot, Statistic


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return a_ledger().apply([a_fit(1), a_death(2)], payloads([1]), 5.0).snapshot


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> AggregatorMetrics:
    return AggregatorMetrics(registry)


def test_a_statistic_comes_with_its_null_and_thresholds(
    metrics: AggregatorMetrics, registry: CollectorRegistry, snapshot: Snapshot
) -> None:
    metrics.show(snapshot)
    one = snapshot.statistics["t_score"]
    for name, value in {
        "nplmon_test_statistic": one.value,
        "nplmon_p_value": one.p,
        "nplmon_significance": one.z,
        "nplmon_null_mean": one.null_mean,
        "nplmon_null_deviation": one.null_deviation,
        "nplmon_alarm_threshold": one.threshold,
        "nplmon_warning_threshold": one.warning_threshold,
    }.items():
        assert value is not None
        assert registry.get_sample_value(name, {"monitor": "m", "kind": "t_score"}) == value
    total = snapshot.statistics["t_sum"].threshold
    assert registry.get_sample_value("nplmon_alarm_threshold", {"monitor": "m", "kind": "t_sum"}) == total


def test_one_statistic_decides(
    metrics: AggregatorMetrics, registry: CollectorRegistry, snapshot: Snapshot
) -> None:
    """It moves, and leaves nothing behind: a sum over kinds stays 1."""
    for kind in ("t_score", "t_ref"):
        metrics.show(msgspec.structs.replace(snapshot, deciding=kind))
        (family,) = (one for one in registry.collect() if one.name == "nplmon_deciding_statistic")
        assert [(one.labels, one.value) for one in family.samples] == [({"monitor": "m", "kind": kind}, 1)]


def test_it_tells_whether_toys_judge_and_for_what_run_length(
    metrics: AggregatorMetrics, registry: CollectorRegistry, snapshot: Snapshot
) -> None:
    assert snapshot.calibration is not None
    for source, number in (("closed form", 0), ("toys", 1)):
        used = msgspec.structs.replace(snapshot.calibration, source=source)
        metrics.show(msgspec.structs.replace(snapshot, calibration=used))
        assert registry.get_sample_value("nplmon_calibrated", {"monitor": "m"}) == number
    name = "nplmon_calibration_expected_run_length_chunks"
    assert registry.get_sample_value(name, {"monitor": "m"}) == 1000
    metrics.show(msgspec.structs.replace(snapshot, calibration=None))
    assert registry.get_sample_value(name, {"monitor": "m"}) is None


def test_what_is_invalid_or_missing_is_not_shown_any_more(
    metrics: AggregatorMetrics, registry: CollectorRegistry, snapshot: Snapshot
) -> None:
    metrics.show(snapshot)
    # A frozen value is of the past, which a gauge cannot say.
    frozen = msgspec.structs.replace(snapshot.statistics["t_agg"], state="frozen")
    invalid = Statistic(kind="t_sum", value=None, state="invalid", sequence=3)
    kept = {"t_agg": frozen, "t_sum": invalid, "t_score": snapshot.statistics["t_score"]}
    metrics.show(msgspec.structs.replace(snapshot, statistics=kept))
    for kind in ("t_agg", "t_sum", "t_ref"):
        for name in ("nplmon_test_statistic", "nplmon_p_value", "nplmon_alarm_threshold"):
            assert registry.get_sample_value(name, {"monitor": "m", "kind": kind}) is None
    value = registry.get_sample_value("nplmon_test_statistic", {"monitor": "m", "kind": "t_score"})
    assert value == snapshot.statistics["t_score"].value


def test_an_overflow_is_a_metric_and_takes_the_effect_size_away(
    metrics: AggregatorMetrics, registry: CollectorRegistry, snapshot: Snapshot
) -> None:
    metrics.show(snapshot)
    assert registry.get_sample_value("nplmon_density_ratio_overflow", {"monitor": "m"}) == 0
    assert snapshot.effect_size is not None
    over = msgspec.structs.replace(snapshot.effect_size, value=None, excess=None)
    metrics.show(msgspec.structs.replace(snapshot, effect_size=over))
    assert registry.get_sample_value("nplmon_density_ratio_overflow", {"monitor": "m"}) == 1
    assert registry.get_sample_value("nplmon_effect_size_ratio", {"monitor": "m"}) is None


def test_an_unknown_rate_is_a_metric_and_has_no_number(
    metrics: AggregatorMetrics, registry: CollectorRegistry, snapshot: Snapshot
) -> None:
    """What was shown before must go: a p-value of the past would look like one of now."""
    known = RateTested(state="exact", observed=9, expected=8.0, p=0.7, z=0.3, p_threshold=0.001)
    metrics.show(msgspec.structs.replace(snapshot, rate=known))
    assert registry.get_sample_value("nplmon_rate_p_value", {"monitor": "m"}) == 0.7
    assert registry.get_sample_value("nplmon_rate_unknown", {"monitor": "m"}) == 0
    metrics.show(msgspec.structs.replace(snapshot, rate=RateTested(state="unknown")))
    assert registry.get_sample_value("nplmon_rate_unknown", {"monitor": "m"}) == 1
    for name in ("p_value", "significance", "alarm_p_value", "observed_events", "expected_events"):
        assert registry.get_sample_value(f"nplmon_rate_{name}", {"monitor": "m"}) is None
    # The alarm that was raised before stays.
    assert registry.get_sample_value("nplmon_rate_alarm_level", {"monitor": "m"}) == 0


@pytest.mark.parametrize(("level", "number"), [("ok", 0), ("warning", 1), ("alarm", 2)])
def test_the_alarm_is_a_number(
    metrics: AggregatorMetrics, registry: CollectorRegistry, snapshot: Snapshot, level: str, number: int
) -> None:
    metrics.show(msgspec.structs.replace(snapshot, alarm=Alarm(level=level)))
    assert registry.get_sample_value("nplmon_alarm_level", {"monitor": "m"}) == number


def test_a_deleted_monitor_leaves_no_gauge_and_another_keeps_its_own(
    metrics: AggregatorMetrics, registry: CollectorRegistry, snapshot: Snapshot
) -> None:
    metrics.show(snapshot)
    metrics.show(msgspec.structs.replace(snapshot, monitor="other"))
    metrics.forget("m")
    metrics.forget("m")
    text = generate_latest(registry).decode()
    assert 'monitor="m"' not in text
    assert 'nplmon_test_statistic{kind="t_agg",monitor="other"}' in text


def test_counters_begin_at_zero_and_count_lines(
    metrics: AggregatorMetrics, registry: CollectorRegistry
) -> None:
    metrics.announce("m")
    applied = [
        ("nplmon_chunks_applied_total", {"monitor": "m", "outcome": outcome})
        for outcome in ("applied", "dead")
    ]
    assert [registry.get_sample_value(*one) for one in applied] == [0, 0]
    page = a_ledger().apply([a_fit(1), a_death(2), a_fit(3)], payloads([1, 3]), 5.0)
    metrics.count("m", page)
    assert [registry.get_sample_value(*one) for one in applied] == [2, 1]
    assert registry.get_sample_value("nplmon_events_applied_total", {"monitor": "m"}) == 160
    # Accepted at 1 and 3, applied at 5.
    assert registry.get_sample_value("nplmon_chunk_age_seconds_sum", {"monitor": "m"}) == 6.0
