"""The store under the service: the embedded one, watched and restarted, or the one that was given."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from nplmon.broker import Broker, BrokerError
from nplmon.supervisor.errors import SupervisorError

if TYPE_CHECKING:
    from nplmon.broker.embedded import AppendFsync, EmbeddedStore

PATIENCE = 5.0
"""How long a given store may take to answer at the start, in s."""


def masked(url: str) -> str:
    """Give the URL without its credentials.

    Examples
    --------
    >>> masked("redis://monitor:secret@store:6379/0")
    'redis://***@store:6379/0'
    """
    place = urlsplit(url).netloc
    credentials, _, host = place.rpartition("@")
    return url.replace(place, f"***@{host}", 1) if credentials else url


class Store:
    """The store that all roles speak to.

    Parameters
    ----------
    data_dir:
        Where the embedded store keeps its append-only file and its socket.
    given:
        Address of a store that somebody else runs; None starts the embedded one.
    appendfsync:
        Of the embedded one: when it lets the disk keep what it wrote.
    """

    def __init__(self, data_dir: Path, given: str | None, appendfsync: AppendFsync | None = None) -> None:
        self._data_dir = data_dir
        self._appendfsync = appendfsync
        self._given = given
        self._embedded: EmbeddedStore | None = None
        self._url = given or ""

    @property
    def url(self) -> str:
        """Address of the store; known after `start`."""
        return self._url

    @property
    def embedded(self) -> bool:
        """Whether the store is ours to start and to stop."""
        return self._given is None

    async def start(self) -> None:
        """Start or attach to the embedded store, or wait for the given one to answer.

        Raises
        ------
        SupervisorError
            If there is no answer.
        """
        if self._given is not None:
            await self._wait_for_given(self._given)
            return
        from nplmon.broker.embedded import EmbeddedStore  # noqa: PLC0415  # not needed with a given store

        try:
            self._embedded = EmbeddedStore(self._data_dir, appendfsync=self._appendfsync)
            await asyncio.to_thread(self._embedded.start)
        except (BrokerError, OSError) as error:
            raise SupervisorError(f"embedded store does not start in {self._data_dir}: {error}") from error
        self._url = self._embedded.url

    async def _wait_for_given(self, url: str) -> None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + PATIENCE
        while complaint := await self._complaint():
            if clock() > deadline:
                raise SupervisorError(
                    f"no store at {masked(url)} ({complaint}): start it, or correct NPLMON_REDIS_URL"
                )
            await asyncio.sleep(0.2)

    async def _complaint(self) -> str:
        """Ping once, and say why there was no answer; "" if there was one."""
        try:
            broker = Broker.connect(self._url)
        except ValueError as error:
            raise SupervisorError(f"NPLMON_REDIS_URL: {error}") from error
        try:
            await broker.ping()
        except BrokerError as error:
            return str(error)
        finally:
            await broker.close()
        return ""

    async def watch(self) -> None:
        """Start the embedded store again when it has died; never returns."""
        speak = structlog.get_logger().bind(child="store")
        while True:
            await asyncio.sleep(1.0)
            if self._embedded is None:
                continue
            complaint = await self._complaint()
            if not complaint:
                continue
            speak.error("the store does not answer", error=complaint)
            try:
                # Harmless where it lives and was only slow: then this waits for it.
                await asyncio.to_thread(self._embedded.start)
            except (BrokerError, OSError) as error:
                speak.error("the store does not start", error=str(error))
            else:
                speak.info("the store answers again")

    async def stop(self) -> None:
        """Stop the embedded store with its append-only file flushed; a given one is left alone."""
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.stop)
