"""What the aggregator tells Prometheus about calibrations by toys."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, get_args

from prometheus_client import Counter, Gauge

from nplmon.broker.toy_messages import CalibrationState

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from nplmon.broker.toy_messages import ToyCalibration

STATES: tuple[CalibrationState, ...] = get_args(CalibrationState)


class CalibrationMetrics:
    """The metrics of calibrations, in a registry that is handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._toys = Gauge(
            "nplmon_calibration_toys",
            "Toys done of the monitor's calibration.",
            ["monitor"],
            registry=registry,
        )
        self._wanted = Gauge(
            "nplmon_calibration_toys_wanted",
            "Toys asked for of the monitor's calibration.",
            ["monitor"],
            registry=registry,
        )
        self._state = Gauge(
            "nplmon_calibration_state",
            "1 for the state of the monitor's calibration by toys, 0 for the others.",
            ["monitor", "state"],
            registry=registry,
        )
        self._disagrees = Gauge(
            "nplmon_calibration_disagreement",
            "Whether toys and closed form disagree by more than the number of toys explains: 0 or 1.",
            ["monitor"],
            registry=registry,
        )
        self._failures = Counter(
            "nplmon_calibration_failures_total",
            "Calibrations by toys that failed.",
            ["monitor"],
            registry=registry,
        )
        self._failed: dict[str, int] = {}
        """The generation that failed last, by monitor."""

    def announce(self, monitor: str) -> None:
        """Show a monitor's counter from zero, so that the first increase is seen as one."""
        self._failures.labels(monitor)

    def show(self, calibration: ToyCalibration) -> None:
        """Export a calibration as it is now; one that failed is counted once."""
        monitor = calibration.monitor
        self._toys.labels(monitor).set(calibration.toys_done)
        self._wanted.labels(monitor).set(calibration.plan.toys)
        for state in STATES:
            self._state.labels(monitor, state).set(state == calibration.state)
        self._disagrees.labels(monitor).set(bool(calibration.disagreement))
        if calibration.state == "failed" and self._failed.get(monitor) != calibration.generation:
            self._failed[monitor] = calibration.generation
            self._failures.labels(monitor).inc()

    def forget(self, monitor: str) -> None:
        """Stop exporting a monitor without a calibration, or held by another aggregator now."""
        self._failed.pop(monitor, None)
        for family in (self._toys, self._wanted, self._disagrees):
            with suppress(KeyError):  # never shown
                family.remove(monitor)
        for state in STATES:
            with suppress(KeyError):
                self._state.remove(monitor, state)
