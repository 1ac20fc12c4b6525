"""The board: the tiles of all monitors, computed once for all who look at them."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec
from fastapi.sse import format_sse_event

from nplmon.api.seen import Seen
from nplmon.broker import MonitorOutdated, StoreUnreachable, UnknownMonitor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from nplmon.broker import Broker

VERSION = version("nplmon")
APART_SECONDS = 0.5
"""A monitor is looked at no more often than that, however often it changes."""
ROUND_SECONDS = 5.0
"""All monitors are looked at so often: what is stale shows, and a lost subscription loses nothing."""
PING_SECONDS = 10.0
RETRY_SECONDS = 1.0
RETRY_MILLISECONDS = 2000
READING_SECONDS = 0.15
"""An overview waits so long for histories that are still being read."""


class Board:
    """Looks at the monitors, and wakes those who read when a tile changed.

    While somebody follows the events it listens to the store; without that every overview looks anew. Nothing is
    queued for a reader: it gets the newest tiles when its last write is under way.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._seen: dict[str, Seen] = {}
        self._versions = itertools.count(1)
        self._reachable = True
        self._changed = asyncio.Event()
        self._readers = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._due: set[str] = set()
        self._woken = asyncio.Event()
        self._round_at = 0.0
        self._closed = False

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._closed = True
        self._tick()

    async def overview(self) -> bytes:
        """Give all tiles as JSON, by urgency.

        Raises
        ------
        StoreUnreachable
            If the store gives no answer.
        """
        names = await self._broker.glances.names()
        for name in names:
            one = self._seen.get(name)
            if not self._tasks or one is None or not one.version:
                await self._look(name)
        self._forget(set(names))
        until = time.monotonic() + READING_SECONDS
        while time.monotonic() < until and (behind := self._behind()) is not None:
            await self._look(behind)
        now = msgspec.json.encode(time.time())
        tiles = b",".join(one.body for one in self._by_urgency())
        return b'{"now":%b,"version":%b,"tiles":[%b]}' % (now, msgspec.json.encode(VERSION), tiles)

    async def stream(self) -> AsyncGenerator[bytes]:
        """Give the events for one reader, encoded; ends when the service stops."""
        sent: dict[str, int] = {}
        reachable = True
        hello = {"now": time.time(), "version": VERSION}
        ping_at = time.monotonic() + PING_SECONDS
        yield b"retry: %d\n\n%b" % (RETRY_MILLISECONDS, _event("hello", msgspec.json.encode(hello)))
        async with self._reading():
            while not self._closed:
                # Taken before the tiles are read, so that no change falls in between.
                changed = self._changed
                news = [_event("gone", msgspec.json.encode({"monitor": name})) for name in self._gone(sent)]
                if reachable != self._reachable:
                    reachable = self._reachable
                    news.append(_event("store", msgspec.json.encode({"reachable": reachable})))
                for one in self._by_urgency():
                    if sent.get(one.name) != one.version:
                        sent[one.name] = one.version
                        news.append(one.event)
                if time.monotonic() >= ping_at:
                    ping_at = time.monotonic() + PING_SECONDS
                    # An event and not a comment, which a browser's EventSource would keep from the page.
                    news.append(_event("ping", msgspec.json.encode({"now": time.time()})))
                if news:
                    yield b"".join(news)
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, ping_at - time.monotonic())):
                        await changed.wait()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        self._readers += 1
        if not self._tasks:
            self._round_at = 0.0
            for one in self._seen.values():
                one.forget_tile()  # nobody has listened since
            self._tasks = [
                asyncio.create_task(self._listen(), name="board listens"),
                asyncio.create_task(self._work(), name="board looks"),
            ]
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                for task in self._tasks:
                    task.cancel()
                self._tasks = []

    async def _listen(self) -> None:
        while True:
            with suppress(StoreUnreachable):
                async for name in self._broker.glances.changes():
                    if name:
                        self._due.add(name)
                    else:
                        self._round_at = 0.0  # nobody knows what was said before
                    self._woken.set()
            await asyncio.sleep(RETRY_SECONDS)

    async def _work(self) -> None:
        while True:
            self._woken.clear()
            try:
                pause = await self._turn()
            except StoreUnreachable:
                self._round_at, pause = 0.0, RETRY_SECONDS
                if self._reachable:
                    self._reachable = False
                    self._tick()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def _turn(self) -> float:
        """Look at what is due, or read on in one history; give the seconds until there is something to do."""
        now = time.monotonic()
        if now >= self._round_at:
            names = await self._broker.glances.names()
            self._round_at = now + ROUND_SECONDS
            self._due.update(names)
            changed = self._forget(set(names))
        else:
            changed = False
        if not self._reachable:
            self._reachable = changed = True
        waiting = self._round_at
        behind = self._behind()
        for name in sorted(self._due):
            one = self._seen.get(name)
            at = 0.0 if one is None else one.looked_at + APART_SECONDS
            if at > now:
                waiting = min(waiting, at)
                continue
            self._due.discard(name)
            changed = await self._look(name) or changed
        if behind is not None:
            changed = await self._look(behind) or changed
            waiting = 0.0
        if changed:
            self._tick()
        return max(0.0, waiting - time.monotonic())

    async def _look(self, name: str) -> bool:
        """Look at one monitor; give whether its tile changed."""
        one = self._seen.get(name)
        if one is None:
            one = self._seen[name] = Seen(name, self._versions)
        try:
            return await one.look(self._broker)
        except (UnknownMonitor, MonitorOutdated):
            self._seen.pop(name, None)
            return one.version > 0

    def _forget(self, names: set[str]) -> bool:
        gone = self._seen.keys() - names
        for name in gone:
            del self._seen[name]
        return bool(gone)

    def _gone(self, sent: dict[str, int]) -> list[str]:
        gone = [name for name in sent if name not in self._seen]
        for name in gone:
            del sent[name]
        return gone

    def _behind(self) -> str | None:
        return next((one.name for one in self._by_urgency() if one.behind), None)

    def _by_urgency(self) -> list[Seen]:
        return sorted((one for one in self._seen.values() if one.version), key=lambda one: one.order)

    def _tick(self) -> None:
        """Wake everyone who waits for the next change."""
        self._changed.set()
        self._changed = asyncio.Event()


def _event(kind: str, data: bytes) -> bytes:
    return format_sse_event(data_str=data.decode(), event=kind)
