"""Roles start in any order and stop cleanly, one after the other, while chunks are on their way."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.chaos.roles import SLEEPS
from tests.chaos.stage import ROLES, Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CHUNKS = 300


def chunk(first: float | None = None) -> np.ndarray:
    events = np.random.default_rng(11).exponential(size=(40, 1)).astype(np.float32)
    if first is not None:
        events[0, 0] = first
    return events


def until(true: object, what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def ready(url: str) -> tuple[int, dict[str, object]]:
    """Give status and body of /readyz; status 0 while nobody listens."""
    try:
        answer = httpx.get(f"{url}/readyz", trust_env=False, timeout=10.0)
    except httpx.TransportError:
        return 0, {}
    return answer.status_code, answer.json()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, metrics=True)
    yield stage
    stage.clean_up()


@pytest.mark.parametrize("order", [ROLES, ROLES[::-1]], ids=["forwards", "backwards"])
def test_roles_wait_for_the_store_and_say_so(stage: Stage, order: tuple[str, ...]) -> None:
    """All roles are there before the store: each says that it waits for it, and works as soon as it comes."""
    for name in order:
        stage.start_role(name)
    until(lambda: ready(stage.url)[0] == 503, "the API says that it is not ready")
    assert ready(stage.url)[1] == {"ready": False, "store": "unreachable", "trainers": 0, "aggregators": 0}
    for name in ROLES[1:]:
        until(lambda name=name: ready(stage.metrics(name))[0] == 503, f"{name} says that it is not ready")
        assert ready(stage.metrics(name))[1]["reason"]
        assert httpx.get(f"{stage.metrics(name)}/healthz", trust_env=False).json() == {"status": "ok"}
    stage.start_store()
    until(lambda: ready(stage.url)[1].get("trainers") == 2, "two trainers")
    for name in ROLES[1:]:
        until(lambda name=name: ready(stage.metrics(name)) == (200, {"ready": True, "reason": ""}), name)
    stage.make_monitor()
    with stage.client() as client:
        client.wait_applied("m", "a", client.push("m", "a", chunk()).sequence)


def test_sigterm_finishes_the_chunk_in_hand(stage: Stage) -> None:
    """A fit of four seconds: the trainer ends after it, in order, and no other one had to take the chunk over."""
    stage.start("api", "trainer-1", "aggregator-1")
    stage.make_monitor()
    with stage.client() as client:
        receipt = client.push("m", "a", chunk(SLEEPS), chunk="slow")
        until(lambda: client.chunk("m", "a", "slow").state == "leased", "the lease")
        stage.signal("trainer-1", signal.SIGTERM)
        stage.process("trainer-1").join(30.0)
        assert stage.process("trainer-1").exitcode == 0
        client.wait_applied("m", "a", receipt.sequence)
        stage.start_role("trainer-1")
        client.wait_applied("m", "a", client.push("m", "a", chunk(), chunk="next").sequence)
    assert "chunk not finished here" not in stage.last_words("trainer-1")


def test_a_rolling_restart_loses_nothing(stage: Stage) -> None:
    """Each role is stopped by SIGTERM and started again, twice, while two producers push.

    The producers hear of it no more than that their client tries again. No result is lost to another trainer: what was
    in hand was finished or handed back.
    """
    stage.start()
    stage.make_monitor()
    failures: list[BaseException] = []

    def produce(share: range) -> None:
        try:
            with stage.client() as client:
                for i in share:
                    client.push("m", "rolling", chunk(), chunk=f"c{i}")
                    time.sleep(0.02)
        except BaseException as error:  # noqa: BLE001  # told where the test waits
            failures.append(error)

    producers = [threading.Thread(target=produce, args=(range(i, CHUNKS, 2),)) for i in (0, 1)]
    for producer in producers:
        producer.start()
    for name in (*ROLES, *ROLES):
        stage.signal(name, signal.SIGTERM)
        stage.process(name).join(30.0)
        assert stage.process(name).exitcode == 0, stage.last_words(name)
        stage.start_role(name)
        time.sleep(0.2)
    for producer in producers:
        producer.join(60.0)
    assert failures == []
    with stage.client() as client:
        client.wait_applied("m", "rolling", CHUNKS, timeout=60.0)
        run = client.run("m", "rolling")
        lines = client.history("m", "rolling", limit=10_000).entries
    assert (run.accepted, run.applied, run.dead) == (CHUNKS, CHUNKS, 0)
    assert {line.chunk for line in lines} == {f"c{i}" for i in range(CHUNKS)}
    lost = [
        line
        for name in ("trainer-1", "trainer-2")
        for line in (stage.directory / f"{name}.log").read_text(encoding="utf-8").splitlines()
        if json.loads(line).get("outcome") == "lost"
    ]
    assert lost == []
