"""Audit: who changed what, over all monitors; also of what is deleted with its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from nplmon.broker import keys
from nplmon.broker.access_messages import AuditEntry
from nplmon.broker.encoding import from_json, to_json

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection

KEPT = 100_000
"""About so many entries stay."""


class Audit:
    """The one audit stream."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def append(self, entry: AuditEntry) -> None:
        """Write one entry; its id and time are the store's."""
        body = to_json(msgspec.structs.replace(entry, id="", at=0.0))
        await self._connection.ask("XADD", keys.AUDIT, "MAXLEN", "~", KEPT, "*", "entry", body)

    async def latest(self, count: int, before: str | None = None) -> list[AuditEntry]:
        """Give the last `count` entries before the one of this id, the newest first."""
        if before is not None and set(before) <= set("0-"):
            return []  # the store refuses to look before its first id
        last = "+" if before is None else f"({before}"
        found = await self._connection.ask("XREVRANGE", keys.AUDIT, last, "-", "COUNT", count)
        return [_entry(*one) for one in found]


def _entry(place: bytes, fields: dict[bytes, bytes]) -> AuditEntry:
    stored = from_json(fields[b"entry"], AuditEntry)
    return msgspec.structs.replace(stored, id=place.decode(), at=int(place.split(b"-")[0]) / 1000)
