"""Workers: signs of life of the processes, which expire by themselves."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from nplmon.broker import keys
from nplmon.broker.connection import milliseconds
from nplmon.broker.encoding import from_json, to_json
from nplmon.broker.errors import StoredOtherwise
from nplmon.broker.messages import Worker

if TYPE_CHECKING:
    from nplmon.broker.connection import Connection


class Workers:
    """The trainers and aggregators that live."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def beat(self, worker: Worker, seconds: float) -> None:
        """Give a sign of life that holds for this time."""
        await self._connection.ask(
            "SET", keys.worker(worker.name), to_json(worker), "PX", milliseconds(seconds)
        )

    async def all(self) -> list[Worker]:
        """Give all that live, in order of names."""
        found: dict[str, Worker] = {}
        for name in await self._connection.scan(keys.WORKERS):
            body = await self._connection.ask("GET", name)
            if body is not None:
                with suppress(StoredOtherwise):  # of a version to which the others are being changed
                    worker = from_json(body, Worker)
                    found[worker.name] = worker
        return [found[name] for name in sorted(found)]

    async def gone(self, name: str) -> None:
        """Take the sign of life back, at a graceful end."""
        await self._connection.ask("DEL", keys.worker(name))
