"""The connection to the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError

from nplmon.broker.errors import StoreUnreachable, translated

if TYPE_CHECKING:
    from redis.asyncio import RedisCluster
    from redis.asyncio.client import PubSub

T = TypeVar("T")

SOCKET_SECONDS = 30.0
"""A reply may take this long; must exceed `BLOCK_SECONDS`, or blocking reads would be cut."""
BLOCK_SECONDS = 20.0
"""Longest blocking read."""
LOOK_SECONDS = 0.05
"""Between two looks at the streams of several monitors on a cluster."""
PING_SECONDS = 2.0
_FIRST_AND_LAST_SLOT = ("nplmon:{3560}:monitor", "nplmon:{39296}:monitor")
"""Keys that each role may read, in the slots 0 and 16383 of a cluster: no node of several has both."""


class Connection:
    """A pool of connections whose errors are ours.

    Big values need no packer of their own: the asyncio connection of redis-py never packs with hiredis; it hands
    values over 6 kB to the socket as they are.
    """

    one_slot = False
    """Whether the keys of one command must be in one slot, also those of a blocking read."""

    def __init__(self, redis: Redis | RedisCluster) -> None:
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
        return await self._run(command, *arguments)

    async def ask_nodes(self, command: str, *arguments: str | float) -> list[Any]:
        """Run one command that names no key on each server that holds data; give all replies.

        Raises
        ------
        StoreUnreachable
            If one gives no answer.
        """
        return [await self._run(command, *arguments)]

    async def scan(self, pattern: str) -> list[bytes]:
        """Give the names of all keys of a pattern, in no order; those that come or go meanwhile may be missing.

        Raises
        ------
        StoreUnreachable
            If the store gives no answer.
        """
        found: set[bytes] = set()
        cursor: int | None = None
        while cursor != 0:
            cursor, names = await self.ask("SCAN", cursor or 0, "MATCH", pattern, "COUNT", 1000)
            found.update(names)
        return list(found)

    async def _run(self, command: str, *arguments: Any, **where: Any) -> Any:  # noqa: ANN401 (as of `ask`)
        run: Any = self._redis.execute_command
        task = asyncio.current_task()
        cancellations = task.cancelling() if task is not None else 0
        try:
            reply = await run(command, *arguments, **where)
        except (RedisError, RedisClusterException) as error:
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
            If none comes within two seconds, or what answers is one node of a cluster.
        """
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self._beckon()
        except TimeoutError as error:
            message = f"the store gives no answer within {PING_SECONDS:g} s"
            raise StoreUnreachable(message) from error

    async def _beckon(self) -> None:
        await self.ask("PING")
        for key in _FIRST_AND_LAST_SLOT:
            await self.ask("EXISTS", key)

    def subscription(self) -> PubSub:
        """Give a subscription, which holds a connection of its own until it is closed."""
        subscription: PubSub = self._redis.pubsub(ignore_subscribe_messages=True)
        return subscription

    async def close(self) -> None:
        """Close all connections; subscriptions end within a second."""
        self.closed = True
        await self._redis.aclose()


def connect(url: str) -> Connection:
    """Open a pool; the first command connects.

    Parameters
    ----------
    url
        `redis://`, `rediss://` or `unix://`; for a cluster of several nodes `redis+cluster://` or `rediss+cluster://`
        with the address of any node.

    Raises
    ------
    ValueError
        If the address has another scheme.
    """
    if url.startswith(("redis+cluster://", "rediss+cluster://")):
        from nplmon.broker.cluster import ClusterConnection  # noqa: PLC0415  # it is a connection itself

        return ClusterConnection(url.replace("+cluster", "", 1))
    # A lost connection is tried again at once: each atomic change gives the same effect when it is repeated.
    retry = Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.02), 3, (RedisConnectionError,))
    return Connection(Redis.from_url(url, retry=retry, **OPTIONS))


OPTIONS: Mapping[str, Any] = {
    # Replies of streams have another shape in protocol 3.
    "protocol": 2,
    "decode_responses": False,
    "socket_timeout": SOCKET_SECONDS,
    "socket_connect_timeout": PING_SECONDS,
    # Each blocking read and each subscription holds a connection of its own.
    "max_connections": 10_000,
}
"""Of all connections, also those to the nodes of a cluster."""


async def looked_at(look: Callable[[], Awaitable[list[T]]], seconds: float) -> list[T]:
    """Look again and again until there is something, or the time is over.

    In place of a blocking read of streams in several slots, which a cluster refuses.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while not (found := await look()):
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            break
        await asyncio.sleep(min(LOOK_SECONDS, left))
    return found


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
