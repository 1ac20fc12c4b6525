"""Every accepted chunk is in the statistic once and in its place, whatever is killed on the way."""

from __future__ import annotations

import os
import signal

import pytest
from redis import Redis
from tests.keys import leaks
from tests.road.travel import CHUNKS, Road

KINDS = {"t_chunk", "t_agg", "t_ref", "t_score", "t_sum"}
EXACT = {"log_e", "log_sr", "log_cusum"}
APPROXIMATE = {f"{kind}_poisson" for kind in EXACT}

pytestmark = pytest.mark.timeout(180)


def assert_equals_serial(road: Road) -> None:
    """Fifty applied, numbered from 1 to 50 in the order of the receipts, each value that of the serial computation.

    Both sides run the same core in one thread, so that all sums are taken in the same order and agree to the last
    bit where the processor is the same; a chunk left out, counted twice or out of order moves t in its first digits.
    The monitor's place in the pool is behind the events that one run through it uses: none twice, none passed over.
    The approximate e-processes end with the exposure budget.
    """
    run = road.state
    assert (run.accepted, run.applied, run.dead) == (CHUNKS, CHUNKS, 0)
    history = road.history()
    assert [line.sequence for line in history] == list(range(1, CHUNKS + 1))
    assert {line.chunk: line.sequence for line in history} == {
        name: receipt.sequence for name, receipt in road.receipts.items()
    }
    found = [{kind: one.value for kind, one in line.statistics.items()} for line in history]
    serial, evidence = road.serial()
    assert len(serial) == len(evidence) == CHUNKS
    for line, values, expected, bets in zip(history, found, serial, evidence, strict=True):
        assert set(values) == KINDS | EXACT | APPROXIMATE
        where = f"at sequence number {line.sequence}"
        assert {kind: values[kind] for kind in KINDS} == pytest.approx(expected, rel=1e-9), where
        told = {kind for kind in EXACT | APPROXIMATE if values[kind] is not None}
        assert told >= EXACT
        assert {kind: values[kind] for kind in told} == pytest.approx(
            {kind: bets[kind] for kind in told}, rel=1e-9, abs=1e-8
        ), where
    assert road.pool_used == evidence[-1]["pool_used"]


def test_two_producers_and_duplicates(road: Road) -> None:
    road.produce("calm")
    road.wait_sent()
    road.wait_applied(CHUNKS)
    assert_equals_serial(road)


def test_kill_9_of_trainer_and_aggregator(road: Road) -> None:
    trainer = road.pid("trainer")
    os.kill(trainer, signal.SIGSTOP)  # so that there is a queue to be killed in
    road.produce("wild")
    road.wait_sent()
    os.kill(trainer, signal.SIGCONT)
    road.wait_applied(5)
    road.kill("trainer")
    assert road.applied < CHUNKS
    road.wait_applied(road.applied + 5)
    road.kill("aggregator")
    assert road.applied < CHUNKS
    road.wait_applied(CHUNKS)
    assert_equals_serial(road)


def test_kill_9_of_the_service(road: Road) -> None:
    """The producers go on while there is no service: their clients try again."""
    road.produce("cut")
    road.wait_applied(2)
    assert road.applied < CHUNKS
    road.up.process.kill()
    road.up.process.wait()
    road.start()
    road.wait_sent()
    road.wait_applied(CHUNKS)
    assert_equals_serial(road)


def test_nothing_is_left_behind(road: Road) -> None:
    """After all that: each key is documented, and has an owner or an end."""
    with Redis.from_url(road.store) as redis:
        assert redis.exists("nplmon:{m}:run:cut:state")
        assert list(leaks(redis)) == []
