"""What is seen of one monitor: its tile, encoded once for all, and how far its history was read."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
from fastapi.sse import format_sse_event

from nplmon.api.sparkline import Sparkline, SparklineColumns
from nplmon.api.tiles import tile_of
from nplmon.broker.lines import marks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nplmon.broker import Broker
    from nplmon.broker.glances import Glance

LINES_AT_ONCE = 250
"""Lines of a history that are read in one look: neither the store nor the event loop is held up by it."""
LINES_AT_FIRST = 50
"""In the first look, for which somebody waits."""


class Seen:
    """One monitor on the board.

    Parameters
    ----------
    versions
        Gives the number of each change; one for the whole board, so that a monitor made anew under the same name
        never looks like the old one.

    Attributes
    ----------
    version
        Number of the last change of the tile; 0 before the first look.
    body, event
        The tile as JSON, and as the event that tells it.
    order
        Of the tiles: the most urgent first, then by name.
    behind
        Whether lines of the history are still to be read.
    looked_at
        By the monotonic clock, in s.
    """

    def __init__(self, name: str, versions: Iterator[int]) -> None:
        self.name = name
        self._versions = versions
        self.version = 0
        self.body = self.event = b""
        self.order: tuple[int, str] = (0, name)
        self.behind = False
        self.looked_at = 0.0
        self._looking = asyncio.Lock()
        self._run, self._epoch, self._read = "", 0, 0
        self._kind: str | None = None
        self._sparkline = Sparkline()

    async def look(self, broker: Broker) -> bool:
        """Look at the monitor once more, and read on in its history; give whether the tile changed.

        Raises
        ------
        StoreUnreachable, UnknownMonitor, MonitorOutdated
            From the broker.
        """
        async with self._looking:
            self.looked_at = time.monotonic()
            count = LINES_AT_ONCE if self.version else LINES_AT_FIRST
            seen = await broker.glances.get(
                self.name, run=self._run, epoch=self._epoch, since=self._read, count=count
            )
            self._follow(seen)
            sparkline = SparklineColumns() if self.behind else self._sparkline.columns()
            tile = tile_of(seen, sparkline, time.time())
            body = msgspec.json.encode(tile)
            if body == self.body:
                return False
            self.version = next(self._versions)
            self.order = (tile.urgency, self.name)
            self.body, self.event = body, format_sse_event(data_str=body.decode(), event="tile")
            return True

    def forget_tile(self) -> None:
        """Give nothing until the next look; how far the history was read stays."""
        self.version, self.body = 0, b""

    def _follow(self, seen: Glance) -> None:
        run, kind = seen.run, None if seen.snapshot is None else seen.snapshot.deciding
        if run is None or kind is None:
            self._run, self._epoch, self._read = ("", 0, 0) if run is None else (run.name, run.epoch, 0)
            self._kind, self._sparkline, self.behind = None, Sparkline(), False
            return
        if (run.name, run.epoch, kind) != (self._run, self._epoch, self._kind):
            self._run, self._epoch, self._kind = run.name, run.epoch, kind
            self._read, self._sparkline = 0, Sparkline()
        if seen.first == self._read:
            for sequence, mark in enumerate(marks(seen.lines, kind), self._read + 1):
                self._sparkline.add(sequence, mark.value, mark.threshold)
            self._read += len(seen.lines)
        self.behind = self._read < seen.length
