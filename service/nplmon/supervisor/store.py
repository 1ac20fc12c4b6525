"""The store under the service: the embedded one, watched and restarted, or the one that was given."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from nplmon.supervisor.errors import SupervisorError

if TYPE_CHECKING:
    from nplmon.broker.embedded import EmbeddedStore

PATIENCE = 5.0
"""How long a given store may take to answer at the start, in s."""
SILENCE_LIMIT = 3
"""Failed pings in a row after which the embedded store is taken to be dead."""


def masked(url: str) -> str:
    """Give the URL without its credentials.

    Examples
    --------
    >>> masked("redis://monitor:secret@store:6379/0")
    'redis://***@store:6379/0'
    """
    parts = urlsplit(url)
    credentials, at, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"***@{place}" if at and credentials else parts.netloc).geturl()


class Store:
    """The store that all roles speak to.

    Parameters
    ----------
    data_dir:
        Where the embedded store keeps its append-only file and its socket.
    given:
        Address of a store that somebody else runs; None starts the embedded one.
    """

    def __init__(self, data_dir: Path, given: str | None) -> None:
        self._data_dir = data_dir
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

        self._embedded = EmbeddedStore(self._data_dir)
        try:
            await asyncio.to_thread(self._embedded.start)
        except Exception as error:
            raise SupervisorError(
                f"the embedded store does not start in {self._data_dir}: {error}"
            ) from error
        self._url = self._embedded.url

    async def _wait_for_given(self, url: str) -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not await self._answers():
            if asyncio.get_running_loop().time() > deadline:
                raise SupervisorError(
                    f"no store answers at {masked(url)}: start it, or correct NPLMON_REDIS_URL"
                )
            await asyncio.sleep(0.2)

    async def _answers(self) -> bool:
        from nplmon.broker import Broker, StoreUnreachable  # noqa: PLC0415  # redis is not in the bare install

        broker = Broker.connect(self._url)
        try:
            await asyncio.wait_for(broker.ping(), 2.0)
        except (StoreUnreachable, TimeoutError):
            return False
        finally:
            await broker.close()
        return True

    async def watch(self) -> None:
        """Start the embedded store again when it has died; never returns."""
        speak = structlog.get_logger().bind(child="store")
        failures = 0
        while True:
            await asyncio.sleep(1.0)
            if self._embedded is None:
                continue
            failures = 0 if await self._answers() else failures + 1
            if failures < SILENCE_LIMIT:
                continue
            speak.error("the store does not answer and is started again", pings=failures)
            try:
                await asyncio.to_thread(self._embedded.start)
            except Exception as error:  # noqa: BLE001  # tried again in a moment, whatever it was
                speak.error("the store did not start", error=str(error))
            else:
                failures = 0

    async def stop(self) -> None:
        """Stop the embedded store with its append-only file flushed; a given one is left alone."""
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.stop)
