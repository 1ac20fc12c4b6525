"""What chunks leave in the records of a run: a line of its history each, and in the journal what they raise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nplmon.broker.alarm_messages import JournalEntry
from nplmon.broker.messages import HistoryEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nplmon.broker.message import AlarmLevel
    from nplmon.broker.messages import Alarm, Death, Fit, Statistic


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


def risen(run: str, before: Iterable[Alarm], after: Iterable[Alarm]) -> list[JournalEntry]:
    """Give an entry of the journal for each alarm that one chunk has raised, shape or rate.

    Parameters
    ----------
    run:
        The run.
    before, after:
        The run's alarm, and those of its parts, before and after the chunk. What is the run's as well as a part's is
        told once.
    """
    found: list[JournalEntry] = []
    for old, new in zip(before, after, strict=True):
        if new == old or new.level == "ok":
            continue
        entry = JournalEntry(
            kind=new.level, run=run, level=new.level, sequence=new.sequence, chunk=new.chunk, text=new.rule
        )
        if entry not in found:
            found.append(entry)
    return found
