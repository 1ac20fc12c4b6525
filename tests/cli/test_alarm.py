"""What people do about alarms on the command line: who is called, what fired, who knows, what was done."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest
from tests.cli.conftest import Nplmon
from tests.client.serving import Service, sample

from nplmon.broker.messages import Alarm as StoredAlarm
from nplmon.client import Client

ALARM = StoredAlarm(level="alarm", kind="t_agg", chunk="c1", sequence=1, since=5.0, rule="t_agg = 12 >= 9.5")
WARNING = StoredAlarm(level="warning", kind="t_agg", chunk="c1", sequence=1, since=5.0, rule="t_agg = 9 >= 8")


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(getpass, "getuser", lambda: "shifter")
    return "shifter"


def test_handling_is_given_and_changed(nplmon: Nplmon, client: Client, monitor: str, tmp_path: Path) -> None:
    book = tmp_path / "book.md"
    book.write_text("# Call\n\nthe experts\n", encoding="utf-8")
    given = ("--runbook", book, "--contact", "Ada, 4711", "--stale-after", 30)
    told = ("--webhook", "https://a.example/x", "--webhook", "https://b.example", "--email", "a@lab.example")
    made = nplmon("monitor", "create", f"{monitor}-h", "--reference", "sample", *given, *told)
    assert made.code == 0, made.err
    for line in ("Ada, 4711", "3 lines", "30 s", "https://a.example/x, https://b.example, a@lab.example"):
        assert line in made.out
    handling = client.monitor(f"{monitor}-h").handling
    assert (handling.runbook, handling.stale_after) == ("# Call\n\nthe experts\n", 30.0)
    client.push(f"{monitor}-h", "r", sample(5))
    changed = nplmon(
        "monitor", "change", f"{monitor}-h", "--no-webhooks", "--email", "b@lab.example", "--json"
    )
    assert changed.code == 0, changed.err
    said = json.loads(changed.out)
    assert (said["handling"]["webhooks"], said["handling"]["emails"]) == ([], ["b@lab.example"])
    assert (said["handling"]["contact"], said["epoch"]) == ("Ada, 4711", 1)
    assert "another" in nplmon("monitor", "change", f"{monitor}-h", "--description", "another").out


@pytest.mark.parametrize(
    "wrong",
    [
        ("monitor", "change", "m"),
        ("monitor", "change", "m", "--no-emails", "--email", "a@lab.example"),
        ("monitor", "change", "m", "--runbook", "nowhere.md"),
        ("monitor", "change", "m", "--email", "nobody"),
    ],
)
def test_a_change_that_cannot_be_is_told_in_one_line(nplmon: Nplmon, wrong: tuple[str, ...]) -> None:
    ended = nplmon(*wrong)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)


def test_an_alarm_is_shown_and_acknowledged(
    service: Service, nplmon: Nplmon, client: Client, monitor: str, login: str
) -> None:
    client.change_monitor(monitor, handling={"contact": "Ada, 4711", "runbook": "Look at the magnet."})
    receipt = client.push(monitor, "r", sample(5), chunk="c1")
    service.apply(monitor, "r", [receipt], alarm=ALARM)
    shown = nplmon("alarm", "show", monitor)
    assert shown.code == 0, shown.err
    for part in ("alarm, since", ALARM.rule, "Ada, 4711", "Look at the magnet."):
        assert part in shown.out
    done = nplmon("alarm", "ack", monitor, "--comment", "calling Ada")
    assert done.code == 0, done.err
    assert ALARM.rule in done.out
    assert f"by {login}" in nplmon("alarm", "show", monitor).out
    said = json.loads(nplmon("alarm", "show", monitor, "--json").out)
    assert (said["acknowledged"]["comment"], said["alarm"]["level"]) == ("calling Ada", "alarm")
    told = nplmon("alarm", "journal", monitor).out
    assert "acknowledged" in told.splitlines()[1]
    assert "calling Ada" in told
    assert len(json.loads(nplmon("alarm", "journal", monitor, "--limit", 2, "--json").out)) == 2


def test_an_acknowledged_warning_that_rises_is_not_acknowledged(
    service: Service, nplmon: Nplmon, client: Client, monitor: str
) -> None:
    first = client.push(monitor, "r", sample(5), chunk="c1")
    service.apply(monitor, "r", [first], alarm=WARNING)
    acknowledged = nplmon("alarm", "ack", monitor, "--who", "Ada", "--comment", "on it", "--json")
    assert json.loads(acknowledged.out)["acknowledged"]["level"] == "warning"
    second = client.push(monitor, "r", sample(6), chunk="c2")
    service.apply(monitor, "r", [second], alarm=StoredAlarm(level="alarm", sequence=2, rule="higher"))
    assert json.loads(nplmon("alarm", "show", monitor, "--json").out)["acknowledged"] is None


def test_what_is_quiet_cannot_be_acknowledged(
    nplmon: Nplmon, client: Client, monitor: str, login: str
) -> None:
    client.push(monitor, "r", sample(5))
    assert "alarm         -" in nplmon("alarm", "show", monitor).out
    ended = nplmon("alarm", "ack", monitor, "--comment", "x")
    assert (ended.code, "no warning and no alarm" in ended.err) == (2, True)


def test_a_test_alarm_is_fired_and_ended(nplmon: Nplmon, client: Client, monitor: str, login: str) -> None:
    client.push(monitor, "r", sample(5))
    fired = nplmon("alarm", "test", monitor, "--seconds", 60, "--comment", "does it ring?")
    assert fired.code == 0, fired.err
    found = client.test_alarm(monitor)
    assert found is not None
    assert (found.who, found.comment) == (login, "does it ring?")
    assert f"fired by {login}" in nplmon("alarm", "show", monitor).out
    assert nplmon("alarm", "test", monitor, "--end").code == 0
    assert client.test_alarm(monitor) is None
    assert json.loads(nplmon("alarm", "test", monitor, "--who", "Ada", "--json").out)["who"] == "Ada"


def test_a_login_without_a_name_must_say_one(
    nplmon: Nplmon, monitor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr(getpass, "getuser", nobody)
    ended = nplmon("alarm", "test", monitor)
    assert (ended.code, "--who" in ended.err) == (2, True)


def test_dead_chunks_are_deleted(
    service: Service, nplmon: Nplmon, client: Client, monitor: str, login: str
) -> None:
    for chunk in ("c1", "c2"):
        client.push(monitor, "r", sample(5), chunk=chunk)
        service.kill(monitor)
    assert "--yes" in nplmon("dead", "delete", monitor, "c1").err
    assert "not a dead chunk" in nplmon("dead", "delete", monitor, "c9", "--yes").err
    assert "deleted 1 dead chunk of" in nplmon("dead", "delete", monitor, "c1", "--yes").out
    assert [death.receipt.chunk for death in client.dead(monitor)] == ["c2"]
    assert client.journal(monitor)[0].who == login
    assert (
        "deleted 1" in nplmon("dead", "delete", monitor, "--all", "--run", "r", "--who", "Ada", "--yes").out
    )
    assert "deleted 0" in nplmon("dead", "delete", monitor, "--all").out
