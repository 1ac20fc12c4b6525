"""What the aggregator tells Prometheus; the only place that exports a statistic."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, get_args

from prometheus_client import Counter, Gauge, Histogram

from nplmon.aggregator.alarm import LEVELS
from nplmon.aggregator.calibration_metrics import CalibrationMetrics
from nplmon.aggregator.standing_metrics import StandingMetrics
from nplmon.broker.messages import Statistic, StatisticKind

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from nplmon.aggregator.page import Page
    from nplmon.broker.messages import Snapshot

KINDS: Final[tuple[StatisticKind, ...]] = get_args(StatisticKind)
AGES = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)


class AggregatorMetrics:
    """The metrics of one aggregator, in a registry that is handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            one = Gauge(name, text, ["monitor", *labels], registry=registry)
            self._gauges.append((one, bool(labels)))
            return one

        self._gauges: list[tuple[Gauge, bool]] = []
        self._statistic = gauge(
            "nplmon_test_statistic", "Test statistic: 2 log likelihood ratio, or log e-value.", "kind"
        )
        self._p = gauge("nplmon_p_value", "p-value of the test statistic under its null.", "kind")
        self._z = gauge("nplmon_significance", "One-sided Gaussian significance of the p-value.", "kind")
        self._null_mean = gauge("nplmon_null_mean", "Mean of the test statistic's null.", "kind")
        self._null_deviation = gauge("nplmon_null_deviation", "Standard deviation of the null.", "kind")
        self._threshold = gauge("nplmon_alarm_threshold", "Value at which an alarm is due now.", "kind")
        self._warning = gauge("nplmon_warning_threshold", "Value at which a warning is due now.", "kind")
        self._deciding = gauge(
            "nplmon_deciding_statistic",
            "1 for the statistic that decides on the alarm now; the others have none.",
            "kind",
        )
        self._width = gauge(
            "nplmon_winning_width",
            "Sigma of the winning kernel width, in reference standard deviations.",
            "kind",
        )
        self._alarm = gauge("nplmon_alarm_level", "Latched alarm: 0 ok, 1 warning, 2 alarm.")
        self._rate_p = gauge("nplmon_rate_p_value", "Two-sided p-value of the run's number of events.")
        self._rate_z = gauge("nplmon_rate_significance", "Its significance, positive for too many events.")
        self._rate_threshold = gauge(
            "nplmon_rate_alarm_p_value", "The p-value at which the rate's alarm fires now."
        )
        self._rate_level = gauge(
            "nplmon_rate_alarm_level", "Latched alarm of the rate: 0 ok, 1 warning, 2 alarm."
        )
        self._rate_observed = gauge(
            "nplmon_rate_observed_events", "Events of the run in the test of the rate."
        )
        self._rate_expected = gauge("nplmon_rate_expected_events", "Events that its exposure lets expect.")
        self._rate_unknown = gauge("nplmon_rate_unknown", "Whether the rate cannot be tested: 0 or 1.")
        self._combined = gauge("nplmon_combined_p_value", "p-value of shape and rate together.")
        self._withheld = gauge(
            "nplmon_alarm_withheld", "Whether the floor on the effect size withholds an alarm: 0 or 1."
        )
        self._tolerated = gauge(
            "nplmon_tolerated_fraction", "Share of the templates in the mixture that explains the data best."
        )
        self._resolution = gauge(
            "nplmon_p_value_resolution", "Smallest p that its calibration can tell.", "kind"
        )
        self._calibrated = gauge("nplmon_calibrated", "Whether toys judge the live run now: 0 or 1.")
        self._run_length = gauge(
            "nplmon_calibration_expected_run_length_chunks",
            "Expected chunks between false alarms by the shape.",
        )
        self._chunks = gauge("nplmon_run_chunks", "Chunks in the live run's statistic.")
        self._events = gauge("nplmon_run_events", "Events in the live run's statistic.")
        self._exposure = gauge("nplmon_reference_exposure_ratio", "Expected events of the run / N_eff.")
        self._budget = gauge(
            "nplmon_reference_exposure_budget_ratio", "Exposure ratio / its budget; above 1 it is used up."
        )
        self._pool = gauge("nplmon_pool_events", "Pool events that the monitor has not used.")
        self._untested = gauge("nplmon_pool_untested_events", "Events of the live run left out, pool empty.")
        self._stopped = gauge("nplmon_e_process_stopped", "1 while the exact e-process has no pool to go on.")
        self._effect = gauge("nplmon_effect_size_ratio", "Reference mean of |averaged density ratio - 1|.")
        self._effect_mean = gauge("nplmon_effect_size_null_mean_ratio", "What noise alone makes of it.")
        self._effect_deviation = gauge(
            "nplmon_effect_size_null_deviation_ratio", "Standard deviation of what noise makes of it."
        )
        self._overflow = gauge(
            "nplmon_density_ratio_overflow", "Whether the averaged density ratio overflows: 0 or 1."
        )
        self._updated = gauge("nplmon_last_update_timestamp_seconds", "When the statistic last changed.")
        self._accepted = gauge(
            "nplmon_last_applied_accepted_timestamp_seconds", "When the last applied chunk was accepted."
        )
        self.unapplied = gauge("nplmon_unapplied_chunks", "Chunks accepted but not yet in the statistic.")
        self.applied = Counter(
            "nplmon_chunks_applied_total",
            "Chunks entered into a statistic, or passed over because they are dead.",
            ["monitor", "outcome"],
            registry=registry,
        )
        self._applied_events = Counter(
            "nplmon_events_applied_total", "Events entered into a statistic.", ["monitor"], registry=registry
        )
        self._consumed = Counter(
            "nplmon_pool_consumed_events_total", "Pool events used up.", ["monitor"], registry=registry
        )
        self._age = Histogram(
            "nplmon_chunk_age_seconds",
            "Time from the acceptance of a chunk to its statistic, in s.",
            ["monitor"],
            buckets=AGES,
            registry=registry,
        )
        self.failures = Counter(
            "nplmon_aggregation_failures_total",
            "Saves or computations that failed, by reason.",
            ["monitor", "reason"],
            registry=registry,
        )
        self.calibration = CalibrationMetrics(registry)
        self.standing = StandingMetrics(registry)
        self.store_errors = Counter(
            "nplmon_aggregator_store_errors_total", "Times that the store did not answer.", registry=registry
        )

    def announce(self, monitor: str) -> None:
        """Show a monitor's counters from zero, so that the first increase is seen as one."""
        for outcome in ("applied", "dead"):
            self.applied.labels(monitor, outcome)
        self.calibration.announce(monitor)
        self._applied_events.labels(monitor)
        self._consumed.labels(monitor)
        self._age.labels(monitor)
        for reason in ("fenced", "superseded", "moved", "exception"):
            self.failures.labels(monitor, reason)

    def show(self, snapshot: Snapshot) -> None:
        """Export the present state of a monitor's live run; what is invalid or frozen is not shown."""
        monitor = snapshot.monitor
        for kind in KINDS:
            absent = Statistic(kind=kind, value=None, state="invalid", sequence=0)
            one = snapshot.statistics.get(kind, absent)
            if one.state == "frozen":  # a gauge cannot say that it is of the past
                one = absent
            for family, value in (
                (self._statistic, one.value),
                (self._p, one.p),
                (self._resolution, one.p_resolution),
                (self._z, one.z),
                (self._null_mean, one.null_mean),
                (self._null_deviation, one.null_deviation),
                (self._threshold, one.threshold),
                (self._warning, one.warning_threshold),
                (self._width, one.width),
                (self._deciding, 1.0 if kind == snapshot.deciding else None),
            ):
                if value is None:
                    _forget(family, monitor, kind)
                else:
                    family.labels(monitor, kind).set(value)
        self._alarm.labels(monitor).set(LEVELS[snapshot.alarm.level])
        used = snapshot.calibration
        if used is None:
            for family in (self._calibrated, self._run_length):
                _forget(family, monitor)
        else:
            self._calibrated.labels(monitor).set(used.source == "toys")
            self._run_length.labels(monitor).set(used.run_length)
        self._chunks.labels(monitor).set(snapshot.chunks)
        self._events.labels(monitor).set(snapshot.events)
        self._exposure.labels(monitor).set(snapshot.exposure_ratio)
        self._budget.labels(monitor).set(snapshot.exposure_ratio / snapshot.exposure_budget)
        self._untested.labels(monitor).set(snapshot.untested)
        self._stopped.labels(monitor).set(any(one.state == "stopped" for one in snapshot.statistics.values()))
        self.show_pool(monitor, snapshot.pool_left)
        effect, rate, tolerance = snapshot.effect_size, snapshot.rate, snapshot.tolerance
        for family, number in (
            (self._rate_p, None if rate is None else rate.p),
            (self._rate_z, None if rate is None else rate.z),
            (self._rate_threshold, None if rate is None else rate.p_threshold),
            (self._rate_level, None if rate is None else LEVELS[rate.alarm.level]),
            (self._rate_observed, None if rate is None else rate.observed),
            (self._rate_expected, None if rate is None else rate.expected),
            (self._rate_unknown, None if rate is None else float(rate.state == "unknown")),
            (self._combined, None if rate is None else rate.combined_p),
            (self._effect, None if effect is None else effect.value),
            (self._effect_mean, None if effect is None else effect.null_mean),
            (self._effect_deviation, None if effect is None else effect.null_deviation),
            (self._withheld, None if tolerance is None else float(tolerance.withheld)),
            (
                self._tolerated,
                sum(one.fraction for one in tolerance.templates)
                if tolerance is not None and tolerance.templates
                else None,
            ),
            (self._overflow, None if effect is None else float(effect.value is None)),
        ):
            if number is None:
                _forget(family, monitor)
            else:
                family.labels(monitor).set(number)
        self._updated.labels(monitor).set(snapshot.updated_at)
        self._accepted.labels(monitor).set(snapshot.last_accepted_at)

    def show_pool(self, monitor: str, left: int | None) -> None:
        """Export the level of a monitor's pool; None where there is none."""
        if left is None:
            _forget(self._pool, monitor)
        else:
            self._pool.labels(monitor).set(left)

    def count(self, monitor: str, page: Page) -> None:
        """Count what one save applied and used."""
        self._consumed.labels(monitor).inc(page.pool_used)
        for entry in page.history:
            self.applied.labels(monitor, entry.state).inc()
            if entry.state == "applied":
                self._applied_events.labels(monitor).inc(entry.events)
                self._age.labels(monitor).observe(max(0.0, entry.applied_at - entry.accepted_at))

    def forget(self, monitor: str) -> None:
        """Stop exporting a monitor that is deleted or held by another aggregator now."""
        for family, by_kind in self._gauges:
            for kind in KINDS if by_kind else (None,):
                _forget(family, monitor, *(() if kind is None else (kind,)))


def _forget(family: Gauge, *labels: str) -> None:
    with suppress(KeyError):  # never shown
        family.remove(*labels)
