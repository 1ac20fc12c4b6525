"""A lane: tries, waits and ends, whatever its channel does."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from tests.notifier.samples import a_monitor, a_notice

from nplmon.broker import Broker
from nplmon.notifier.backoff import Backoff
from nplmon.notifier.channel import ChannelName
from nplmon.notifier.errors import TryLater
from nplmon.notifier.lane import Lane
from nplmon.notifier.metrics import NotifierMetrics
from nplmon.notifier.notice import Notice

pytestmark = pytest.mark.anyio


class Odd:
    """A channel that does as it is told."""

    name: ChannelName = "webhook"

    def __init__(self, *, deaf: bool = False, broken: bool = False) -> None:
        self.asked = asyncio.Event()
        self._deaf = deaf
        self._broken = broken

    def missing(self) -> str:
        return ""

    def shown(self, address: str) -> str:
        return f"webhook {address}"

    async def deliver(self, address: str, notice: Notice) -> None:
        self.asked.set()
        if self._broken:
            raise ZeroDivisionError
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if not self._deaf:
                raise
            # As a library does that takes a cancellation for a lost connection.
            self._deaf = False
            raise TryLater("connection lost") from None

    async def close(self) -> None:
        """Close nothing."""


def a_lane(broker: Broker, channel: Odd) -> Lane:
    return Lane(
        "dimuon",
        channel,
        "a",
        broker=broker,
        metrics=NotifierMetrics(CollectorRegistry()),
        backoff=Backoff(),
        wanted=lambda: True,
    )


@pytest.mark.parametrize("deaf", [False, True])
async def test_it_ends_in_the_middle_of_a_delivery(broker: Broker, deaf: bool) -> None:
    channel = Odd(deaf=deaf)
    lane = a_lane(broker, channel)
    ended = lane.deliver(a_notice())
    await channel.asked.wait()
    assert not lane.idle
    async with asyncio.timeout(5):
        await lane.close()
    assert not ended.done()


async def test_a_channel_with_a_fault_fails_aloud_and_the_next_is_tried(broker: Broker) -> None:
    await broker.monitors.create(a_monitor())
    lane = a_lane(broker, Odd(broken=True))
    for _ in range(2):
        await asyncio.wait_for(lane.deliver(a_notice()), 5)
    assert lane.idle
    entries = await broker.journal.entries("dimuon")
    # The same twice in a row is one entry.
    assert [entry.text for entry in entries] == [
        "alarm not told to webhook a: unexpected ZeroDivisionError, see the log of the aggregator"
    ]
    await lane.close()


def test_waits_grow_and_are_no_shorter_than_asked_for() -> None:
    backoff = Backoff(first=1.0, longest=60.0, tries=8, patience=600.0)
    for tried, whole in enumerate((1, 2, 4, 8, 16, 32, 60, 60), 1):
        waits = {backoff.wait(tried) for _ in range(50)}
        assert len(waits) > 1
        assert whole / 2 <= min(waits) <= max(waits) <= whole
    assert backoff.wait(1, 90.0) == 90.0
    assert backoff.wait(1, 90_000.0) == 600.0
