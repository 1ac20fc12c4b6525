"""docs/metrics.md lists every metric of every role, with its type, labels and help text, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from tests.aggregator.samples import a_monitor, a_run
from tests.aggregator.toys import a_calibration

from nplmon.aggregator.metrics import KINDS, AggregatorMetrics
from nplmon.aggregator.page import Page
from nplmon.aggregator.standing import standing
from nplmon.api import create_app
from nplmon.broker import Backlog, Broker
from nplmon.broker.findings import EffectSize
from nplmon.broker.judgement import CalibrationUsed, TemplateFraction, ToleranceState
from nplmon.broker.messages import HistoryEntry, RateTested, Snapshot, Statistic
from nplmon.notifier.metrics import NotifierMetrics
from nplmon.process_metrics import export_process
from nplmon.settings import Settings
from nplmon.trainer.metrics import TrainerMetrics

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)
ALLOWED = {"channel", "monitor", "kind", "reason", "outcome", "role", "state", "route"}


def api(registry: CollectorRegistry) -> None:
    app = create_app(Broker.connect("redis://127.0.0.1:1"), Settings(), registry)
    metrics = app.state.context.metrics
    for counter in (metrics.accepted, metrics.events, metrics.duplicates):
        counter.labels("m")
    metrics.duration.labels("/healthz")
    metrics.store.backlogs = {"m": Backlog(waiting=1, leased=1, oldest_accepted_at=1.0)}
    metrics.store.workers = {"trainer": 1}


def trainer(registry: CollectorRegistry) -> None:
    TrainerMetrics(registry, "cpu").announce("m")


def aggregator(registry: CollectorRegistry) -> None:
    NotifierMetrics(registry).announce("m")
    metrics = AggregatorMetrics(registry)
    metrics.announce("m")
    metrics.unapplied.labels("m").set(0)
    metrics.calibration.show(a_calibration())
    now = standing(a_monitor(), a_run(), None, test=None, calibration=None, now=1.0)
    metrics.standing.show("m", now)
    statistics = {
        kind: Statistic(
            kind=kind,
            value=1.0,
            state="closed form",
            p=0.5,
            p_resolution=1e-3,
            z=0.0,
            null_mean=1.0,
            null_deviation=1.0,
            threshold=9.0,
            warning_threshold=5.0,
            width=0.7,
            sequence=1,
        )
        for kind in KINDS
    }
    snapshot = Snapshot(
        monitor="m",
        run="a",
        run_epoch=1,
        monitor_epoch=1,
        reference_hash="",
        sequence=1,
        chunks=1,
        dead=0,
        events=1,
        expected=1.0,
        exposure_ratio=0.1,
        pool_left=5,
        statistics=statistics,
        deciding="t_score",
        calibration=CalibrationUsed(source="toys", run_length=1000, warning_run_length=100, key="k"),
        tolerance=ToleranceState(templates=(TemplateFraction(name="up", fraction=0.2),)),
        rate=RateTested(
            state="exact",
            observed=10,
            expected=9.0,
            p=0.7,
            z=0.4,
            p_threshold=1e-3,
            p_warning_threshold=1e-2,
            combined_p=0.8,
            combined_z=-0.8,
        ),
        effect_size=EffectSize(value=0.1, null_mean=0.02, null_deviation=0.01, excess=0.08),
        updated_at=1.0,
        last_accepted_at=1.0,
    )
    metrics.show(snapshot)
    line = HistoryEntry(
        sequence=1, chunk="c", state="applied", events=1, exposure=None, accepted_at=1.0, applied_at=1.0
    )
    metrics.count(
        "m",
        Page(
            snapshot=snapshot,
            state=b"",
            history=[line],
            projection=None,
            drop_payloads=[],
            drop_fits=[],
            pool_used=1,
            journal=[],
        ),
    )


def every_process(registry: CollectorRegistry) -> None:
    export_process(registry, "api")


ROLES = {"Every process": every_process, "API": api, "Trainer": trainer, "Aggregator": aggregator}


def exported(role: str) -> list[Metric]:
    """Give the metrics of a role, each with a value under every label that it has."""
    registry = CollectorRegistry()
    ROLES[role](registry)
    return list(registry.collect())


def labels(metric: Metric) -> set[str]:
    return {name for sample in metric.samples for name in sample.labels} - {"le"}


@pytest.mark.parametrize("role", ROLES)
def test_the_table_is_that_of_the_code(role: str) -> None:
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {role}\n")[1].split("\n## ")[0]
    written = {
        name: (kind, set() if labels == "none" else set(labels.split(", ")), what.replace("\\|", "|"))
        for name, kind, _, labels, what in ROW.findall(section)
    }
    ending = {"counter": "_total", "info": "_info"}
    found = {
        metric.name + ending.get(metric.type, ""): (metric.type, labels(metric), metric.documentation)
        for metric in exported(role)
    }
    assert written == found
    assert all(metric.samples for metric in exported(role))


def test_the_unit_is_that_of_the_name() -> None:
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    for name, kind, unit, _, _ in rows:
        if not name.startswith("nplmon_"):
            continue  # named by the Prometheus client
        if name.endswith("_timestamp_seconds"):
            assert unit == "Unix s", name
        elif name.endswith("_seconds"):
            assert unit == "s", name
            assert kind in {"histogram", "gauge"}, name
        elif name.endswith("_ratio"):
            assert unit == "ratio", name
        elif named := re.search(r"_(chunks|events)(_\w+)?$", name):
            assert unit == named[1], name


@pytest.mark.parametrize("role", ROLES)
def test_no_label_can_grow_without_end(role: str) -> None:
    for metric in exported(role):
        assert metric.name.startswith("nplmon_") or role == "Every process"
        if not metric.name.endswith("_info") and metric.type != "info":
            assert labels(metric) <= ALLOWED, metric.name


def test_outcomes_and_reasons_are_explained() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for role in ("Trainer", "Aggregator"):
        for metric in exported(role):
            for sample in metric.samples:
                for label in ("outcome", "reason", "kind", "state"):
                    if label in sample.labels:
                        assert f"`{sample.labels[label]}`" in page, sample
