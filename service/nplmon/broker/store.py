"""The store itself: what it is, and how full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What the store says of itself."""

    kind: Literal["redis", "valkey"]
    version: str
    memory_bytes: int
    """Used now, of all nodes of a cluster."""
    memory_limit_bytes: int | None
    """None where there is no limit but the machine's."""
    append_only: bool
    """Whether each change is written to a file, so that it survives a restart."""


class Store:
    """The server behind the broker."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def info(self) -> StoreInfo:
        """Give what the store says of itself."""
        nodes = await self._connection.ask_nodes("INFO")
        said = nodes[0]
        valkey = said.get("valkey_version")
        return StoreInfo(
            kind="redis" if valkey is None else "valkey",
            version=str(said["redis_version"] if valkey is None else valkey),
            memory_bytes=sum(int(node["used_memory"]) for node in nodes),
            memory_limit_bytes=sum(int(node.get("maxmemory", 0)) for node in nodes) or None,
            append_only=all(node.get("aof_enabled", 0) for node in nodes),
        )
