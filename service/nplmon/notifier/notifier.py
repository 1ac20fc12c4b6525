"""The notifier: watches over the monitors that its process holds, beside whatever else that does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nplmon.notifier.backoff import Backoff
from nplmon.notifier.mail import Mail
from nplmon.notifier.metrics import NotifierMetrics
from nplmon.notifier.watch import Watch
from nplmon.notifier.webhook import Webhooks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import CollectorRegistry

    from nplmon.broker import Broker
    from nplmon.notifier.channel import Channel
    from nplmon.settings import Settings


class Notifier:
    """Tells webhooks and mailboxes what happens to the monitors that it is given.

    Parameters
    ----------
    broker:
        Where the journals are.
    settings:
        The secret of webhooks, the mail server, and where the page is.
    registry:
        Of the metrics.
    backoff:
        Between tries.
    """

    def __init__(
        self, broker: Broker, settings: Settings, registry: CollectorRegistry, backoff: Backoff | None = None
    ) -> None:
        self._broker = broker
        self._page = settings.public_url or settings.url
        self._metrics = NotifierMetrics(registry)
        self._backoff = backoff or Backoff()
        self._channels: tuple[Channel, ...] = (
            Webhooks(settings.webhook_secret),
            Mail(settings.smtp_url, settings.mail_from),
        )
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        """Watches that were told to end and close what they have open."""

    def keep(self, monitors: Iterable[str]) -> None:
        """Watch over these monitors and no others; called again and again by their holder."""
        wanted = set(monitors)
        for monitor in self._watches.keys() - wanted:
            task = self._watches.pop(monitor)
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        for monitor in sorted(wanted):
            present = self._watches.get(monitor)
            if present is None or present.done():
                self._metrics.announce(monitor)
                watch = Watch(
                    monitor,
                    self._channels,
                    self._page,
                    broker=self._broker,
                    metrics=self._metrics,
                    backoff=self._backoff,
                )
                self._watches[monitor] = asyncio.create_task(watch.run())

    async def close(self) -> None:
        """Leave all; what is under way is told again by the next holder, under the same ids."""
        self.keep(())
        await asyncio.gather(*self._ending, return_exceptions=True)
        for channel in self._channels:
            await channel.close()
