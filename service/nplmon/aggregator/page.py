"""What a ledger gives out: what is said of a run now, and what one save writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nplmon.aggregator.judge import Ruling
    from nplmon.broker.alarm_messages import JournalEntry
    from nplmon.broker.messages import HistoryEntry, Snapshot, Statistic, StatisticKind


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What is said of a run now.

    Attributes
    ----------
    statistics:
        All, by kind.
    decides, ruling:
        The kind that decides on the alarm, and what it is judged by; None for an e-detector.
    winner:
        The width that wins in it, or in t_score beside an e-detector.
    """

    statistics: dict[str, Statistic]
    decides: StatisticKind
    ruling: Ruling | None
    winner: int


@dataclass(frozen=True)
class Page:
    """What one save writes."""

    snapshot: Snapshot
    state: bytes
    history: list[HistoryEntry]
    projection: bytes | None
    drop_payloads: list[int]
    drop_fits: list[int]
    pool_used: int
    """Of the pool events handed in, how many this page has used."""
    journal: list[JournalEntry]
    """Warnings and alarms that have risen."""
