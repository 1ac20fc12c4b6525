"""How alarms are handled, and the journal of what was done. Times are Unix seconds in UTC."""

from __future__ import annotations

from typing import Literal

from nplmon.broker.message import AlarmLevel, Message

JournalKind = Literal[
    "run-opened", "run-closed", "run-reset", "warning", "alarm", "acknowledged", "test-begun", "test-ended",
    "stale", "fresh", "monitor-changed", "dead-replayed", "dead-deleted", "notified", "notification-failed",
]  # fmt: skip


class Handling(Message, frozen=True, kw_only=True):
    """What people do about a monitor's alarms; no statistic depends on it."""

    runbook: str = ""
    """What to do, markdown."""
    contact: str = ""
    """Whom to call."""
    stale_after: float = 600.0
    """An open run without a new chunk in its statistic for so many seconds is stale."""
    webhooks: tuple[str, ...] = ()
    """Addresses that are told of alarms, http or https."""
    emails: tuple[str, ...] = ()


class Acknowledgement(Message, frozen=True, kw_only=True):
    """Somebody has taken note of an alarm; in force as long as the run's alarm has this level and sequence."""

    level: AlarmLevel
    sequence: int
    """Of the alarm: the chunk that raised it."""
    who: str
    comment: str
    at: float


class TestAlarm(Message, frozen=True, kw_only=True):
    """An alarm that somebody fired to see that it arrives; it ends by itself."""

    __test__ = False
    who: str
    comment: str
    since: float
    until: float


class JournalEntry(Message, frozen=True, kw_only=True):
    """One thing that happened to a monitor, or that somebody did."""

    id: str = ""
    """Its place in the journal, MILLISECONDS-NUMBER; given by the store."""
    at: float = 0.0
    """Resolution 1 ms; given by the store."""
    kind: JournalKind
    run: str | None = None
    level: AlarmLevel | None = None
    sequence: int | None = None
    chunk: str | None = None
    who: str = ""
    """Empty where the service itself did it."""
    text: str = ""
    """The rule that fired, a comment, a reason."""
