"""How a monitor stands beside its statistics: said once, for the page and for alerts must not disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nplmon.broker.alarm_messages import Acknowledgement
    from nplmon.broker.messages import Alarm, Monitor, Run, Statistic, StatisticKind


def acknowledgement_in_force(run: Run, alarm: Alarm) -> Acknowledgement | None:
    """Give the acknowledgement of a run's alarm as it is now; one of a lower alarm has lapsed."""
    given = run.acknowledged
    if given is None or (given.level, given.sequence) != (alarm.level, alarm.sequence):
        return None
    return given


def is_stale(monitor: Monitor, run: Run, updated_at: float | None, now: float) -> bool:
    """Tell whether an open run had no new chunk in its statistic for as long as its monitor allows.

    Parameters
    ----------
    monitor, run:
        The monitor and its live run.
    updated_at:
        When its statistic changed last; None before the first chunk, where the time since its opening counts.
    now:
        Unix seconds.
    """
    since = run.opened_at if updated_at is None else updated_at
    return run.state == "open" and now - since >= monitor.handling.stale_after


def is_uncalibrated(
    run: Run, deciding: StatisticKind | None, statistics: Mapping[str, Statistic], calibration: str | None
) -> bool:
    """Tell whether nothing says when an alarm of an open run is due, or toys that were asked for cannot be used.

    Parameters
    ----------
    run:
        The live run.
    deciding, statistics:
        What decides on its alarm, and all that there is, by kind; nothing decides before the first chunk.
    calibration:
        State of the calibration by toys; None if nobody asked for one.
    """
    undecided = False
    if deciding is not None:
        decides = statistics.get(deciding)
        undecided = decides is None or decides.threshold is None
    return run.state == "open" and (undecided or calibration in {"failed", "void"})
