"""PromQL as the dashboards use it: safe with several replicas, and blind to which instance answers."""

from __future__ import annotations

from dataclasses import dataclass

ONE = 'monitor="$monitor"'
"""Selects the monitor that is chosen above a dashboard for one monitor."""
CHOSEN = 'monitor=~"$monitor"'
"""Selects the monitors that are chosen above a dashboard for several."""


@dataclass(frozen=True)
class Query:
    """One query of a panel."""

    expr: str
    legend: str
    """With labels as `{{label}}`."""
    heatmap: bool = False
    """Whether the answer is the buckets of a histogram."""


def latest(metric: str, selector: str = ONE, *, by: str = "monitor") -> str:
    """Give a gauge that has one value however many processes export it.

    Examples
    --------
    >>> latest("nplmon_backlog_chunks", CHOSEN)
    'max by (monitor) (nplmon_backlog_chunks{monitor=~"$monitor"})'
    """
    braces = f"{{{selector}}}" if selector else ""
    return f"max by ({by}) ({metric}{braces})"


def of_kind(metric: str, kinds: str = "") -> str:
    """Give a gauge of each kind of statistic of the chosen monitor; `kinds` is a regular expression."""
    return latest(metric, f'{ONE}, kind=~"{kinds}"' if kinds else ONE, by="monitor, kind")


def deciding(metric: str, selector: str = ONE) -> str:
    """Give a gauge of the statistic that decides on the alarm."""
    decides = latest("nplmon_deciding_statistic", selector, by="monitor, kind")
    return f"{latest(metric, selector, by='monitor, kind')} and on (monitor, kind) {decides}"


def growth(counter: str, selector: str = CHOSEN, *, by: str = "monitor") -> str:
    """Give how much a counter grows in a second, over all processes."""
    braces = f"{{{selector}}}" if selector else ""
    return f"sum by ({by}) (rate({counter}{braces}[$__rate_interval]))"


def quantile(level: float, histogram: str, selector: str = CHOSEN, *, by: str = "") -> str:
    """Give a quantile of what a histogram measured, over all processes."""
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({level:g}, {growth(f'{histogram}_bucket', selector, by=labels)})"


def age(timestamp: str, selector: str = ONE) -> str:
    """Give the seconds since a point in time that is exported."""
    return f"time() - {latest(timestamp, selector)}"
