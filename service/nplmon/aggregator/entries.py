"""Lines of a run's history: one for each chunk, applied or given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nplmon.broker.messages import HistoryEntry

if TYPE_CHECKING:
    from nplmon.broker.message import AlarmLevel
    from nplmon.broker.messages import Death, Fit, Statistic


def applied(fit: Fit, statistics: dict[str, Statistic], alarm: AlarmLevel, at: float) -> HistoryEntry:
    """Give the line of a chunk that is in the statistics.

    Parameters
    ----------
    fit:
        Its result.
    statistics:
        After it, by kind.
    alarm:
        The level after it.
    at:
        The time of its application, Unix seconds.
    """
    receipt = fit.receipt
    return HistoryEntry(
        sequence=receipt.sequence,
        chunk=receipt.chunk,
        state="applied",
        events=receipt.events,
        exposure=receipt.exposure,
        accepted_at=receipt.accepted_at,
        applied_at=at,
        fit_seconds=fit.fit_seconds,
        trainer=fit.trainer,
        # What stands still is said by the snapshot; a line for every chunk would only fill the history.
        statistics={kind: one for kind, one in statistics.items() if one.state != "stopped"},
        alarm=alarm,
    )


def dead(death: Death, alarm: AlarmLevel, at: float) -> HistoryEntry:
    """Give the line of a chunk that was given up; its numbers are none."""
    receipt = death.receipt
    return HistoryEntry(
        sequence=receipt.sequence,
        chunk=receipt.chunk,
        state="dead",
        events=receipt.events,
        exposure=receipt.exposure,
        accepted_at=receipt.accepted_at,
        applied_at=at,
        alarm=alarm,
        error=death.error,
    )
