"""What people do about alarms and dead letters, and what they look at, with the client against the real interface."""

from __future__ import annotations

import time

import pytest
from tests.client.serving import Service, sample

from nplmon.broker.messages import Alarm as StoredAlarm
from nplmon.client import AlarmChanged, Client, Handling, Invalid, NoAlarm, UnknownChunk

ALARM = StoredAlarm(level="alarm", kind="t_agg", chunk="c1", sequence=1, since=5.0, rule="t_agg = 12 >= 9.5")


@pytest.fixture
def alarmed(service: Service, client: Client, monitor: str) -> str:
    """Give a monitor whose run `r` has raised an alarm at its first chunk."""
    receipt = client.push(monitor, "r", sample(5), chunk="c1")
    service.apply(monitor, "r", [receipt], alarm=ALARM)
    return monitor


def test_an_alarm_is_acknowledged_as_it_was_looked_at(client: Client, alarmed: str) -> None:
    with pytest.raises(AlarmChanged, match="look at it"):
        client.acknowledge(alarmed, "r", who="Ada", comment="hm", level="warning", sequence=1)
    run = client.acknowledge(alarmed, "r", who="Ada", comment="on it", level="alarm", sequence=1)
    assert run.acknowledged is not None
    assert (run.acknowledged.who, run.acknowledged.comment) == ("Ada", "on it")
    (tile,) = [tile for tile in client.overview().tiles if tile.monitor == alarmed]
    assert (tile.state, tile.acknowledged, tile.alarm.rule) == ("acknowledged", run.acknowledged, ALARM.rule)
    entry = client.journal(alarmed)[0]
    assert (entry.kind, entry.who, entry.text, entry.sequence) == ("acknowledged", "Ada", "on it", 1)
    assert client.journal(alarmed, since=entry.id) == ()
    assert len(client.journal(alarmed, limit=1)) == 1


def test_without_an_alarm_there_is_nothing_to_acknowledge(client: Client, monitor: str) -> None:
    client.push(monitor, "r", sample(5))
    with pytest.raises(NoAlarm):
        client.acknowledge(monitor, "r", who="Ada", comment="hm", level="alarm", sequence=1)


def test_a_test_alarm_is_fired_looked_at_and_ended(client: Client, monitor: str) -> None:
    assert client.test_alarm(monitor) is None
    fired = client.begin_test_alarm(monitor, who="Ada", comment="does it ring?", seconds=60.0)
    assert client.test_alarm(monitor) == fired
    assert fired.until - fired.since == pytest.approx(60.0)
    client.end_test_alarm(monitor, who="Bob")
    client.end_test_alarm(monitor)
    assert client.test_alarm(monitor) is None
    assert [(one.kind, one.who) for one in client.journal(monitor, limit=2)] == [
        ("test-ended", "Bob"),
        ("test-begun", "Ada"),
    ]
    with pytest.raises(Invalid):
        client.begin_test_alarm(monitor, who="Ada", seconds=4000.0)


def test_how_alarms_are_handled_changes_at_any_time(client: Client, monitor: str) -> None:
    client.push(monitor, "r", sample(5))
    handling = Handling(
        runbook="# Call **now**", contact="Ada, 4711", stale_after=60.0, emails=("a@lab.example",)
    )
    changed = client.change_monitor(monitor, handling=handling)
    assert (changed.handling, changed.epoch) == (handling, 1)
    assert client.change_monitor(monitor, handling={"contact": "Bob"}).handling.stale_after == 60.0
    found = client.runbook(monitor)
    assert (found.markdown, found.contact) == ("# Call **now**", "Bob")
    assert found.html == "<h1>Call <strong>now</strong></h1>\n"
    made = client.create_monitor(f"{monitor}-handled", "sample", handling={"stale_after": 30.0})
    assert made.handling.stale_after == 30.0


def test_a_dead_chunk_is_deleted_for_good(service: Service, client: Client, monitor: str) -> None:
    client.push(monitor, "r", sample(5), chunk="c1")
    service.kill(monitor)
    assert [letter.receipt.chunk for letter in client.system().dead if letter.monitor == monitor] == ["c1"]
    client.delete_dead(monitor, "r", "c1", who="Ada")
    assert client.dead(monitor) == ()
    assert (client.journal(monitor)[0].kind, client.journal(monitor)[0].who) == ("dead-deleted", "Ada")
    with pytest.raises(UnknownChunk):
        client.delete_dead(monitor, "r", "c1")


def test_overview_and_system_tell_of_all_monitors(service: Service, client: Client, monitor: str) -> None:
    receipts = [client.push(monitor, "r", sample(5, seed)) for seed in range(3)]
    service.apply(monitor, "r", receipts[:2])
    overview, system = client.overview(), client.system()
    (tile,) = [tile for tile in overview.tiles if tile.monitor == monitor]
    assert (tile.run, tile.pending, tile.sequence, tile.state) == ("r", 1, 2, "ok")
    assert overview.version == system.version
    assert abs(overview.now - time.time()) < 60
    (queue,) = [queue for queue in system.queues if queue.monitor == monitor]
    assert (queue.waiting, queue.unapplied) == (3, 1)
    (resources,) = [one for one in system.monitors if one.monitor == monitor]
    assert (resources.reference_events, resources.calibration) == (200, None)
    assert system.store.append_only


def test_a_course_is_given_in_columns(service: Service, client: Client, monitor: str) -> None:
    receipts = [client.push(monitor, "r", sample(5, seed)) for seed in range(3)]
    service.apply(monitor, "r", receipts)
    course = client.course(monitor, kind="t_agg")
    assert (course.sequence, course.value, course.threshold) == ((1, 2, 3), (12.0,) * 3, (9.5,) * 3)
    assert (course.quantiles, course.t_chunk) == ((None,) * 3, (None,) * 3)
    assert client.course(monitor, "r", since=2, points=10).sequence == (3,)
