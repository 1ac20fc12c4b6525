"""The pace of a process: over the last minute, told with each sign of life."""

import asyncio

import pytest
from tests.broker.test_workers import a_worker

from nplmon.broker import Broker
from nplmon.broker.life import keep_beating
from nplmon.broker.messages import Worker
from nplmon.broker.pace import Pace


def test_pace_is_that_of_the_last_minute() -> None:
    """Ten chunks a second for two minutes, then none: the pace falls over a minute and is zero after it."""
    pace = Pace()
    assert pace.per_second(0.0, 0) is None
    told = {at: pace.per_second(float(at), 10 * min(at, 120)) for at in range(2, 200, 2)}
    assert told[2] == told[120] == pytest.approx(10.0)
    assert told[150] == pytest.approx(5.0, abs=0.4)
    assert told[184] == 0.0


@pytest.mark.anyio
async def test_signs_of_life_tell_the_pace(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nplmon.broker.life.BEAT_SECONDS", 0.02)
    told = []

    async def beat(worker: Worker, _: float) -> None:
        told.append(worker.chunks_per_second)
        if len(told) == 2:
            enough.set()

    enough = asyncio.Event()
    monkeypatch.setattr(broker.workers, "beat", beat)
    beating = asyncio.create_task(keep_beating(broker, lambda: a_worker("a")))
    async with asyncio.timeout(5.0):
        await enough.wait()
    assert told[:2] == [None, 0.0]
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
