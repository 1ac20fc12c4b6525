"""A lane: the deliveries to one receiver, in order; it waits for nobody else's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import structlog

from nplmon.broker import BrokerError
from nplmon.notifier.errors import GiveUp, TryLater

if TYPE_CHECKING:
    from collections.abc import Callable

    from nplmon.broker import Broker
    from nplmon.notifier.backoff import Backoff
    from nplmon.notifier.channel import Channel
    from nplmon.notifier.metrics import NotifierMetrics, Outcome
    from nplmon.notifier.notice import Notice

STORE_RETRY_SECONDS = 1.0
CANCEL_SECONDS = 0.5

log = structlog.get_logger()


class Lane:
    """Delivers to one receiver of one monitor.

    Parameters
    ----------
    monitor:
        The monitor.
    channel, address:
        The receiver.
    wanted:
        Whether the monitor still names the receiver; what waits for one that it does not is dropped.
    """

    def __init__(
        self,
        monitor: str,
        channel: Channel,
        address: str,
        *,
        broker: Broker,
        metrics: NotifierMetrics,
        backoff: Backoff,
        wanted: Callable[[], bool],
    ) -> None:
        self._monitor = monitor
        self._channel = channel
        self._address = address
        self._broker = broker
        self._metrics = metrics
        self._backoff = backoff
        self._wanted = wanted
        self._waiting: asyncio.Queue[tuple[Notice, asyncio.Future[None]]] = asyncio.Queue()
        self._under_way = 0
        self._task = asyncio.create_task(self._work())

    def deliver(self, notice: Notice) -> asyncio.Future[None]:
        """Deliver a notice after those that wait; what is given is done when the delivery has ended, well or not."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way += 1
        self._waiting.put_nowait((notice, ended))
        return ended

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self._under_way

    async def close(self) -> None:
        """Leave what waits; it is not told to have ended."""
        # Again and again: a library in the middle of a conversation may take a cancellation for a lost connection.
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CANCEL_SECONDS)

    async def _work(self) -> None:
        while True:
            notice, ended = await self._waiting.get()
            outcome, reason = await self._outcome(notice)
            if outcome == "failed":
                await self._note(notice, reason)
            self._count(outcome)
            self._under_way -= 1
            ended.set_result(None)

    async def _outcome(self, notice: Notice) -> tuple[Outcome, str]:
        """Try until it is delivered or there is no use in trying; give how it ended, and why it failed."""
        line = log.bind(
            monitor=self._monitor, receiver=self._channel.shown(self._address), notice=notice.payload.id
        )
        for tried in range(1, self._backoff.tries + 1):
            if not self._wanted():
                return "withdrawn", ""
            try:
                await self._channel.deliver(self._address, notice)
            except TryLater as error:
                reason = f"{error}; given up after {tried} tries"
                if tried < self._backoff.tries:
                    self._count("retried")
                    wait = self._backoff.wait(tried, error.after)
                    line.warning("notification not delivered", reason=str(error), tried=tried, wait=wait)
                    await asyncio.sleep(wait)
            except GiveUp as error:
                return "failed", str(error)
            except Exception as error:  # noqa: BLE001 (this receiver must be told of all that follows)
                line.exception("notification not delivered", error=str(error))
                return "failed", f"unexpected {type(error).__name__}, see the log of the aggregator"
            else:
                line.info("notification delivered", kind=notice.entry.kind)
                return "delivered", ""
        return "failed", reason

    async def _note(self, notice: Notice, reason: str) -> None:
        """Write into the journal that it failed; wait for the store, for the entry is the only trace."""
        what = self._channel.shown(self._address)
        log.error("notification failed", monitor=self._monitor, receiver=what, reason=reason)
        entry = msgspec.structs.replace(
            notice.entry,
            kind="notification-failed",
            who="",
            text=f"{notice.entry.kind} not told to {what}: {reason}",
        )
        while True:
            try:
                await self._broker.journal.append(self._monitor, entry)
            except BrokerError as error:
                log.warning("a failure waits for the store", monitor=self._monitor, error=str(error))
                await asyncio.sleep(STORE_RETRY_SECONDS)
            else:
                return

    def _count(self, outcome: Outcome) -> None:
        self._metrics.count(self._monitor, self._channel.name, outcome)
