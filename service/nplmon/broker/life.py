"""Signs of life of a process, until it ends."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from nplmon.broker.errors import BrokerError
from nplmon.broker.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from nplmon.broker.broker import Broker
    from nplmon.broker.messages import Worker

BEAT_SECONDS = 2.0
EXPIRY_SECONDS = 3.5 * BEAT_SECONDS


async def keep_beating(
    broker: Broker, sign: Callable[[], Worker], told: Callable[[str], None] = lambda _: None
) -> None:
    """Give a sign of life every two seconds, with the pace of the last minute; take it back when cancelled.

    A store that does not answer is no reason to stop: the process itself waits for it and says so. `told` hears after
    each beat what went wrong, "" where nothing did.
    """
    pace = Pace()
    try:
        while True:
            present = sign()
            per_second = pace.per_second(time.monotonic(), present.chunks)
            try:
                await broker.workers.beat(
                    msgspec.structs.replace(present, chunks_per_second=per_second), EXPIRY_SECONDS
                )
                told("")
            except BrokerError as error:
                told(str(error))
            await asyncio.sleep(BEAT_SECONDS)
    finally:
        with suppress(BrokerError):
            await broker.workers.gone(sign().name)
