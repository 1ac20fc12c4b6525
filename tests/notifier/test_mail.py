"""E-mail, over a real mail server on loopback."""

from __future__ import annotations

import re

import pytest
from aiosmtpd.smtp import AuthResult
from pydantic import SecretStr
from tests.notifier.receivers import Mailbox, mail_server
from tests.notifier.samples import RULE, a_notice

from nplmon.broker.alarm_messages import JournalEntry
from nplmon.notifier.errors import GiveUp, TryLater
from nplmon.notifier.letter import subject_of
from nplmon.notifier.mail import Mail

pytestmark = pytest.mark.anyio

SENDER = "nplmon@detector.example"
RUNBOOK = "# Muons\n\nLook at the *efficiency* of station 3; naïve ratios mislead.\n"


async def test_a_letter_has_what_somebody_called_at_night_needs() -> None:
    mailbox = Mailbox()
    async with mail_server(mailbox) as at:
        mail = Mail(SecretStr(f"smtp://{at}"), SENDER)
        for _ in range(2):
            await mail.deliver("shift@example.org", a_notice(contact="call 4711", runbook=RUNBOOK))
    letter, again = mailbox.letters
    assert mailbox.envelopes == 2 * [(SENDER, ["shift@example.org"])]
    assert letter["Subject"] == "[nplmon] ALARM dimuon run night-1"
    assert (letter["From"], letter["To"]) == (SENDER, "shift@example.org")
    assert letter["Message-ID"] == again["Message-ID"] == f"<{a_notice().payload.id}@detector.example>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter.get_content_type() == "text/plain"
    text = letter.get_content()
    for wanted in (
        "ALARM dimuon run night-1",
        RULE,
        "c7 (number 7)",
        "call 4711",
        "https://nplmon.example/monitors/dimuon/alarm?run=night-1",
        "naïve ratios mislead.",
    ):
        assert wanted in text
    assert re.search(r"Since: +\d{4}-\d\d-\d\d \d\d:\d\d:11 \S+ \(2025-11-26 06:10:11 UTC\)", text)


@pytest.mark.parametrize(
    ("entry", "subject"),
    [
        (JournalEntry(kind="warning", run="n.1", level="warning"), "[nplmon] WARNING dimuon run n.1"),
        (JournalEntry(kind="acknowledged", run="n"), "[nplmon] ACKNOWLEDGED dimuon run n"),
        (JournalEntry(kind="stale", run="n"), "[nplmon] STALE dimuon run n"),
        (JournalEntry(kind="fresh", run="n"), "[nplmon] FRESH dimuon run n"),
        (JournalEntry(kind="run-closed", run="n"), "[nplmon] CLOSED dimuon run n"),
        (JournalEntry(kind="test-begun"), "[nplmon] TEST dimuon"),
    ],
)
def test_the_subject_has_one_form(entry: JournalEntry, subject: str) -> None:
    assert subject_of(a_notice(entry)) == subject


async def test_a_test_says_first_that_nothing_is_wrong() -> None:
    mailbox = Mailbox()
    async with mail_server(mailbox) as at:
        fired = JournalEntry(id="5-0", at=5.0, kind="test-begun", who="ada", text="does it ring?")
        await Mail(SecretStr(f"smtp://{at}"), SENDER).deliver("shift@example.org", a_notice(fired))
    lines = mailbox.letters[0].get_content().splitlines()
    assert lines[:2] == ["TEST dimuon", "This is a test: nothing is wrong with the data."]
    assert "By:      ada" in lines


@pytest.mark.parametrize(
    ("reply", "raised"), [("450 greylisted", TryLater), ("452 full", TryLater), ("550 nobody here", GiveUp)]
)
async def test_what_a_reply_means(reply: str, raised: type[Exception]) -> None:
    mailbox = Mailbox()
    mailbox.replies = [reply]
    async with mail_server(mailbox) as at:
        with pytest.raises(raised, match=f"the mail server answered {reply}"):
            await Mail(SecretStr(f"smtp://{at}"), SENDER).deliver("shift@example.org", a_notice())
    assert not mailbox.letters


async def test_one_who_is_refused_is_named_by_the_reply() -> None:
    class Strict(Mailbox):
        async def handle_RCPT(self, server: object, session: object, envelope: object, *more: object) -> str:  # noqa: N802
            return "550 no such mailbox"

    async with mail_server(Strict()) as at:
        with pytest.raises(GiveUp, match="answered 550 no such mailbox"):
            await Mail(SecretStr(f"smtp://{at}"), SENDER).deliver("nobody@example.org", a_notice())


async def test_a_server_that_is_away_is_tried_later() -> None:
    with pytest.raises(TryLater, match="no answer of the mail server"):
        await Mail(SecretStr("smtp://127.0.0.1:1"), SENDER).deliver("shift@example.org", a_notice())


def authenticator(
    server: object, session: object, envelope: object, mechanism: str, data: object
) -> AuthResult:
    known = getattr(data, "login", None) == b"ada" and getattr(data, "password", None) == b"a:b c"
    return AuthResult(success=known, handled=False)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # on loopback
@pytest.mark.filterwarnings("ignore:Session.login_data is deprecated")  # within the mail server itself
async def test_it_says_who_it_is() -> None:
    mailbox = Mailbox()
    settings = {"authenticator": authenticator, "auth_required": True, "auth_require_tls": False}
    async with mail_server(mailbox, **settings) as at:
        mail = Mail(SecretStr(f"smtp://ada:a%3Ab%20c@{at}?starttls=no"), SENDER)
        await mail.deliver("shift@example.org", a_notice())
        assert len(mailbox.letters) == 1
        wrong = Mail(SecretStr(f"smtp://ada:wrong@{at}?starttls=no"), SENDER)
        with pytest.raises(GiveUp, match="answered 535") as caught:
            await wrong.deliver("shift@example.org", a_notice())
        assert "wrong" not in str(caught.value)


async def test_a_password_does_not_go_over_an_open_line() -> None:
    """With a user and without a word on it STARTTLS is asked for, and this server has none."""
    seen: list[str] = []

    class Curious(Mailbox):
        async def handle_AUTH(self, *arguments: object) -> str:  # noqa: N802
            seen.append("asked")
            return "235 known"

    mailbox = Curious()
    async with mail_server(mailbox, auth_require_tls=False) as at:
        with pytest.raises(GiveUp, match="cannot do what is asked: SMTP STARTTLS"):
            await Mail(SecretStr(f"smtp://ada:secret@{at}"), SENDER).deliver("a@example.org", a_notice())
    assert not seen
    assert not mailbox.letters


@pytest.mark.parametrize(("url", "sender"), [(None, SENDER), ("smtp://127.0.0.1:25", None)])
def test_what_is_missing_is_said_with_the_remedy(url: str | None, sender: str | None) -> None:
    mail = Mail(None if url is None else SecretStr(url), sender)
    assert "set NPLMON_SMTP_URL and NPLMON_MAIL_FROM" in mail.missing()
    assert not Mail(SecretStr("smtp://127.0.0.1:25"), SENDER).missing()
