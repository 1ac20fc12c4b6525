"""The requests about alarms, as people handle them."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

from nplmon.client.alarm_records import JournalEntry, Runbook, TestAlarm
from nplmon.client.conversation import Answer, Call
from nplmon.client.decoding import decode
from nplmon.client.errors import UnexpectedAnswer
from nplmon.client.records import Run


def acknowledge(
    monitor: str, run: str, *, who: str, comment: str, level: Literal["warning", "alarm"], sequence: int
) -> Call[Run]:
    """Take note of the alarm of a run; it stays raised, and everyone sees who knows about it.

    Parameters
    ----------
    level, sequence:
        Of the alarm as it was looked at, `snapshot.alarm`; where it has risen since, `AlarmChanged`.
    """
    body = {"who": who, "comment": comment, "level": level, "sequence": sequence}
    # A repeated one is written over the first, and says the same.
    return Call("POST", _path(monitor, "runs", run, "acknowledge"), _run, json=body)


def test_alarm(monitor: str) -> Call[TestAlarm | None]:
    """Look at the test alarm of a monitor; None if there is none."""
    return Call("GET", _path(monitor, "test-alarm"), _test)


test_alarm.__test__ = False  # type: ignore[attr-defined]  # no test, whatever its name


def begin_test_alarm(monitor: str, *, who: str, comment: str = "", seconds: float = 300.0) -> Call[TestAlarm]:
    """Fire an alarm that is marked as a test, to see whether it arrives; it ends by itself and touches no statistic.

    Parameters
    ----------
    seconds:
        For which it lasts, at most an hour.
    """
    body = {"who": who, "comment": comment, "seconds": seconds}
    return Call(
        "POST", _path(monitor, "test-alarm"), lambda answer: decode(TestAlarm, answer.json()), json=body
    )


def end_test_alarm(monitor: str, *, who: str = "") -> Call[None]:
    """End the test alarm before its time; without one nothing happens."""
    return Call("DELETE", _path(monitor, "test-alarm"), lambda _: None, params={"who": who or None})


def journal(monitor: str, *, since: str | None = None, limit: int = 200) -> Call[tuple[JournalEntry, ...]]:
    """Read what happened to a monitor and what was done, the newest first.

    Parameters
    ----------
    since:
        Id of an entry: the first `limit` after it.
    """
    return Call("GET", _path(monitor, "journal"), _entries, params={"since": since, "limit": limit})


def runbook(monitor: str) -> Call[Runbook]:
    """Read what to do about a monitor's alarms, and whom to call."""
    return Call("GET", _path(monitor, "runbook"), lambda answer: decode(Runbook, answer.json()))


def _path(monitor: str, *rest: str) -> str:
    return "/v1/monitors/" + "/".join(quote(part, safe="") for part in (monitor, *rest))


def _run(answer: Answer) -> Run:
    return decode(Run, answer.json())


def _test(answer: Answer) -> TestAlarm | None:
    said = answer.json()
    if not isinstance(said, dict) or "test" not in said:
        raise UnexpectedAnswer("the answer has no member 'test'; is this address an nplmon service?")
    return None if said["test"] is None else decode(TestAlarm, said["test"])


def _entries(answer: Answer) -> tuple[JournalEntry, ...]:
    said = answer.json()
    if not isinstance(said, dict) or not isinstance(said.get("entries"), list):
        raise UnexpectedAnswer("the answer has no list 'entries'; is this address an nplmon service?")
    return tuple(decode(JournalEntry, item) for item in said["entries"])
