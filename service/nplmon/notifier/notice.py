"""A notice: one entry of a journal as its receivers are told of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import msgspec

if TYPE_CHECKING:
    from nplmon.broker.alarm_messages import JournalEntry, JournalKind
    from nplmon.broker.message import AlarmLevel
    from nplmon.broker.messages import Monitor

TOLD: Final[frozenset[JournalKind]] = frozenset(
    {"warning", "alarm", "acknowledged", "stale", "fresh", "test-begun", "run-closed"}
)
"""Kinds of entries that receivers are told of; of a closed run only where there was something to tell before."""


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a webhook, JSON."""

    id: str
    """The same each time that it is sent: what a receiver tells repetitions by."""
    monitor: str
    run: str | None
    kind: JournalKind
    level: AlarmLevel | None
    at: float
    """Unix seconds, UTC."""
    who: str
    """Who acknowledged, or fired the test; empty where the service itself did it."""
    text: str
    """The rule with its numbers, a comment, a reason."""
    test: bool
    contact: str
    url: str
    """The page that shows it."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What is told, and where it is from.

    Attributes
    ----------
    entry:
        Of the journal.
    payload:
        What a webhook sends of it.
    runbook:
        What to do, markdown.
    """

    entry: JournalEntry
    payload: Payload
    runbook: str

    @property
    def body(self) -> bytes:
        """The payload, JSON."""
        return msgspec.json.encode(self.payload)


def notice_of(monitor: Monitor, entry: JournalEntry, page: str) -> Notice:
    """Give the notice of an entry.

    Parameters
    ----------
    monitor:
        The monitor, for whom to call and what to do.
    entry:
        One of its journal, with its id.
    page:
        Address of the page that people look at, without a path.
    """
    query = "" if entry.run is None else f"?{urlencode({'run': entry.run})}"
    return Notice(
        entry=entry,
        payload=Payload(
            id=id_of(monitor.name, entry.id),
            monitor=monitor.name,
            run=entry.run,
            kind=entry.kind,
            level=entry.level,
            at=entry.at,
            who=entry.who,
            text=entry.text,
            test=entry.kind == "test-begun",
            contact=monitor.handling.contact,
            url=f"{page.rstrip('/')}/monitors/{monitor.name}/alarm{query}",
        ),
        runbook=monitor.handling.runbook,
    )


def id_of(monitor: str, entry: str) -> str:
    """Give the id of a notice; a hash, for the signature's form has no place for the dot of a name.

    Examples
    --------
    >>> id_of("dimuon", "1764137411000-0")
    'msg_ca727ebc808e4b6623f533d2c49f87fd'
    """
    return "msg_" + hashlib.sha256(f"{monitor}\0{entry}".encode()).hexdigest()[:32]
