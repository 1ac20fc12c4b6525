"""A backup under load: what was accepted before it is counted once, and the rest when it is sent again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis
from tests.keys import leaks
from tests.road.test_exactly_once import assert_equals_serial
from tests.road.travel import CHUNKS, EVENTS, Road
from tests.up.running import alive, wait_until

from nplmon.broker.embedded import EmbeddedStore
from nplmon.client import Client
from nplmon.client.records import Receipt

pytestmark = pytest.mark.timeout(180)


def nplmon(*arguments: str | Path) -> str:
    """Run a command as a process of its own."""
    command = [sys.executable, "-c", "import nplmon.cli; nplmon.cli.main()", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_all_is_lost_but_the_backup(road: Road, tmp_path: Path) -> None:
    road.begin("saved")
    first: dict[str, Receipt] = {}
    saved = threading.Event()

    def produce() -> None:
        with Client(road.client.url, deadline=60.0) as client:
            for i, (name, events) in enumerate(EVENTS.items()):
                if i == 30:
                    saved.wait(60)
                if i == 40:
                    return
                first[name] = client.push("m", "saved", events, chunk=name)
                time.sleep(0.1)

    producer = threading.Thread(target=produce)
    producer.start()
    road.wait_applied(3)
    accepted = dict(first)
    assert "all that was accepted before is in it" in nplmon(
        "backup", tmp_path / "b", "--data-dir", road.data
    )
    unsure = set(list(EVENTS)[: len(first) + 1])
    saved.set()
    producer.join(60)
    assert len(first) == 40 > len(unsure)
    store = EmbeddedStore(road.data)
    server = store.pid
    doomed = [server, *(road.pid(role) for role in ("api", "trainer", "aggregator"))]
    road.up.process.kill()
    road.up.process.wait()
    for pid in doomed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(alive, doomed)), "the end of all")
    shutil.rmtree(road.data)

    said = nplmon("restore", tmp_path / "b", "--data-dir", road.data)
    assert "monitors: m" in said
    road.start()
    again = {name: road.client.push("m", "saved", events, chunk=name) for name, events in EVENTS.items()}
    known = {name for name in first if again[name].accepted_at == first[name].accepted_at}
    assert set(accepted) <= known <= unsure
    assert {again[name].sequence for name in known} == set(range(1, len(known) + 1))
    road.receipts = again
    road.wait_applied(CHUNKS)
    assert_equals_serial(road)
    with Redis.from_url(road.store) as redis:
        assert list(leaks(redis)) == []
