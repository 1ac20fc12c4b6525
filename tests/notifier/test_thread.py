"""The notifier's thread: what its receivers keep waiting is nothing that others wait for."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.notifier.receivers import Receiver
from tests.notifier.samples import SECRET, a_monitor
from tests.notifier.test_watch import told, until, write

from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore
from nplmon.notifier import NotifierThread
from nplmon.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick")]

SLOW = 3.0


@pytest.fixture
async def notifier(store: EmbeddedStore) -> AsyncIterator[NotifierThread]:
    notifier = NotifierThread(store.url, Settings(webhook_secret=SECRET), CollectorRegistry())
    await notifier.start()
    yield notifier
    await notifier.close()


async def test_it_keeps_watch_until_it_is_closed(
    broker: Broker, receiver: Receiver, notifier: NotifierThread
) -> None:
    await broker.monitors.create(a_monitor(webhooks=(receiver.url,)))
    await broker.notifications.begin("dimuon")
    notifier.keep(["dimuon"])
    await write(broker, "alarm")
    await until(lambda: told(broker), "it is told")
    notifier.keep([])
    await asyncio.sleep(0.1)
    await write(broker, "acknowledged")
    await asyncio.sleep(0.2)
    assert receiver.kinds == ["alarm"]
    notifier.keep(["dimuon"])
    await until(lambda: told(broker), "the rest is told")
    await notifier.close()
    assert receiver.kinds == ["alarm", "acknowledged"]


async def test_names_that_nobody_answers_for_hold_up_nobody(
    broker: Broker, receiver: Receiver, notifier: NotifierThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than an event loop has threads for look-ups on a small machine."""
    real = socket.getaddrinfo
    asked: list[str] = []

    def look_up(host: Any, *arguments: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name.endswith(".invalid"):
            asked.append(name)
            time.sleep(SLOW)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return real(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    names = {f"receiver-{i}.invalid" for i in range(19)}
    silent = [f"http://{name}/" for name in sorted(names)]
    await broker.monitors.create(a_monitor(webhooks=(*silent, receiver.url)))
    await broker.notifications.begin("dimuon")
    notifier.keep(["dimuon"])
    await write(broker, "alarm")
    start = time.monotonic()
    await until(lambda: set(asked) == names, "all are looked up", SLOW / 2)
    # What the aggregator computes in threads of its own event loop:
    await asyncio.to_thread(int)
    await until(lambda: receiver.requests, "the one that answers is told", SLOW / 2)
    assert time.monotonic() - start < SLOW
