"""The notifier in a thread of its own, so that no receiver can hold up who holds the monitors."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog

from nplmon.broker import Broker
from nplmon.notifier.notifier import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import CollectorRegistry

    from nplmon.settings import Settings

LOOK_UPS = 64
"""Names of receivers that are looked up at a time. The library does it in threads and cannot be interrupted there."""
CLOSE_SECONDS = 5.0

log = structlog.get_logger()


class NotifierThread:
    """A notifier with an event loop, threads for look-ups, and a connection to the store that are its own.

    Parameters
    ----------
    store:
        Address of the store.
    settings, registry:
        As for `Notifier`.
    """

    def __init__(self, store: str, settings: Settings, registry: CollectorRegistry) -> None:
        self._store = store
        self._settings = settings
        self._registry = registry
        self._ready = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    async def start(self) -> None:
        """Begin, without a monitor."""
        self._thread.start()
        await asyncio.to_thread(self._ready.wait)

    def keep(self, monitors: Iterable[str]) -> None:
        """Watch over these monitors and no others; see `Notifier.keep`."""
        self._loop.call_soon_threadsafe(self._notifier.keep, frozenset(monitors))

    async def close(self) -> None:
        """Leave all; see `Notifier.close`. A look-up that hangs is not waited for."""
        if self._ready.is_set() and not self._closed.is_set():
            self._loop.call_soon_threadsafe(self._stop.set)
            await asyncio.to_thread(self._closed.wait, CLOSE_SECONDS)

    def _run(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_default_executor(ThreadPoolExecutor(LOOK_UPS, "notifier"))
        broker = Broker.connect(self._store)
        self._notifier = Notifier(broker, self._settings, self._registry)
        self._ready.set()
        try:
            await self._stop.wait()
            await self._notifier.close()
            await broker.close()
        except Exception as error:  # nobody waits for this thread
            log.exception("notifier not closed", error=str(error))
        finally:
            self._closed.set()
