"""When a call is repeated, how long it waits, and what it says when it gives up."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator

import httpx
import numpy as np
import pytest

from nplmon.client import (
    AsyncClient,
    Busy,
    Chunk,
    Client,
    Refused,
    Retries,
    ServiceFault,
    TimedOut,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    calls,
)
from nplmon.client.conversation import Answer, Send, Sleep, converse

RECEIPT = {
    "monitor": "m",
    "run": "r",
    "chunk": "c",
    "run_epoch": 1,
    "monitor_epoch": 1,
    "sequence": 1,
    "events": 3,
    "digest": "0" * 64,
    "accepted_at": 0.0,
}
Handler = Callable[[httpx.Request], httpx.Response]


def full() -> httpx.Response:
    problem = {"type": "/problems/backlog-full", "detail": "1000 chunks wait.", "remedy": "Add trainers."}
    return httpx.Response(429, headers={"Retry-After": "0"}, json=problem)


def accepted() -> httpx.Response:
    return httpx.Response(202, json=RECEIPT)


class Script:
    """Answers a list of answers in turn, and keeps the requests; an exception in the list is raised."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers: Iterator[httpx.Response | Exception] = iter(answers)
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.read())
        self.requests.append(request)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **retries: float) -> Client:
        settings = Retries(**{"first": 0.001, "deadline": 5.0, **retries})
        return Client("http://service", retries=settings, transport=httpx.MockTransport(self))


@pytest.mark.parametrize(
    "trouble",
    [
        full(),
        httpx.Response(503, headers={"Retry-After": "0"}),
        httpx.Response(502),
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("closed"),
        httpx.ReadTimeout("slow"),
        httpx.WriteTimeout("slow"),
    ],
    ids=lambda t: str(t.status_code) if isinstance(t, httpx.Response) else type(t).__name__,
)
def test_a_push_is_repeated_with_the_same_id_and_the_same_bytes(trouble: httpx.Response | Exception) -> None:
    script = Script(trouble, trouble, accepted())
    with script.client() as client:
        assert client.push("m", "r", np.zeros((3, 2), np.float32)).sequence == 1
    ids = {request.headers["nplmon-chunk-id"] for request in script.requests}
    assert len(script.requests) == 3
    assert len(ids) == 1
    assert len(set(script.bodies)) == 1
    assert all(
        int(r.headers["content-length"]) == len(b)
        for r, b in zip(script.requests, script.bodies, strict=True)
    )


def test_two_pushes_have_two_ids() -> None:
    script = Script(accepted(), accepted())
    with script.client() as client:
        client.push("m", "r", [[1.0]])
        client.push("m", "r", [[1.0]])
    assert script.requests[0].headers["nplmon-chunk-id"] != script.requests[1].headers["nplmon-chunk-id"]


@pytest.mark.parametrize("status", [400, 404, 409, 413, 415, 422, 418, 500])
def test_a_final_answer_is_not_repeated(status: int) -> None:
    script = Script(httpx.Response(status, json={"detail": "no"}))
    with script.client() as client, pytest.raises((Refused, ServiceFault)):
        client.push("m", "r", [[1.0]])
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("trouble", "kind", "words"),
    [
        (full(), Busy, "1000 chunks wait .* Add trainers"),
        (httpx.ConnectError("refused"), Unreachable, "no connection to http://service after .* refused"),
        (httpx.ReadTimeout("slow"), TimedOut, "no answer from http://service after"),
    ],
    ids=["busy", "unreachable", "slow"],
)
def test_past_the_deadline_one_line_says_what_was_wrong(
    trouble: httpx.Response | Exception, kind: type[Exception], words: str
) -> None:
    script = Script()
    script.answers = itertools.repeat(trouble)
    start = time.monotonic()
    with script.client(deadline=0.3) as client, pytest.raises(kind, match=words) as caught:
        client.push("m", "r", [[1.0]])
    assert time.monotonic() - start < 2.0
    assert len(script.requests) > 2
    assert "\n" not in str(caught.value)


def steps(call: object, retries: Retries, outcomes: Iterator[object]) -> list[Sleep | Send]:
    """Carry a conversation through with a clock that only sleeps move; give its steps."""
    now = 0.0
    taken: list[Sleep | Send] = []
    talk = converse(call, retries, clock=lambda: now)  # type: ignore[arg-type]  # any call
    outcome: object = None
    while True:
        try:
            step = talk.send(outcome)  # type: ignore[arg-type]  # any outcome
        except (StopIteration, Unavailable):
            return taken
        taken.append(step)
        if isinstance(step, Sleep):
            now += step.seconds
            outcome = None
        else:
            outcome = next(outcomes)


