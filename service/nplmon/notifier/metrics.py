"""What is told to Prometheus of notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from prometheus_client import Counter

from nplmon.notifier.channel import ChannelName

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

Outcome = Literal["delivered", "retried", "failed", "withdrawn"]


class NotifierMetrics:
    """The metrics of notifications, in a registry that is handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._notifications = Counter(
            "nplmon_notifications_total",
            "Tries to notify a receiver, by how they ended.",
            ["monitor", "channel", "outcome"],
            registry=registry,
        )

    def announce(self, monitor: str) -> None:
        """Show a monitor's counters from zero, so that the first increase is seen as one."""
        for channel in get_args(ChannelName):
            for outcome in get_args(Outcome):
                self._notifications.labels(monitor, channel, outcome)

    def count(self, monitor: str, channel: ChannelName, outcome: Outcome) -> None:
        """Count a try."""
        self._notifications.labels(monitor, channel, outcome).inc()
