"""A letter: a notice as e-mail, plain text."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nplmon.broker.alarm_messages import JournalKind
    from nplmon.notifier.notice import Notice

WORDS: Final[dict[JournalKind, str]] = {
    "warning": "WARNING",
    "alarm": "ALARM",
    "acknowledged": "ACKNOWLEDGED",
    "stale": "STALE",
    "fresh": "FRESH",
    "test-begun": "TEST",
    "run-closed": "CLOSED",
}


def subject_of(notice: Notice) -> str:
    """Give the subject, of one form, for rules that sort mail."""
    entry = notice.entry
    run = "" if entry.run is None else f" run {entry.run}"
    return f"[nplmon] {WORDS[entry.kind]} {notice.payload.monitor}{run}"


def letter_of(notice: Notice, sender: str, receiver: str) -> EmailMessage:
    """Write the letter; sent again it has the same Message-ID.

    Parameters
    ----------
    notice:
        What is told.
    sender, receiver:
        Addresses.
    """
    letter = EmailMessage(policy=SMTP)
    at = datetime.fromtimestamp(notice.entry.at, tz=UTC)
    letter["Subject"] = subject_of(notice)
    letter["From"], letter["To"] = sender, receiver
    letter["Date"] = format_datetime(at)
    letter["Message-ID"] = f"<{notice.payload.id}@{sender.rpartition('@')[2]}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(text_of(notice))
    return letter


def text_of(notice: Notice) -> str:
    """Give the text: what, by which rule, since when, whom to call, where to look, what to do."""
    entry, payload = notice.entry, notice.payload
    lines = [subject_of(notice).removeprefix("[nplmon] ")]
    if payload.test:
        lines.append("This is a test: nothing is wrong with the data.")
    lines.append("")
    for name, value in (
        ("Text", entry.text),
        ("Since", times(entry.at)),
        ("Chunk", "" if entry.chunk is None else f"{entry.chunk} (number {entry.sequence})"),
        ("By", entry.who),
        ("Contact", payload.contact),
        ("Page", payload.url),
    ):
        if value:
            lines.append(f"{name + ':':<9}{value}")
    if notice.runbook:
        lines += ["", "What to do:", "", notice.runbook.rstrip()]
    return "\n".join([*lines, "", "-- ", f"nplmon, {payload.id}", ""])


def times(at: float) -> str:
    """Say a time in this machine's zone and in UTC."""
    moment = datetime.fromtimestamp(at, tz=UTC)
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z} ({moment:%Y-%m-%d %H:%M:%S} UTC)"
