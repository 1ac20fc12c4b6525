"""Updates: the running statistic as server-sent events."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
from fastapi import APIRouter
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.responses import StreamingResponse

from nplmon.api.context import InContext
from nplmon.api.entry import InIdentity, while_allowed
from nplmon.api.metrics import EVENTS_ROUTE
from nplmon.api.names import MonitorPath, RunQuery
from nplmon.broker import StoreUnreachable, UnknownMonitor, UnknownRun

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from starlette.types import Receive, Scope, Send

    from nplmon.broker import Broker
    from nplmon.broker.messages import Snapshot

PING_SECONDS = 15.0
RETRY_SECONDS = 1.0
RETRY_MILLISECONDS = 2000

router = APIRouter(tags=["statistics"])


@router.get(
    EVENTS_ROUTE,
    # Not EventSourceResponse: FastAPI would put a queue between the generator and the reader.
    response_class=StreamingResponse,
    responses={200: {"description": "Server-sent events `statistic`", "content": {"text/event-stream": {}}}},
)
async def follow(
    context: InContext, identity: InIdentity, monitor: MonitorPath, run: RunQuery = None
) -> EventSourceResponse:
    """Follow the statistic: the present snapshot at once, then the newest whenever it changes."""
    await context.broker.monitors.get(monitor)
    if run is not None:
        await context.broker.runs.get(monitor, run)
    return SnapshotStream(while_allowed(context, identity, context.updates.stream(monitor, run)))


class SnapshotStream(EventSourceResponse):
    """A stream whose generator is closed with the response.

    Without this, a reader that vanishes while a write waits for it would leave its generator, and with it the
    subscription, to the garbage collector.
    """

    def __init__(self, stream: AsyncGenerator[bytes]) -> None:
        self._stream = stream
        super().__init__(stream, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream until the reader leaves or the service stops."""
        async with aclosing(self._stream):
            await super().__call__(scope, receive, send)


class Watch:
    """One subscription to a monitor's channel, shared by its readers."""

    def __init__(self) -> None:
        self.readers = 0
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def tick(self) -> None:
        """Wake everyone who waits for the next change."""
        self.changed.set()
        self.changed = asyncio.Event()


class Updates:
    """Wakes readers and gives each the newest snapshot.

    Nothing is queued: a reader fetches the newest snapshot when its last write is under way, so one that is slow
    skips what it missed and costs nobody anything.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._watches: dict[str, Watch] = {}
        self._closed = False

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._closed = True
        for watch in self._watches.values():
            watch.tick()

    async def stream(self, monitor: str, run: str | None) -> AsyncGenerator[bytes]:
        """Give the events for one reader, encoded; ends when the monitor is deleted or the service stops."""
        sent: tuple[object, ...] | None = None
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        async with self._watching(monitor) as watch:
            while not self._closed:
                # Taken before the snapshot is read, so that no change falls in between.
                changed, patience = watch.changed, PING_SECONDS
                try:
                    snapshot = await self._newest(monitor, run)
                except StoreUnreachable:
                    snapshot, patience = None, RETRY_SECONDS
                except (UnknownMonitor, UnknownRun):
                    return
                if snapshot is not None and (version := _version(snapshot)) != sent:
                    sent = version
                    yield _event(snapshot)
                try:
                    async with asyncio.timeout(patience):
                        await changed.wait()
                except TimeoutError:
                    # Also after silence the snapshot is read again: a lost subscription loses no news.
                    yield format_sse_event(comment="still here")

    async def _newest(self, monitor: str, run: str | None) -> Snapshot | None:
        if run is None:
            latest = await self._broker.runs.latest(monitor)
            if latest is None:
                await self._broker.monitors.get(monitor)
                return None
            run = latest.name
        snapshot = await self._broker.statistics.snapshot(monitor, run)
        if snapshot is None:
            await self._broker.monitors.get(monitor)
        return snapshot

    @asynccontextmanager
    async def _watching(self, monitor: str) -> AsyncIterator[Watch]:
        watch = self._watches.setdefault(monitor, Watch())
        watch.readers += 1
        if watch.task is None:
            watch.task = asyncio.create_task(self._listen(monitor, watch), name=f"updates of {monitor}")
        try:
            yield watch
        finally:
            watch.readers -= 1
            if watch.readers == 0:
                del self._watches[monitor]
                watch.task.cancel()

    async def _listen(self, monitor: str, watch: Watch) -> None:
        while True:
            try:
                async for _ in self._broker.statistics.updates(monitor):
                    watch.tick()
            except StoreUnreachable:
                pass
            # The channel ended with its monitor, or was lost and what was said meanwhile with it.
            watch.tick()
            await asyncio.sleep(RETRY_SECONDS)


def _version(snapshot: Snapshot) -> tuple[object, ...]:
    return snapshot.run, snapshot.run_epoch, snapshot.sequence, snapshot.updated_at


def _event(snapshot: Snapshot) -> bytes:
    members = msgspec.to_builtins(snapshot)
    for heavy in ("features", "anomalous", "pair"):
        del members[heavy]
    return format_sse_event(
        data_str=msgspec.json.encode(members).decode(), event="statistic", id=str(snapshot.sequence)
    )
