"""What the aggregator tells Prometheus of how a monitor stands, also between chunks and after a run."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from prometheus_client import Gauge

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from nplmon.aggregator.standing import Standing


class StandingMetrics:
    """The gauges of `Standing`, in a registry that is handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, ["monitor"], registry=registry)

        self._open = gauge("nplmon_run_open", "Whether the live run takes chunks: 0 or 1.")
        self._opened = gauge("nplmon_run_opened_timestamp_seconds", "When the live run was opened.")
        self._acknowledged = gauge(
            "nplmon_alarm_acknowledged", "Whether somebody has taken note of the present alarm: 0 or 1."
        )
        self._test = gauge("nplmon_test_alarm", "Whether a test alarm is fired: 0 or 1.")
        self._uncalibrated = gauge(
            "nplmon_uncalibrated",
            "Whether nothing says when an alarm is due, or toys that were asked for cannot be used: 0 or 1.",
        )
        self._stale_after = gauge(
            "nplmon_stale_after_seconds", "How long an open run may be without a new chunk, in s."
        )

    def show(self, monitor: str, now: Standing) -> None:
        """Export how a monitor stands."""
        for family, value in (
            (self._open, now.run_open),
            (self._acknowledged, now.acknowledged),
            (self._test, now.test),
            (self._uncalibrated, now.uncalibrated),
            (self._stale_after, now.stale_after),
        ):
            family.labels(monitor).set(value)
        if now.opened_at is None:
            _forget(self._opened, monitor)
        else:
            self._opened.labels(monitor).set(now.opened_at)

    def forget(self, monitor: str) -> None:
        """Stop exporting a monitor that is deleted or held by another aggregator now."""
        for family in (
            self._open,
            self._opened,
            self._acknowledged,
            self._test,
            self._uncalibrated,
            self._stale_after,
        ):
            _forget(family, monitor)


def _forget(family: Gauge, monitor: str) -> None:
    with suppress(KeyError):  # never shown
        family.remove(monitor)
