"""What one chunk or one stuck process may do to the others: nothing."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest
from tests.chaos.roles import CRASHES, RAISES, SLEEPS, SLOW_SECONDS
from tests.chaos.stage import Stage

from nplmon.client import Client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

DELIVERIES = 3


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Make a stage on which a chunk is given up after three deliveries."""
    stage = Stage(tmp_path_factory.mktemp("poison"), deliveries=DELIVERIES)
    try:
        stage.start()
        stage.make_monitor()
        yield stage
    finally:
        stage.clean_up()


def events(first: float | None = None) -> np.ndarray:
    """Draw a chunk; its first event tells the trainers of this stage what to do."""
    drawn = np.random.default_rng(7).exponential(size=(40, 1)).astype(np.float32)
    if first is not None:
        drawn[0, 0] = first
    return drawn


def until(true: object, what: str, seconds: float = 60.0, stage: Stage | None = None) -> None:
    """Wait; with a stage, the trainers that died are started again meanwhile."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        if stage is not None:
            for name in ("trainer-1", "trainer-2"):
                stage.start_role(name)
        time.sleep(0.05)


def ended(client: Client, run: str, chunks: int) -> bool:
    state = client.run("m", run)
    return state.applied + state.dead == chunks


def test_a_chunk_that_crashes_its_worker_is_given_up_and_the_others_go_on(stage: Stage) -> None:
    """Each delivery ends a trainer; after three the chunk is a dead letter, by crash, and can be replayed."""
    with stage.client() as client:
        for name, body in (("a", events()), ("poison", events(CRASHES)), ("b", events()), ("c", events())):
            client.push("m", "poisoned", body, chunk=name)
        until(lambda: ended(client, "poisoned", 4), "four ended", stage=stage)
        (death,) = [one for one in client.dead("m") if one.receipt.run == "poisoned"]
        assert (death.receipt.chunk, death.reason, death.deliveries) == ("poison", "crash", DELIVERIES)
        state = client.run("m", "poisoned")
        assert (state.accepted, state.applied, state.dead) == (4, 3, 1)
        history = client.history("m", "poisoned").entries
        assert [line.state for line in history] == ["applied", "dead", "applied", "applied"]
        assert not history[1].statistics

        again = client.replay("m", "poisoned", "poison")
        assert again.sequence == 5
        until(lambda: ended(client, "poisoned", 5), "the replay ended", stage=stage)
        assert client.run("m", "poisoned").dead == 2, "it is as poisonous as before"


def test_an_exception_is_no_crash(stage: Stage) -> None:
    with stage.client() as client:
        client.push("m", "raised", events(RAISES), chunk="wrong")
        client.push("m", "raised", events(), chunk="right")
        until(lambda: ended(client, "raised", 2), "both ended", stage=stage)
        (death,) = [one for one in client.dead("m") if one.receipt.run == "raised"]
        assert (death.reason, death.deliveries) == ("exception", DELIVERIES)
        assert "ArithmeticError: this chunk cannot be fitted" in death.error


def test_a_slow_fit_is_not_a_dead_worker(stage: Stage) -> None:
    """A fit of four leases stays with its trainer, for it renews outside the fit; the other one finishes the rest."""
    with stage.client() as client:
        client.push("m", "slow", events(SLEEPS), chunk="slow")
        for i in range(5):
            client.push("m", "slow", events(), chunk=f"c{i}")
        until(lambda: client.chunk("m", "slow", "c4").state in {"fitted", "applied"}, "the others fitted")
        assert client.chunk("m", "slow", "slow").state == "leased"
        until(lambda: ended(client, "slow", 6), "all ended")
        line = client.history("m", "slow").entries[0]
        assert (line.chunk, line.state) == ("slow", "applied")
        assert line.applied_at - line.accepted_at > SLOW_SECONDS
        assert not any('"run": "slow"' in stage.last_words(name) for name in ("trainer-1", "trainer-2"))
        assert not [one for one in client.dead("m") if one.receipt.run == "slow"]


def test_a_stopped_worker_loses_its_lease_and_its_late_result_is_refused(stage: Stage) -> None:
    """SIGSTOP in the middle of a fit: the chunk is fitted elsewhere, once, and the late result changes nothing."""
    with stage.client() as client:
        client.push("m", "stopped", events(SLEEPS), chunk="c")
        until(lambda: client.chunk("m", "stopped", "c").state == "leased", "the lease")
        holder = owner(stage)
        stage.signal(holder, signal.SIGSTOP)
        other = {"trainer-1": "trainer-2", "trainer-2": "trainer-1"}[holder]
        until(lambda: owner(stage) == other, "the take-over")
        until(lambda: ended(client, "stopped", 1), "fitted elsewhere")
        snapshot = client.statistic("m", "stopped").snapshot
        stage.signal(holder, signal.SIGCONT)
        until(lambda: refused(stage, holder, "stopped"), "the late result")
        # Lost where the renewal hears of it first, a duplicate where the result comes first.
        assert refused(stage, holder, "stopped") <= {"lost", "duplicate"}
        assert client.statistic("m", "stopped").snapshot == snapshot
        client.push("m", "stopped", events(), chunk="d")
        until(lambda: ended(client, "stopped", 2), "the worker that was stopped or the other goes on")


def owner(stage: Stage) -> str | None:
    """Give the trainer that holds the one chunk in work, None if there is none."""
    with stage.redis() as redis:
        held = redis.xpending_range("nplmon:{m}:work", "trainers", "-", "+", 10)
    pids = {stage.pid(name): name for name in ("trainer-1", "trainer-2")}
    names = [
        pids.get(int(one["consumer"].decode().split("-")[-2])) for one in held if b"-" in one["consumer"]
    ]
    return names[0] if names else None


def refused(stage: Stage, name: str, run: str) -> set[str]:
    """Give how chunks of a run ended at a trainer that did not finish them."""
    lines = (stage.directory / f"{name}.log").read_text(encoding="utf-8").splitlines()
    found = (json.loads(line) for line in lines if "not finished here" in line)
    return {line["outcome"] for line in found if line["run"] == run}


def test_a_paused_aggregator_is_fenced(stage: Stage) -> None:
    """The holder of the monitor stands still longer than its hold: another goes on, and it cannot write any more."""
    with stage.client() as client:
        client.push("m", "fenced", events(), chunk="c0")
        until(lambda: ended(client, "fenced", 1), "the first chunk")
        holder = holding(stage)
        stage.signal(holder, signal.SIGSTOP)
        for i in range(1, 21):
            client.push("m", "fenced", events(), chunk=f"c{i}")
        until(lambda: ended(client, "fenced", 21), "another aggregator goes on")
        assert holding(stage) != holder
        snapshot = client.statistic("m", "fenced").snapshot
        stage.signal(holder, signal.SIGCONT)
        client.push("m", "fenced", events(), chunk="c21")
        until(lambda: ended(client, "fenced", 22), "the last chunk")
        history = client.history("m", "fenced").entries
        assert [line.sequence for line in history] == list(range(1, 23))
        assert snapshot is not None
        assert snapshot.sequence == 21


def holding(stage: Stage) -> str:
    """Give the aggregator that may write."""
    with stage.redis() as redis:
        held = redis.get("nplmon:{m}:aggregator")
    assert held is not None
    pids = {stage.pid(name): name for name in ("aggregator-1", "aggregator-2")}
    return pids[int(held.decode().split(" ")[0].split("-")[-2])]
