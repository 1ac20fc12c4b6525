"""The watch over a journal: each entry told at least once, to each receiver in order, and nobody waits for another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.notifier.receivers import Answer, Mailbox, Receiver, mail_server
from tests.notifier.samples import SECRET, a_monitor

from nplmon.broker import Broker
from nplmon.broker.alarm_messages import JournalEntry
from nplmon.notifier import Notifier
from nplmon.notifier.backoff import Backoff
from nplmon.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick")]

QUICK = Backoff(first=0.02, longest=0.05, tries=3, patience=1.0)
Keep = Callable[..., "Kept"]


class Kept:
    """A notifier that watches."""

    def __init__(self, broker: Broker, monitors: tuple[str, ...], backoff: Backoff, **settings: Any) -> None:
        self.registry = CollectorRegistry()
        self.notifier = Notifier(broker, Settings(**settings), self.registry, backoff)
        self.notifier.keep(monitors)

    def count(self, outcome: str, channel: str = "webhook", monitor: str = "dimuon") -> float | None:
        labels = {"monitor": monitor, "channel": channel, "outcome": outcome}
        return self.registry.get_sample_value("nplmon_notifications_total", labels)


@pytest.fixture
async def keep(broker: Broker) -> AsyncIterator[Keep]:
    """Give a function that lets a notifier watch over `dimuon`, or over these monitors."""
    kept: list[Kept] = []

    def begin(*monitors: str, backoff: Backoff = QUICK, **settings: Any) -> Kept:
        said = {"webhook_secret": SECRET} | settings
        kept.append(Kept(broker, monitors or ("dimuon",), backoff, **said))
        return kept[-1]

    yield begin
    for one in kept:
        await one.notifier.close()


async def until(true: Callable[[], object | Awaitable[object]], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        found = true()
        if await found if isinstance(found, Awaitable) else found:
            return
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)


async def write(broker: Broker, *kinds: str, monitor: str = "dimuon", run: str = "night-1") -> None:
    for number, kind in enumerate(kinds):
        entry = JournalEntry(kind=kind, run=run, level="alarm", text=f"{kind} {number}")  # type: ignore[arg-type]
        assert await broker.journal.append(monitor, entry)


async def place(broker: Broker, monitor: str = "dimuon") -> str:
    return str((await broker.connection.ask("GET", f"nplmon:{{{monitor}}}:notified")).decode())


async def told(broker: Broker, monitor: str = "dimuon") -> bool:
    """Whether the place is at the end of the journal."""
    (last,) = await broker.journal.latest(monitor, 1)
    return await place(broker, monitor) == last.id


async def failures(broker: Broker) -> list[JournalEntry]:
    return [one for one in await broker.journal.entries("dimuon") if one.kind == "notification-failed"]


async def test_what_comes_is_told_in_order_and_what_was_before_is_not(
    broker: Broker, receiver: Receiver, keep: Keep
) -> None:
    await broker.monitors.create(a_monitor(webhooks=(receiver.url,)))
    await write(broker, "alarm", "stale")
    kept = keep()
    await until(lambda: broker.connection.ask("EXISTS", "nplmon:{dimuon}:notified"), "it has begun")
    # Of these some are for the journal alone.
    await write(broker, "run-opened", "warning", "run-reset", "alarm", "acknowledged", "stale", "fresh")
    await write(broker, "test-ended", "monitor-changed", "dead-replayed", "dead-deleted", "test-begun")
    await until(lambda: told(broker), "all is told")
    assert receiver.kinds == ["warning", "alarm", "acknowledged", "stale", "fresh", "test-begun"]
    assert len(set(receiver.ids)) == 6
    assert [request.json["test"] for request in receiver.requests] == 5 * [False] + [True]
    entries = {one.kind: one for one in await broker.journal.entries("dimuon")}
    assert receiver.requests[-1].json["at"] == entries["test-begun"].at
    assert (kept.count("delivered"), kept.count("failed"), kept.count("retried")) == (6, 0, 0)


async def test_a_closed_run_is_told_of_where_something_was_before(
    broker: Broker, receiver: Receiver, keep: Keep
) -> None:
    await broker.monitors.create(a_monitor(webhooks=(receiver.url,)))
    await broker.notifications.begin("dimuon")
    await broker.connection.ask("HSET", "nplmon:{dimuon}:run:silent", "stale", 1)
    await write(broker, "run-closed", run="quiet")
    await write(broker, "run-closed", run="silent")
    keep()
    await until(lambda: told(broker), "all is told")
    assert [request.json["run"] for request in receiver.requests] == ["silent"]


async def test_one_who_stumbles_is_told_again_under_the_same_id(
    broker: Broker, receiver: Receiver, keep: Keep
) -> None:
    await broker.monitors.create(a_monitor(webhooks=(receiver.url,)))
    await broker.notifications.begin("dimuon")
    receiver.answers = [Answer(500), Answer(200)]
    kept = keep()
    await write(broker, "alarm", "acknowledged")
    await until(lambda: told(broker), "all is told")
    assert receiver.kinds == ["alarm", "alarm", "acknowledged"]
    assert receiver.ids[0] == receiver.ids[1] != receiver.ids[2]
    assert await failures(broker) == []
    assert (kept.count("delivered"), kept.count("retried"), kept.count("failed")) == (2, 1, 0)


async def test_it_waits_as_long_as_it_is_asked_to(broker: Broker, receiver: Receiver, keep: Keep) -> None:
    await broker.monitors.create(a_monitor(webhooks=(receiver.url,)))
    await broker.notifications.begin("dimuon")
    receiver.answers = [Answer(503, {"retry-after": "1"}), Answer(200)]
    keep()
    await write(broker, "alarm")
    await until(lambda: told(broker), "it is told")
    first, second = receiver.requests
    assert second.at - first.at >= 1.0


@pytest.mark.parametrize(("status", "tries", "said"), [(500, 3, "given up after 3 tries"), (404, 1, "404")])
async def test_what_cannot_be_told_is_written_into_the_journal(
    broker: Broker, receiver: Receiver, keep: Keep, status: int, tries: int, said: str
) -> None:
    """And what comes after it is told."""
    await broker.monitors.create(a_monitor(webhooks=(receiver.url,)))
    await broker.notifications.begin("dimuon")
    receiver.answers = tries * [Answer(status)] + [Answer(200)]
    kept = keep()
    await write(broker, "alarm", "acknowledged")
    await until(lambda: told(broker), "all has ended")
    assert receiver.kinds == tries * ["alarm"] + ["acknowledged"]
    (failed,) = await failures(broker)
    assert (failed.run, failed.level, failed.who) == ("night-1", "alarm", "")
    assert failed.text.startswith("alarm not told to webhook http://127.0.0.1:")
    assert said in failed.text
    assert "token" not in failed.text
    assert (kept.count("delivered"), kept.count("failed")) == (1, 1)
    assert kept.count("retried") == tries - 1


async def test_a_slow_receiver_holds_up_nobody(
    broker: Broker, receiver: Receiver, other: Receiver, keep: Keep
) -> None:
    """Neither another receiver nor another monitor; the place stays before what is not told to all."""
    await broker.monitors.create(a_monitor(webhooks=(receiver.url, other.url)))
    await broker.monitors.create(a_monitor("muons", webhooks=(other.url,)))
    for name in ("dimuon", "muons"):
        await broker.notifications.begin(name)
    before = await place(broker)
    receiver.answers = [Answer(after=30.0)]
    keep("dimuon", "muons")
    await write(broker, "alarm", "acknowledged")
    await write(broker, "stale", "fresh", monitor="muons")
    await until(lambda: len(other.requests) == 4, "the other is told of all", 5.0)
    assert receiver.kinds == ["alarm"]
    assert {request.json["monitor"] for request in other.requests} == {"dimuon", "muons"}
    await until(lambda: told(broker, "muons"), "the other monitor's place moves")
    assert await place(broker) == before


async def test_whoever_goes_on_tells_again_what_had_not_ended(
    broker: Broker, receiver: Receiver, other: Receiver, keep: Keep
) -> None:
    await broker.monitors.create(a_monitor(webhooks=(receiver.url, other.url)))
    await broker.notifications.begin("dimuon")
    receiver.answers = [Answer(after=30.0), Answer(200)]
    first = keep()
    await write(broker, "alarm", "acknowledged")
    await until(lambda: len(other.requests) == 2 and receiver.requests, "one is told of all, the other waits")
    await first.notifier.close()
    keep()
    await until(lambda: told(broker), "all is told")
    assert receiver.kinds == ["alarm", "alarm", "acknowledged"]
    assert other.kinds == 2 * ["alarm", "acknowledged"]
    assert len(set(receiver.ids)) == len(set(other.ids)) == 2
    assert set(receiver.ids) == set(other.ids)


async def test_one_who_was_replaced_does_not_move_the_place(broker: Broker) -> None:
    await broker.monitors.create(a_monitor())
    assert await broker.notifications.begin("dimuon") == "0-0"
    assert await broker.notifications.move("dimuon", "0-0", "5-0")
    assert await broker.notifications.move("dimuon", "0-0", "5-0")  # sent again by the connection
    assert not await broker.notifications.move("dimuon", "0-0", "3-0")
    assert await broker.notifications.begin("dimuon") == "5-0"
    await broker.monitors.delete("dimuon")
    assert await broker.notifications.begin("dimuon") is None
    assert not await broker.notifications.move("dimuon", "5-0", "6-0")


async def test_a_receiver_that_is_taken_away_is_not_told_any_more(
    broker: Broker, receiver: Receiver, other: Receiver, keep: Keep
) -> None:
    await broker.monitors.create(a_monitor(webhooks=(receiver.url,)))
    await broker.notifications.begin("dimuon")
    receiver.answers = [Answer(500)]
    kept = keep(backoff=Backoff(first=0.3, longest=0.3, tries=50))
    await write(broker, "alarm")
    await until(lambda: receiver.requests, "it is tried")
    await broker.monitors.change(a_monitor(webhooks=(other.url,)), statistical=False)
    await write(broker, "acknowledged")
    await until(lambda: told(broker), "all has ended")
    assert kept.count("withdrawn") == 1
    assert other.kinds == ["acknowledged"]
    assert await failures(broker) == []


async def test_without_a_secret_nothing_is_sent_and_once_it_is_said_why(
    broker: Broker, receiver: Receiver, keep: Keep
) -> None:
    await broker.monitors.create(a_monitor(webhooks=(receiver.url,)))
    await broker.notifications.begin("dimuon")
    for number in (1, 2):
        kept = keep(webhook_secret=None)
        await write(broker, "alarm", "acknowledged")
        await until(lambda: told(broker), "all has ended")
        assert kept.count("failed") == 2, number
        await kept.notifier.close()
    assert receiver.requests == []
    (failed,) = await failures(broker)
    assert "set NPLMON_WEBHOOK_SECRET" in failed.text


async def test_letters_are_told_alike(broker: Broker, keep: Keep) -> None:
    mailbox = Mailbox()
    mailbox.replies = ["451 later", "250 lost"]
    async with mail_server(mailbox) as at:
        await broker.monitors.create(
            a_monitor(emails=("a@example.org", "b@example.org"), contact="call 4711")
        )
        await broker.notifications.begin("dimuon")
        kept = keep(
            smtp_url=f"smtp://{at}", mail_from="nplmon@example.org", public_url="https://nplmon.example"
        )
        await write(broker, "alarm", "stale")
        await until(lambda: told(broker), "all is told")
    assert kept.count("delivered", "email") == 4
    assert kept.count("retried", "email") == 1
    # One reply lost a letter and said that it has it.
    subjects = [letter["Subject"] for letter in mailbox.letters]
    assert len(subjects) == 3
    assert set(subjects) <= {"[nplmon] ALARM dimuon run night-1", "[nplmon] STALE dimuon run night-1"}
    assert "https://nplmon.example/monitors/dimuon/alarm?run=night-1" in mailbox.letters[0].get_content()


async def test_a_deleted_monitor_is_left_and_one_made_anew_begins_anew(
    broker: Broker, receiver: Receiver, keep: Keep
) -> None:
    await broker.monitors.create(a_monitor(webhooks=(receiver.url,)))
    kept = keep()
    await until(lambda: broker.connection.ask("EXISTS", "nplmon:{dimuon}:notified"), "it has begun")
    await broker.monitors.delete("dimuon")
    await until(kept.notifier._watches["dimuon"].done, "the watch has ended")
    await broker.monitors.create(a_monitor(webhooks=(receiver.url,)))
    kept.notifier.keep(["dimuon"])
    await until(lambda: broker.connection.ask("EXISTS", "nplmon:{dimuon}:notified"), "it has begun")
    await write(broker, "alarm")
    await until(lambda: told(broker), "it is told")
    assert receiver.kinds == ["alarm"]


async def test_a_store_away_for_a_moment_is_waited_for(
    broker: Broker, receiver: Receiver, keep: Keep
) -> None:
    await broker.monitors.create(a_monitor(webhooks=(receiver.url,)))
    await broker.notifications.begin("dimuon")
    keep()
    for _ in range(5):
        await write(broker, "alarm", "acknowledged")
        await broker.connection.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await until(lambda: told(broker), "all is told")
    first = dict(zip(reversed(receiver.ids), reversed(receiver.kinds), strict=True))
    assert list(first.values()) == 5 * ["acknowledged", "alarm"]
