"""A monitor with receivers, and notices of it."""

from __future__ import annotations

from typing import Any

from nplmon.broker.alarm_messages import Handling, JournalEntry
from nplmon.broker.messages import Monitor
from nplmon.notifier.notice import Notice, notice_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FtcGxlIHNlY3JldCBvZiBvdGhlciBieXRlcw=="
RULE = "t_score = 91.2 >= 80.1 at chunk 7: p = 2e-05 <= 0.0003, a false alarm every 1000 chunks (closed form)"
RAISED = JournalEntry(
    id="1764137411000-0",
    at=1764137411.0,
    kind="alarm",
    run="night-1",
    level="alarm",
    sequence=7,
    chunk="c7",
    text=RULE,
)


def a_monitor(name: str = "dimuon", **handling: Any) -> Monitor:
    """Give a monitor with this handling of alarms."""
    return Monitor(
        name=name,
        epoch=1,
        reference="r",
        reference_hash="ab12",
        features=("x", "y"),
        units=("GeV", ""),
        handling=Handling(**handling),
        created_at=1.0,
        changed_at=1.0,
    )


def a_notice(entry: JournalEntry = RAISED, **handling: Any) -> Notice:
    """Give the notice of an entry."""
    return notice_of(a_monitor(**handling), entry, "https://nplmon.example")
