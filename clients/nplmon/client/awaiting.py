"""The asynchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Self, TypeVar

import httpx
from numpy.typing import ArrayLike

from nplmon.client import calls, connection
from nplmon.client.calls import Chunk
from nplmon.client.conversation import Answer, Call, Conversation, Outcome, Send, Sleep, converse, until
from nplmon.client.operations import Awaiting, Operations
from nplmon.client.records import Receipt, Snapshot, Status
from nplmon.client.retries import Retries
from nplmon.client.subscription import Subscription

T = TypeVar("T")


class AsyncClient(Operations, Awaiting):
    """Speaks with one nplmon service, asynchronously; otherwise as `Client`."""

    def __init__(
        self,
        url: str | None = None,
        *,
        deadline: float = 60.0,
        retries: Retries | None = None,
        token: str | None = None,
        plain_http: bool | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = connection.address(url)
        self.retries = retries or Retries(deadline=deadline)
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=connection.headers(headers, self.url, token, plain_http=plain_http),
            transport=transport,
            limits=connection.LIMITS,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def perform(self, call: Call[T]) -> T:
        """Carry out a call, with its retries."""
        return await self._drive(converse(call, self.retries))

    async def push_many(
        self,
        monitor: str,
        run: str,
        chunks: Iterable[ArrayLike | Chunk] | AsyncIterable[ArrayLike | Chunk],
        *,
        concurrency: int = 1,
    ) -> AsyncIterator[Receipt]:
        """Push chunks from any iterable, plain or asynchronous; as `Client.push_many`."""
        flying: set[asyncio.Task[Receipt]] = set()
        failure: BaseException | None = None
        try:
            async for chunk in connection.each(chunks):
                call = calls.push_chunk(monitor, run, connection.as_chunk(chunk))
                flying.add(asyncio.ensure_future(self.perform(call)))
                if len(flying) < max(1, concurrency):
                    continue
                landed, flying = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
                failure = connection.failure(landed)
                for receipt in connection.receipts(landed):
                    yield receipt
                if failure is not None:
                    break
            if flying:
                landed, flying = await asyncio.wait(flying)
                for receipt in connection.receipts(landed):
                    yield receipt
                failure = failure or connection.failure(landed)
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)
        if failure is not None:
            raise failure

    async def wait_applied(self, monitor: str, run: str, sequence: int, timeout: float = 60.0) -> Status:  # noqa: ASYNC109  # same signature as Client
        """Wait until chunk number `sequence` of the run is in the statistic; as `Client.wait_applied`."""
        applied, what = connection.applied(sequence)
        return await self._drive(
            until(calls.statistic(monitor, run), applied, what=what, timeout=timeout, retries=self.retries)
        )

    async def events(self, monitor: str, run: str | None = None) -> AsyncIterator[Snapshot]:
        """Yield the present snapshot and then each new one, without end; as `Client.events`."""
        subscription = Subscription(monitor, run, self.retries)
        while True:
            try:
                async with self._http.stream(
                    "GET",
                    subscription.path,
                    params=subscription.params,
                    headers=subscription.headers,
                    timeout=connection.STREAM_TIMEOUT,
                ) as response:
                    if response.status_code == 200:
                        async for line in response.aiter_lines():
                            snapshot = subscription.line(line)
                            if snapshot is not None:
                                yield snapshot
                        pause = subscription.lost(None)
                    else:
                        await response.aread()
                        pause = subscription.refused(_answer(response))
            except httpx.TransportError as error:
                pause = subscription.lost(error)
            await asyncio.sleep(pause)

    async def _drive(self, conversation: Conversation[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = conversation.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # StopIteration.value is untyped
            match step:
                case Sleep(seconds):
                    await asyncio.sleep(seconds)
                    outcome = None
                case Send(call, timeout):
                    try:
                        outcome = _answer(await self._http.send(call.request(self._http, timeout)))
                    except httpx.TransportError as error:
                        outcome = error


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.headers, response.content)
