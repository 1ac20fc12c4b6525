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
    """Used now."""
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
        said = await self._connection.ask("INFO")
        valkey = said.get("valkey_version")
        return StoreInfo(
            kind="redis" if valkey is None else "valkey",
            version=str(said["redis_version"] if valkey is None else valkey),
            memory_bytes=int(said["used_memory"]),
            memory_limit_bytes=int(said.get("maxmemory", 0)) or None,
            append_only=bool(said.get("aof_enabled", 0)),
        )
