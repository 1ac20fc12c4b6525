"""Accepted means counted once, in its place, whatever is killed or paused, and whenever."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from tests.chaos.play import Play
from tests.chaos.schedule import schedule
from tests.chaos.serial import Serial
from tests.chaos.stage import Stage

CHUNKS = 500
FAULTS = 12
SEEDS = range(int(os.environ.get("CHAOS_FIRST", "1")), int(os.environ.get("CHAOS_LAST", "20")) + 1)
EVENTS = {
    f"c{i:03}": np.random.default_rng([6, i]).exponential(size=(40, 1)).astype(np.float32)
    for i in range(CHUNKS)
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def serial() -> Serial:
    return Serial(EVENTS)


@pytest.mark.parametrize("seed", SEEDS)
def test_accepted_is_counted_once(stage: Stage, serial: Serial, tmp_path: Path, seed: int) -> None:
    """Twelve faults in about five seconds while 500 chunks are on their way; then everybody is back.

    Each chunk has one receipt, also where both producers sent it, or one that was killed sent it again. The run has
    500 chunks, none dead, in the order of their receipts, and its statistics are to the last bit those of one process
    that took them in that order. `appendfsync always`: what was answered is on disk when the store is killed.
    """
    events = schedule(seed, FAULTS)
    print(f"seed {seed}", *events, sep="\n")
    play = Play(stage, stage.directory, f"run-{seed}", EVENTS)
    play.begin()
    play.suffer(events)
    receipts = play.wait_sent(90.0)
    play.wait_applied(90.0)
    with stage.client() as client:
        run = client.run("m", play.run)
    assert (run.accepted, run.applied, run.dead) == (CHUNKS, CHUNKS, 0)
    assert sorted(receipts.values()) == list(range(1, CHUNKS + 1))
    history = play.history()
    assert [line.sequence for line in history] == list(range(1, CHUNKS + 1))
    assert {line.chunk: line.sequence for line in history} == receipts
    order = sorted(receipts, key=lambda name: receipts[name])
    found = {kind: one.value for kind, one in history[-1].statistics.items() if kind in KINDS}
    assert found == serial.statistics(order)


KINDS = ("t_chunk", "t_agg", "t_ref", "t_score", "t_sum")
