"""A real aggregator, killed between a delivery and the move of the place: nothing is lost, an id comes again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.notifier.receivers import Receiver, Request
from tests.notifier.samples import SECRET, a_monitor
from tests.notifier.test_watch import told, until, write

from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore

pytestmark = pytest.mark.anyio

Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def start(store: EmbeddedStore, tmp_path: Path) -> Iterator[Start]:
    """Give a function that starts an aggregator process; all are ended afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def begin() -> subprocess.Popen[bytes]:
        settings = {"REDIS_URL": store.url, "WEBHOOK_SECRET": SECRET, "DATA_DIR": str(tmp_path)}
        environment = os.environ | {f"NPLMON_{name}": value for name, value in settings.items()}
        log = (tmp_path / f"aggregator-{len(started)}.log").open("wb")
        with log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "nplmon.cli", "aggregator"],
                    env=environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
        return started[-1]

    yield begin
    for process in started:
        process.terminate()
        process.send_signal(signal.SIGCONT)  # one that a failed test left standing still
        process.wait(20)


async def held(broker: Broker) -> bool:
    return bool(
        await broker.connection.ask("EXISTS", "nplmon:{dimuon}:aggregator", "nplmon:{dimuon}:notified") == 2
    )


def stands_still(pid: int) -> bool:
    """Tell whether all threads of a process are stopped."""
    states = [path.read_text().rpartition(") ")[2][0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


@pytest.mark.parametrize("answered", [False, True], ids=["before the answer", "after it"])
async def test_nothing_is_lost_with_a_killed_aggregator(
    broker: Broker, receiver: Receiver, start: Start, answered: bool
) -> None:
    """The receiver itself kills it, with the second of three requests in its hands."""
    await broker.monitors.create(a_monitor(webhooks=(receiver.url,)))
    first = start()
    await until(lambda: held(broker), "the monitor is held", 60)
    before = (await broker.connection.ask("GET", "nplmon:{dimuon}:notified")).decode()

    def kill(request: Request) -> None:
        if len(receiver.requests) == 2:
            first.send_signal(signal.SIGSTOP if answered else signal.SIGKILL)
            # The answer must find it standing still, in all its threads, or the next request may go out.
            while answered and not stands_still(first.pid):
                time.sleep(0.001)

    receiver.before_answering = kill
    await write(broker, "warning", "alarm", "acknowledged")
    await until(lambda: len(receiver.requests) == 2, "two are sent", 30)
    if answered:
        # The answer waits in its socket; it never comes to move the place past the second.
        await asyncio.sleep(0.2)
        first.kill()
    assert first.wait(20) == -signal.SIGKILL
    entries = await broker.journal.entries("dimuon")
    place = (await broker.connection.ask("GET", "nplmon:{dimuon}:notified")).decode()
    assert place in {before, entries[0].id}
    start()
    await until(lambda: told(broker), "all is told", 60)
    ids = list(dict.fromkeys(receiver.ids))
    assert len(ids) == 3
    assert receiver.ids[-2:] == ids[1:]
    assert [receiver.kinds[receiver.ids.index(one)] for one in ids] == ["warning", "alarm", "acknowledged"]
    assert receiver.ids.count(ids[1]) == 2
