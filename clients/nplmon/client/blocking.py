"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self, TypeVar

import httpx
from numpy.typing import ArrayLike

from nplmon.client import calls, connection
from nplmon.client.calls import Chunk
from nplmon.client.conversation import Answer, Call, Conversation, Outcome, Send, Sleep, converse, until
from nplmon.client.operations import Blocking, Operations
from nplmon.client.records import Receipt, Snapshot, Status
from nplmon.client.retries import Retries
from nplmon.client.subscription import Subscription

T = TypeVar("T")


class Client(Operations, Blocking):
    """Speaks with one nplmon service, blocking; may be used from several threads.

    Parameters
    ----------
    url:
        Address of the service; None: `NPLMON_URL`, else http://127.0.0.1:8471.
    deadline:
        Seconds for one call with all its retries (on 429, 503, connection loss and timeouts).
    retries:
        All settings of the retries, instead of `deadline`.
    token:
        Sent with every request; None: `NPLMON_TOKEN`, else none.
    plain_http:
        Whether the token may go over plain http to another machine; None: `NPLMON_PLAIN_HTTP`, else it may not.
    headers:
        Sent with every request.
    transport:
        Another httpx transport, for tests.

    Raises
    ------
    ClientError
        See the tree in `nplmon.client.errors`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        deadline: float = 60.0,
        retries: Retries | None = None,
        token: str | None = None,
        plain_http: bool | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = connection.address(url)
        self.retries = retries or Retries(deadline=deadline)
        self._http = httpx.Client(
            base_url=self.url,
            headers=connection.headers(headers, self.url, token, plain_http=plain_http),
            transport=transport,
            limits=connection.LIMITS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def perform(self, call: Call[T]) -> T:
        """Carry out a call, with its retries."""
        return self._drive(converse(call, self.retries))

    def push_many(
        self, monitor: str, run: str, chunks: Iterable[ArrayLike | Chunk], *, concurrency: int = 1
    ) -> Iterator[Receipt]:
        """Push chunks from any iterable, also one without end; yields the receipts as they come.

        Parameters
        ----------
        chunks:
            Arrays, or `Chunk` objects; drawn one by one, at most `concurrency` ahead of the receipts.
        concurrency:
            Chunks in flight. With 1 they are admitted in their order; with more, neighbours may swap places.

        Raises
        ------
        ClientError
            Of the first chunk that fails; the receipts of those in flight are still given before.
        """
        described = (calls.push_chunk(monitor, run, connection.as_chunk(chunk)) for chunk in chunks)
        if concurrency <= 1:
            yield from map(self.perform, described)
            return
        with ThreadPoolExecutor(concurrency, thread_name_prefix="nplmon-push") as pool:
            flying: set[Future[Receipt]] = set()
            failure: BaseException | None = None
            try:
                for call in described:
                    flying.add(pool.submit(self.perform, call))
                    if len(flying) < concurrency:
                        continue
                    landed, flying = wait(flying, return_when=FIRST_COMPLETED)
                    failure = connection.failure(landed)
                    yield from connection.receipts(landed)
                    if failure is not None:
                        break
                landed, flying = wait(flying)
                yield from connection.receipts(landed)
                failure = failure or connection.failure(landed)
            finally:
                for future in flying:
                    future.cancel()
        if failure is not None:
            raise failure

    def wait_applied(self, monitor: str, run: str, sequence: int, timeout: float = 60.0) -> Status:
        """Wait until chunk number `sequence` of the run is in the statistic.

        Raises
        ------
        TimedOut
            If it is not within `timeout` seconds.
        """
        applied, what = connection.applied(sequence)
        return self._drive(
            until(calls.statistic(monitor, run), applied, what=what, timeout=timeout, retries=self.retries)
        )

    def events(self, monitor: str, run: str | None = None) -> Iterator[Snapshot]:
        """Yield the present snapshot and each new one, without end; reconnect when the connection breaks.

        Raises
        ------
        Unavailable
            If the service stays away for longer than the deadline.
        """
        subscription = Subscription(monitor, run, self.retries)
        while True:
            try:
                with self._http.stream(
                    "GET",
                    subscription.path,
                    params=subscription.params,
                    headers=subscription.headers,
                    timeout=connection.STREAM_TIMEOUT,
                ) as response:
                    if response.status_code == 200:
                        for line in response.iter_lines():
                            snapshot = subscription.line(line)
                            if snapshot is not None:
                                yield snapshot
                        pause = subscription.lost(None)
                    else:
                        response.read()
                        pause = subscription.refused(_answer(response))
            except httpx.TransportError as error:
                pause = subscription.lost(error)
            time.sleep(pause)

    def _drive(self, conversation: Conversation[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = conversation.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # StopIteration.value is untyped
            match step:
                case Sleep(seconds):
                    time.sleep(seconds)
                    outcome = None
                case Send(call, timeout):
                    try:
                        outcome = _answer(self._http.send(call.request(self._http, timeout)))
                    except httpx.TransportError as error:
                        outcome = error


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.headers, response.content)
