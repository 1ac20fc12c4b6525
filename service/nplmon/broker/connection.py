"""The connection to the store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from nplmon.broker.errors import StoreUnreachable, translated

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub

SOCKET_SECONDS = 30.0
"""A reply may take this long; must exceed `BLOCK_SECONDS`, or blocking reads would be cut."""
BLOCK_SECONDS = 20.0
"""Longest blocking read."""
PING_SECONDS = 2.0


class Connection:
    """A pool of connections whose errors are ours.

    Big values need no packer of their own: the asyncio connection of redis-py never packs with hiredis; it hands
    values over 6 kB to the socket as they are.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.closed = False

    async def ask(self, command: str, *arguments: str | float | bytes | memoryview) -> Any:  # noqa: ANN401 (each command has its own kind of reply)
        """Run one command; text in the reply is bytes.

        Raises
        ------
        StoreUnreachable
            If the store gives no answer.
        StoreFull
            If it refuses writes.
        """
        run: Any = self._redis.execute_command
        task = asyncio.current_task()
        cancellations = task.cancelling() if task is not None else 0
        try:
            reply = await run(command, *arguments)
        except RedisError as error:
            ours = translated(error)
            if ours is error:
                raise
            raise ours from error
        if task is not None and task.cancelling() > cancellations:
            # Up to Python 3.11, asyncio.wait_for (redis-py sends with it) can swallow a cancellation.
            raise asyncio.CancelledError
        return reply

    async def alive(self) -> None:
        """Ask for a sign of life, without the patience of other commands.

        Raises
        ------
        StoreUnreachable
            If none comes within two seconds.
        """
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self.ask("PING")
        except TimeoutError as error:
            message = f"the store gives no answer within {PING_SECONDS:g} s"
            raise StoreUnreachable(message) from error

    def subscription(self) -> PubSub:
        """Give a subscription, which holds a connection of its own until it is closed."""
        return self._redis.pubsub(ignore_subscribe_messages=True)

    async def close(self) -> None:
        """Close all connections; subscriptions end within a second."""
        self.closed = True
        await self._redis.aclose()


def connect(url: str) -> Connection:
    """Open a pool; the first command connects.

    Parameters
    ----------
    url
        `redis://`, `rediss://` or `unix://`.

    Raises
    ------
    ValueError
        If the address has another scheme.
    """
    # A lost connection is tried again at once: each atomic change gives the same effect when it is repeated.
    retry = Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.02), 3, (RedisConnectionError,))
    redis = Redis.from_url(
        url,
        # Replies of streams have another shape in protocol 3.
        protocol=2,
        decode_responses=False,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=PING_SECONDS,
        # Each blocking read and each subscription holds a connection of its own.
        max_connections=10_000,
        retry=retry,
    )
    return Connection(redis)


def milliseconds(seconds: float) -> int:
    """Give a duration in whole milliseconds, at least one.

    Examples
    --------
    >>> milliseconds(0.25), milliseconds(0.0)
    (250, 1)
    """
    return max(1, round(seconds * 1000))


def block_milliseconds(seconds: float) -> int:
    """Give the time of a blocking read, cut to what the socket waits for.

    Examples
    --------
    >>> block_milliseconds(3600.0)
    20000
    """
    return milliseconds(min(seconds, BLOCK_SECONDS))
