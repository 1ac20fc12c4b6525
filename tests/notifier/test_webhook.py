"""Webhooks: signed as the specification has it, and what each answer means."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime

import msgspec
import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook
from tests.docs.pages import ROOT, blocks
from tests.notifier.receivers import Answer, Receiver
from tests.notifier.samples import OTHER_SECRET, RULE, SECRET, a_notice

from nplmon.broker.alarm_messages import JournalEntry
from nplmon.notifier import webhook
from nplmon.notifier.errors import GiveUp, TryLater
from nplmon.notifier.webhook import Webhooks

pytestmark = pytest.mark.anyio


def test_the_library_signs_as_the_specification_does() -> None:
    """The vector that the specification's own libraries are tested with."""
    at = datetime.fromtimestamp(1614265330, tz=UTC)
    found = Webhook(SECRET).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_notice_is_posted_and_signed(receiver: Receiver) -> None:
    webhooks = Webhooks(SecretStr(f"{SECRET} {OTHER_SECRET}"))
    await webhooks.deliver(receiver.url, a_notice(contact="call 4711"))
    await webhooks.close()
    (request,) = receiver.requests
    for secret in (SECRET, OTHER_SECRET):
        assert Webhook(secret).verify(request.body, request.headers) == request.json
    assert request.path == "/hook?token=abc"
    assert request.headers["content-type"] == "application/json"
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 10
    assert request.json == {
        "id": request.headers["webhook-id"],
        "monitor": "dimuon",
        "run": "night-1",
        "kind": "alarm",
        "level": "alarm",
        "at": 1764137411.0,
        "who": "",
        "text": RULE,
        "test": False,
        "contact": "call 4711",
        "url": "https://nplmon.example/monitors/dimuon/alarm?run=night-1",
    }


async def test_a_test_says_that_it_is_one(receiver: Receiver) -> None:
    webhooks = Webhooks(SecretStr(SECRET))
    fired = JournalEntry(id="5-0", at=0.005, kind="test-begun", who="ada", text="does it ring?")
    await webhooks.deliver(receiver.url, a_notice(fired))
    await webhooks.close()
    found = receiver.requests[0].json
    assert (found["test"], found["who"], found["run"], found["level"]) == (True, "ada", None, None)
    assert found["url"] == "https://nplmon.example/monitors/dimuon/alarm"


@pytest.mark.parametrize(
    ("answer", "raised", "said"),
    [
        (Answer(500), TryLater, "it answered 500"),
        (Answer(503, {"retry-after": "7"}), TryLater, "it answered 503"),
        (Answer(429), TryLater, "it answered 429"),
        (Answer(408), TryLater, "it answered 408"),
        (Answer(425), TryLater, "it answered 425"),
        (Answer(404), GiveUp, "it answered 404"),
        (Answer(410), GiveUp, "it answered 410"),
        (Answer(302, {"location": "http://127.0.0.1:9/"}), GiveUp, "redirects are not followed"),
    ],
)
async def test_what_an_answer_means(
    receiver: Receiver, answer: Answer, raised: type[Exception], said: str
) -> None:
    receiver.answers = [answer]
    webhooks = Webhooks(SecretStr(SECRET))
    with pytest.raises(raised, match=said) as caught:
        await webhooks.deliver(receiver.url, a_notice())
    await webhooks.close()
    assert len(receiver.requests) == 1
    if isinstance(caught.value, TryLater):
        assert caught.value.after == (7.0 if "retry-after" in answer.headers else None)


async def test_one_who_is_slow_or_away_is_tried_later(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_SECONDS", 0.2)
    receiver.answers = [Answer(after=5.0)]
    webhooks = Webhooks(SecretStr(SECRET))
    with pytest.raises(TryLater, match="no answer"):
        await webhooks.deliver(receiver.url, a_notice())
    with pytest.raises(TryLater, match="no answer: ConnectError"):
        await webhooks.deliver("http://127.0.0.1:1/", a_notice())
    await webhooks.close()


@pytest.mark.parametrize("header", ["12", "date", "soon", "-3"])
def test_retry_after_is_seconds_or_a_date(header: str) -> None:
    date = format_datetime(datetime.fromtimestamp(time.time() + 30, tz=UTC), usegmt=True)
    found = webhook.seconds_of(date if header == "date" else header)
    if header == "date":
        assert found is not None
        assert 27 < found <= 30
    else:
        assert found == (12.0 if header == "12" else None)


def test_the_id_is_of_the_entry_and_the_monitor_alone() -> None:
    one = a_notice().payload.id
    assert a_notice(contact="another").payload.id == one
    later = msgspec.structs.replace(a_notice().entry, id="1764137411000-1")
    assert a_notice(later).payload.id != one


def test_the_documented_check_says_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = (one for one in blocks(ROOT / "docs" / "notifications.md") if one.language == "python")
    exec(compile(block.text, block.place, "exec"), {})  # noqa: S102  # the page's own code
    assert capsys.readouterr().out.split() == ["True", "False", "False"]
    assert block.text.count("# True") == 1