def test_pauses_double_and_are_spread() -> None:
    lost = itertools.repeat(httpx.ConnectError("refused"))
    retries = Retries(deadline=60.0, first=0.1, ceiling=5.0)
    pauses = [s.seconds for s in steps(calls.monitors(), retries, lost) if isinstance(s, Sleep)]
    longest = [min(5.0, 0.1 * 2**i) for i in range(len(pauses))]
    assert all(top / 2 <= pause <= top for pause, top in zip(pauses, longest, strict=True))
    assert 50.0 < sum(pauses) <= 60.0
    assert pauses != longest


def test_retry_after_is_the_least_wait() -> None:
    busy = itertools.repeat(Answer(429, {"retry-after": "7"}, b"{}"))
    pauses = [
        s.seconds for s in steps(calls.monitors(), Retries(deadline=60.0), busy) if isinstance(s, Sleep)
    ]
    assert len(pauses) >= 5
    assert all(7.0 <= pause <= 7.0 * 1.25 for pause in pauses)


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    busy = itertools.repeat(Answer(503, {"retry-after": "100"}, b"{}"))
    assert len(steps(calls.monitors(), Retries(deadline=60.0), busy)) == 1


def test_a_try_never_lasts_past_the_deadline() -> None:
    lost = itertools.repeat(httpx.ConnectError("refused"))
    taken = steps(calls.monitors(), Retries(deadline=10.0, attempt=30.0), lost)
    timeouts = [s.timeout for s in taken if isinstance(s, Send)]
    assert timeouts[0] == 10.0
    assert timeouts == sorted(timeouts, reverse=True)


def test_an_unreachable_service_is_given_up_sooner_than_a_busy_one() -> None:
    retries = Retries(deadline=60.0, unreachable=2.0)
    lost = steps(calls.monitors(), retries, itertools.repeat(httpx.ConnectError("refused")))
    busy = steps(calls.monitors(), retries, itertools.repeat(Answer(503, {}, b"{}")))
    assert sum(s.seconds for s in lost if isinstance(s, Sleep)) <= 2.0
    assert sum(s.seconds for s in busy if isinstance(s, Sleep)) > 50.0


@pytest.mark.parametrize(
    "act",
    [
        lambda c: c.reset_run("m", "r"),
        lambda c: c.close_run("m", "r"),
        lambda c: c.create_monitor("m", "r"),
        lambda c: c.change_monitor("m", rate=1.0),
        lambda c: c.delete_monitor("m"),
        lambda c: c.replay("m", "r", "c"),
    ],
    ids=["reset", "close", "create", "change", "delete", "replay"],
)
def test_what_must_not_happen_twice_is_not_repeated_once_it_was_sent(act: Callable[[Client], object]) -> None:
    lost = Script(httpx.ReadError("reset"), accepted())
    with lost.client() as client, pytest.raises(Unreachable):
        act(client)
    assert len(lost.requests) == 1
    refused = Script(httpx.ConnectError("refused"), full(), httpx.Response(404, json={"detail": "no"}))
    with refused.client() as client, pytest.raises(Refused):
        act(client)
    assert len(refused.requests) == 3


def test_push_many_draws_no_further_than_what_is_in_flight() -> None:
    drawn = 0

    def chunks() -> Iterator[list[list[float]]]:
        nonlocal drawn
        while True:
            drawn += 1
            yield [[float(drawn)]]

    with Script(*(accepted() for _ in range(100))).client() as client:
        for concurrency in (1, 4):
            drawn = 0
            receipts = client.push_many("m", "r", chunks(), concurrency=concurrency)
            for given in range(1, 6):
                next(receipts)
                assert drawn <= given + concurrency
            receipts.close()


