"""The talk with the service without any input or output: what to send, when to wait, what an answer means.

A conversation is a generator. It yields steps (`Send` or `Sleep`); a driver carries each out, by blocking or
by awaiting, and sends back what came of it. `Client` and `AsyncClient` differ only in their drivers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeAlias, TypeVar

import httpx

from nplmon.client.decoding import Json
from nplmon.client.errors import (
    Busy,
    ServiceFault,
    TimedOut,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    problem,
    refusal,
)
from nplmon.client.npy import CONTENT_TYPE, NpyBody
from nplmon.client.retries import Retries, retry_after

T = TypeVar("T")
Clock: TypeAlias = Callable[[], float]

_NOT_NOW = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Json:
        """Decode the body."""
        try:
            return json.loads(self.content)
        except ValueError:
            raise UnexpectedAnswer(
                f"the answer ({self.status}) is not JSON: {self.content[:60]!r}; is this address nplmon's?"
            ) from None


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and how to read its answer."""

    method: str
    path: str
    read: Callable[[Answer], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Json = None
    body: NpyBody | None = None
    repeatable: bool = True
    """Whether repeating it is harmless when the first answer was lost."""

    def request(self, http: httpx.Client | httpx.AsyncClient, timeout: float) -> httpx.Request:
        """Build the request, for either kind of httpx client."""
        params = {name: value for name, value in self.params.items() if value is not None}
        request = http.build_request(
            self.method, self.path, params=params, headers=self.headers, json=self.json, timeout=timeout
        )
        if self.body is None:
            return request
        # A request built without content reads its empty body at once; a new one streams ours.
        headers = request.headers.copy()
        headers["Content-Type"] = CONTENT_TYPE
        headers["Content-Length"] = str(self.body.length)
        return httpx.Request(
            request.method, request.url, headers=headers, stream=self.body, extensions=request.extensions
        )


@dataclass(frozen=True)
class Send:
    """Step: send the call, wait at most `timeout` seconds; gives an `Answer` or a httpx.TransportError."""

    call: Call[Any]
    timeout: float


@dataclass(frozen=True)
class Sleep:
    """Step: do nothing for some seconds; gives None."""

    seconds: float


Outcome: TypeAlias = "Answer | httpx.TransportError | None"
Conversation: TypeAlias = "Generator[Send | Sleep, Outcome, T]"


def converse(call: Call[T], retries: Retries, clock: Clock = time.monotonic) -> Conversation[T]:
    """Send a call until it is answered or the deadline is over.

    Raises
    ------
    Refused
        On 4xx other than 429, at once.
    Unavailable
        When the deadline is over; or at once if the connection broke and the call must not be repeated.
    """
    start = clock()
    end = start + retries.deadline
    tries = 0
    while True:
        tries += 1
        outcome = yield Send(call, max(0.05, min(retries.attempt, end - clock())))
        if isinstance(outcome, Answer) and outcome.status not in _NOT_NOW:
            return judge(call, outcome)
        error, asked = unavailable(outcome, clock() - start, tries)
        if not call.repeatable and not was_unsent(outcome):
            raise error
        pause = retries.pause(tries, asked)
        last = end
        if retries.unreachable is not None and isinstance(outcome, httpx.ConnectError | httpx.ConnectTimeout):
            last = min(end, start + retries.unreachable)
        if clock() + pause >= last:
            raise error
        yield Sleep(pause)


def judge(call: Call[T], answer: Answer) -> T:
    """Read a final answer, or raise what it says."""
    if answer.status < 300:
        return call.read(answer)
    if 400 <= answer.status < 500:
        raise refusal(answer.status, answer.content)
    if answer.status >= 500:
        detail = problem(answer.content).get("detail", "")
        raise ServiceFault(f"the service failed ({answer.status}) {detail}".strip() + "; its log says why")
    raise UnexpectedAnswer(
        f"the service answered {answer.status} ({answer.headers.get('location', '?')}); give its address"
    )


def unavailable(outcome: Outcome, waited: float, tries: int) -> tuple[Unavailable, float | None]:
    """Name the error that a failed try stands for, and the seconds that the service asked to wait."""
    effort = f"after {tries} {'try' if tries == 1 else 'tries'} in {waited:.1f} s"
    if isinstance(outcome, Answer):
        said = problem(outcome.content)
        detail = str(said.get("detail") or f"the service answered {outcome.status}").rstrip(".")
        remedy = str(said.get("remedy") or "").rstrip(".")
        line = f"{detail} ({effort})" + (f". {remedy}" if remedy else "")
        return Busy(line), retry_after(outcome.headers.get("retry-after"), time.time())
    address = _address(outcome)
    if isinstance(outcome, httpx.TimeoutException):
        return TimedOut(f"no answer from {address} {effort}; is it overloaded?"), None
    reason = " ".join(str(outcome).split()) or type(outcome).__name__
    return Unreachable(f"no connection to {address} {effort}: {reason}"), None


def was_unsent(outcome: Outcome) -> bool:
    """Whether the request surely had no effect: it was turned away, or no connection was made."""
    return isinstance(outcome, Answer | httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def _address(error: Outcome) -> str:
    if isinstance(error, httpx.TransportError) and error._request is not None:  # noqa: SLF001
        url = error.request.url
        return f"{url.scheme}://{url.netloc.decode()}"
    return "the service"


def until(
    call: Call[T],
    done: Callable[[T], bool],
    *,
    what: str,
    timeout: float,
    retries: Retries,
    clock: Clock = time.monotonic,
) -> Conversation[T]:
    """Repeat a call, ever more slowly (0.02 to 0.5 s), until its answer is as wished.

    Raises
    ------
    TimedOut
        If it is not within `timeout` seconds; `what` says what was waited for.
    """
    end = clock() + timeout
    pause = 0.02
    while True:
        left = replace(retries, deadline=min(retries.deadline, max(0.05, end - clock())))
        answer = yield from converse(call, left, clock)
        if done(answer):
            return answer
        if clock() + pause >= end:
            raise TimedOut(f"{what} within {timeout:g} s")
        yield Sleep(pause)
        pause = min(0.5, pause * 1.5)
