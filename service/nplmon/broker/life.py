"""Signs of life of a process, until it ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from nplmon.broker.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nplmon.broker.broker import Broker
    from nplmon.broker.messages import Worker

BEAT_SECONDS = 2.0
EXPIRY_SECONDS = 3.5 * BEAT_SECONDS


async def keep_beating(broker: Broker, sign: Callable[[], Worker]) -> None:
    """Give a sign of life every two seconds; take it back when cancelled.

    A store that does not answer is no reason to stop: the process itself waits for it and says so.
    """
    try:
        while True:
            with suppress(BrokerError):
                await broker.workers.beat(sign(), EXPIRY_SECONDS)
            await asyncio.sleep(BEAT_SECONDS)
    finally:
        with suppress(BrokerError):
            await broker.workers.gone(sign().name)