@pytest.mark.parametrize("concurrency", [1, 3])
def test_push_many_gives_the_receipts_before_the_error(concurrency: int) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        request.read()
        if request.headers["nplmon-chunk-id"] == "bad":
            return httpx.Response(422, json={"type": "/problems/shape", "detail": "wrong"})
        return httpx.Response(202, json={**RECEIPT, "chunk": request.headers["nplmon-chunk-id"]})

    chunks = [Chunk(events=[[1.0]], id=name) for name in ("a", "b", "bad", "never", "seen", "at", "all")]
    given: list[str] = []
    with Client("http://service", transport=httpx.MockTransport(handle)) as client:
        with pytest.raises(Refused, match="wrong"):  # noqa: PT012  # what was given before counts
            for receipt in client.push_many("m", "r", iter(chunks), concurrency=concurrency):
                given.append(receipt.chunk)  # noqa: PERF401  # it raises in the middle
        assert {"a", "b"} <= set(given) <= {"a", "b", "never", "seen"}

    async def visit() -> list[str]:
        seen: list[str] = []
        async with AsyncClient("http://service", transport=httpx.MockTransport(handle)) as awaiting:
            with pytest.raises(Refused, match="wrong"):  # noqa: PT012  # what was given before counts
                async for receipt in awaiting.push_many("m", "r", chunks, concurrency=concurrency):
                    seen.append(receipt.chunk)  # noqa: PERF401  # it raises in the middle
        return seen

    assert {"a", "b"} <= set(asyncio.run(visit())) <= {"a", "b", "never", "seen"}


def test_the_asynchronous_client_repeats_and_sleeps_without_blocking() -> None:
    script = Script(httpx.ReadError("reset"), full(), accepted())

    async def visit() -> None:
        retries = Retries(first=0.05, deadline=5.0)
        async with AsyncClient(
            "http://service", retries=retries, transport=httpx.MockTransport(script)
        ) as client:
            ticks = 0
            push = asyncio.ensure_future(client.push("m", "r", [[1.0]]))
            while not push.done():
                await asyncio.sleep(0.005)
                ticks += 1
            assert push.result().sequence == 1
            assert ticks > 2

    asyncio.run(visit())
    assert len({request.headers["nplmon-chunk-id"] for request in script.requests}) == 1


SNAPSHOT = {
    "monitor": "m",
    "run": "r",
    "run_epoch": 1,
    "monitor_epoch": 1,
    "reference_hash": "",
    "sequence": 1,
    "chunks": 1,
    "dead": 0,
    "events": 5,
    "expected": 5.0,
    "exposure_ratio": 0.1,
    "updated_at": 0.0,
    "last_accepted_at": 0.0,
}


def stream(*sequences: int, tail: str = "") -> httpx.Response:
    events = "".join(
        f"event: statistic\nid: {n}\ndata: {json.dumps({**SNAPSHOT, 'sequence': n})}\n\n: still here\n\n"
        for n in sequences
    )
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, text=events + tail)


def test_events_reconnect_and_give_each_snapshot_once() -> None:
    half = 'event: statistic\ndata: {"monitor":'
    script = Script(
        stream(1, 2, tail=half), httpx.ReadError("reset"), httpx.Response(503), stream(2, 3), stream(3, 4)
    )
    with script.client() as client:
        seen = [snapshot.sequence for snapshot in itertools.islice(client.events("m"), 4)]
    assert seen == [1, 2, 3, 4]
    assert [r.headers.get("last-event-id") for r in script.requests] == [None, "2", "2", "2", "3"]


def test_events_end_with_a_refusal_or_after_the_deadline() -> None:
    gone = Script(
        stream(1), httpx.Response(404, json={"type": "/problems/unknown-monitor", "detail": "gone"})
    )
    with gone.client() as client, pytest.raises(Refused, match="gone"):
        list(client.events("m"))
    away = Script(stream(1), *itertools.repeat(httpx.ConnectError("refused"), 1000))
    with away.client(deadline=0.2) as client, pytest.raises(Unreachable):
        list(client.events("m"))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[1]),
        httpx.Response(200, json={"monitors": [{"name": "m"}]}),
        httpx.Response(302, headers={"Location": "/elsewhere"}),
    ],
    ids=["not json", "not an object", "a member missing", "redirect"],
)
def test_an_answer_of_something_else_is_said_to_be_that(answer: httpx.Response) -> None:
    with Script(answer).client() as client, pytest.raises(UnexpectedAnswer):
        client.monitors()


def test_ratios_come_as_arrays() -> None:
    said = {
        "monitor": "m",
        "run": "r",
        "sequence": 3,
        "form": "mixture",
        "log_ratio": [0.0, 1.0],
        "ratio": [1, 2.7],
    }
    with Script(httpx.Response(200, json=said)).client() as client:
        ratios = client.evaluate_ratio("m", [[1.0], [2.0]])
    assert ratios.log_ratio.dtype == ratios.ratio.dtype == np.float64
    assert ratios.ratio.tolist() == [1.0, 2.7]
