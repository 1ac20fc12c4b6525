"""Signs of life."""

import asyncio

import pytest

from nplmon.broker import Broker
from nplmon.broker.messages import Worker

pytestmark = pytest.mark.anyio


def a_worker(name: str, seen_at: float = 1.0) -> Worker:
    return Worker(
        name=name,
        role="trainer",
        device="cpu",
        host="h",
        pid=1,
        metrics_port=0,
        started_at=1.0,
        seen_at=seen_at,
    )


async def test_workers_are_seen_until_they_fall_silent_or_leave(broker: Broker) -> None:
    assert await broker.workers.all() == []
    await broker.workers.beat(a_worker("b"), 10.0)
    await broker.workers.beat(a_worker("b", 2.0), 10.0)
    await broker.workers.beat(a_worker("c"), 10.0)
    await broker.workers.beat(a_worker("a"), 0.05)
    assert await broker.workers.all() == [a_worker("a"), a_worker("b", 2.0), a_worker("c")]
    await asyncio.sleep(0.1)
    await broker.workers.gone("c")
    await broker.workers.gone("never seen")
    assert await broker.workers.all() == [a_worker("b", 2.0)]
