"""An emptied store, a monitor, and receivers on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.notifier.receivers import Receiver

from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore
from nplmon.notifier import watch


@pytest.fixture
async def broker(store: EmbeddedStore) -> AsyncIterator[Broker]:
    broker = Broker.connect(store.url)
    await broker.connection.ask("FLUSHALL")
    yield broker
    await broker.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def other() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the journals more often than once a second."""
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.02)
