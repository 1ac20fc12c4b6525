"""The watch over one monitor: reads its journal, hands entries to its receivers, and keeps the place."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import structlog

from nplmon.broker import StoreFull, StoreUnreachable, UnknownMonitor
from nplmon.broker.alarm_messages import JournalEntry
from nplmon.notifier.lane import Lane
from nplmon.notifier.notice import TOLD, notice_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nplmon.broker import Broker
    from nplmon.broker.messages import Monitor
    from nplmon.notifier.backoff import Backoff
    from nplmon.notifier.channel import Channel, ChannelName
    from nplmon.notifier.metrics import NotifierMetrics

POLL_SECONDS = 1.0
MOST_UNDER_WAY = 1000
"""Entries whose deliveries have not all ended; the journal is not read beyond."""

LOOK_BACK = 100
"""Entries of the journal that are looked at for what was said already."""

log = structlog.get_logger()


class Watch:
    """Tells the receivers of one monitor what its journal has.

    The place in the journal moves past an entry when the deliveries of it and of all before it have ended: whoever
    goes on from there tells each entry at least once. A receiver that is slow holds up no other.

    Parameters
    ----------
    monitor:
        Its name.
    channels:
        The ways to reach receivers, by name.
    page:
        Address of the page for people.
    """

    def __init__(
        self,
        monitor: str,
        channels: Sequence[Channel],
        page: str,
        *,
        broker: Broker,
        metrics: NotifierMetrics,
        backoff: Backoff,
    ) -> None:
        self._monitor = monitor
        self._channels = {channel.name: channel for channel in channels}
        self._page = page
        self._broker = broker
        self._metrics = metrics
        self._backoff = backoff
        self._receivers: set[tuple[ChannelName, str]] = set()
        """Those that the monitor names now."""
        self._lanes: dict[tuple[ChannelName, str], Lane] = {}
        self._said: set[str] = set()
        """What settings lack, once written into the journal."""
        self._under_way: deque[tuple[str, list[asyncio.Future[None]]]] = deque()

    async def run(self) -> None:
        """Work until cancelled, or until the monitor is gone."""
        try:
            while True:
                try:
                    if not await self._follow():
                        return
                except (StoreUnreachable, StoreFull) as error:
                    log.warning("notifications wait for the store", monitor=self._monitor, error=str(error))
                except Exception as error:  # without this task nobody would be told any more, silently
                    log.exception("notifications interrupted", monitor=self._monitor, error=str(error))
                await self._leave()
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await self._leave()

    async def _follow(self) -> bool:
        """Tell what comes; False when the monitor is gone, True when the place was moved by another."""
        told = await self._broker.notifications.begin(self._monitor)
        if told is None:
            return False
        read = told
        while True:
            try:
                monitor = await self._broker.monitors.get(self._monitor)
            except UnknownMonitor:
                return False
            await self._look_up(monitor)
            room = MOST_UNDER_WAY - len(self._under_way)
            entries = await self._broker.journal.entries(self._monitor, read, room) if room else []
            for entry in entries:
                self._under_way.append((entry.id, await self._tell(monitor, entry)))
                read = entry.id
            done = self._done()
            if done is not None:
                if not await self._broker.notifications.move(self._monitor, told, done):
                    return True
                told = done
            await self._pause()

    async def _look_up(self, monitor: Monitor) -> None:
        """See whom the monitor names, and close the lanes of others once nothing is under way there."""
        handling = monitor.handling
        self._receivers = {("webhook", one) for one in handling.webhooks} | {
            ("email", one) for one in handling.emails
        }
        for receiver in self._lanes.keys() - self._receivers:
            if self._lanes[receiver].idle:
                await self._lanes.pop(receiver).close()

    async def _tell(self, monitor: Monitor, entry: JournalEntry) -> list[asyncio.Future[None]]:
        """Begin the deliveries of an entry."""
        if entry.kind not in TOLD or not self._receivers or not await self._worth(entry):
            return []
        notice = notice_of(monitor, entry, self._page)
        begun = []
        for receiver in sorted(self._receivers):
            channel = self._channels[receiver[0]]
            if missing := channel.missing():
                self._metrics.count(self._monitor, channel.name, "failed")
                await self._say_missing(missing)
            else:
                begun.append(self._lane(receiver).deliver(notice))
        return begun

    async def _say_missing(self, text: str) -> None:
        """Write once into the journal what the settings lack; it holds for all that follows."""
        if text in self._said:
            return
        self._said.add(text)
        latest = await self._broker.journal.latest(self._monitor, LOOK_BACK)
        # Said by this aggregator before it was started again, or by another one.
        if any(entry.kind == "notification-failed" and entry.text == text for entry in latest):
            return
        log.error("notifications cannot be sent", monitor=self._monitor, reason=text)
        await self._broker.journal.append(self._monitor, JournalEntry(kind="notification-failed", text=text))

    async def _worth(self, entry: JournalEntry) -> bool:
        """Whether somebody was told of something that ends with a closed run."""
        if entry.kind != "run-closed" or entry.run is None:
            return True
        snapshot = await self._broker.statistics.snapshot(self._monitor, entry.run)
        raised = snapshot is not None and snapshot.alarm.level != "ok"
        return raised or await self._broker.staleness.is_stale(self._monitor, entry.run)

    def _lane(self, receiver: tuple[ChannelName, str]) -> Lane:
        if receiver not in self._lanes:
            name, address = receiver
            self._lanes[receiver] = Lane(
                self._monitor,
                self._channels[name],
                address,
                broker=self._broker,
                metrics=self._metrics,
                backoff=self._backoff,
                wanted=lambda: receiver in self._receivers,
            )
        return self._lanes[receiver]

    def _done(self) -> str | None:
        """Give the last entry up to which all deliveries have ended, if there is a new one."""
        last = None
        while self._under_way and all(one.done() for one in self._under_way[0][1]):
            last = self._under_way.popleft()[0]
        return last

    async def _pause(self) -> None:
        """Wait for a delivery of the oldest entry to end, or for the next look at the journal."""
        waiting = [one for one in self._under_way[0][1] if not one.done()] if self._under_way else []
        if waiting:
            await asyncio.wait(waiting, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(POLL_SECONDS)

    async def _leave(self) -> None:
        """Stop all deliveries: they begin anew from the stored place."""
        lanes, self._lanes = list(self._lanes.values()), {}
        self._under_way.clear()
        for lane in lanes:
            await lane.close()
