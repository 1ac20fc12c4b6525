"""How alarms are handled, as the service tells it. Times are Unix seconds in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AlarmLevel = Literal["ok", "warning", "alarm"]


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """The alarm of a run; `rule` says in words what fired."""

    level: AlarmLevel = "ok"
    kind: str | None = None
    chunk: str | None = None
    sequence: int | None = None
    since: float | None = None
    rule: str = ""


@dataclass(frozen=True, kw_only=True)
class Handling:
    """What people do about a monitor's alarms; `runbook` is markdown, `stale_after` in seconds."""

    runbook: str = ""
    contact: str = ""
    stale_after: float = 600.0
    webhooks: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Acknowledgement:
    """Somebody has taken note of an alarm; in force while the run's alarm has this level and sequence."""

    level: AlarmLevel
    sequence: int
    who: str
    comment: str
    at: float


@dataclass(frozen=True, kw_only=True)
class TestAlarm:
    """An alarm that somebody fired to see that it arrives; it ends by itself."""

    __test__ = False
    who: str
    comment: str
    since: float
    until: float


@dataclass(frozen=True, kw_only=True)
class JournalEntry:
    """One thing that happened to a monitor, or that somebody did."""

    id: str = ""
    at: float = 0.0
    kind: str
    run: str | None = None
    level: AlarmLevel | None = None
    sequence: int | None = None
    chunk: str | None = None
    who: str = ""
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Runbook:
    """What to do about the alarms of a monitor, as it was written and as safe HTML, and whom to call."""

    markdown: str
    html: str
    contact: str
