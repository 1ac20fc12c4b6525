"""The connection to a cluster of several nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisClusterException, RedisError

from nplmon.broker.connection import OPTIONS, Connection
from nplmon.broker.errors import translated

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub
    from redis.asyncio.cluster import ClusterNode


class ClusterConnection(Connection):
    """Connections to all nodes; each command goes to the one that has its key.

    A command whose key moved to another node follows it, and one whose node is gone waits for its successor: each
    atomic change gives the same effect when it is repeated.

    Parameters
    ----------
    url
        Of any node, `redis://` or `rediss://`.
    """

    one_slot = True

    def __init__(self, url: str) -> None:
        retry = Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.02), 3)
        self._cluster = RedisCluster.from_url(url, retry=retry, **OPTIONS)
        self._url = url
        self._listeners: dict[str, Redis] = {}
        super().__init__(self._cluster)

    async def ask(self, command: str, *arguments: str | float | bytes | memoryview) -> Any:  # noqa: ANN401 (each command has its own kind of reply)
        """Run one command on the node that has its key; one without a key on any.

        Raises
        ------
        StoreUnreachable
            If the node gives no answer, or no node serves the key.
        StoreFull
            If it refuses writes.
        """
        if command == "TIME":
            return await self._run(command, *arguments, target_nodes=RedisCluster.RANDOM)
        return await self._run(command, *arguments)

    async def ask_nodes(self, command: str, *arguments: str | float) -> list[Any]:
        """Run one command that names no key on each primary; give all replies."""
        return [await self._run(command, *arguments, target_nodes=node) for node in await self._primaries()]

    async def scan(self, pattern: str) -> list[bytes]:
        """Give the names of all keys of a pattern, of all nodes."""
        found: set[bytes] = set()
        for node in await self._primaries():
            cursor: int | None = None
            while cursor != 0:
                cursors, names = await self._run(
                    "SCAN", cursor or 0, "MATCH", pattern, "COUNT", 1000, target_nodes=node
                )
                cursor = cursors[node.name]
                found.update(names)
        return list(found)

    def subscription(self) -> PubSub:
        """Give a subscription at one node: what is published anywhere is sent to all."""
        options: dict[str, Any] = {**OPTIONS, **parse_url(self._url)}
        node = self._cluster.get_default_node()
        if node is not None:
            options |= {"host": node.host, "port": node.port}
        place = f"{options.get('host')}:{options.get('port')}"
        if place not in self._listeners:
            self._listeners[place] = Redis(connection_pool=ConnectionPool(**options))
        return self._listeners[place].pubsub(ignore_subscribe_messages=True)

    async def close(self) -> None:
        """Close all connections; subscriptions end within a second."""
        await super().close()
        # The client leaves them open where it would have asked for the nodes again at the next command.
        for nodes in ("nodes_cache", "startup_nodes"):
            await self._cluster.nodes_manager.aclose(nodes)
        for listener in self._listeners.values():
            await listener.connection_pool.aclose()

    async def _beckon(self) -> None:
        await self.ask_nodes("PING")

    async def _primaries(self) -> list[ClusterNode]:
        try:
            await self._cluster.initialize()
        except (RedisError, RedisClusterException) as error:
            raise translated(error) from error
        return self._cluster.get_primaries()
