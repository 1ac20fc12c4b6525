"""How many chunks pass until a ledger raises a false alarm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import interpolate
from tests.aggregator.samples import (
    EVENTS,
    a_fit,
    a_ledger,
    a_monitor,
    a_receipt,
    basis,
    calibration,
    chunk,
    sample,
)

from nplmon.aggregator import statistic
from nplmon.aggregator.evidence import Fresh
from nplmon.aggregator.judge import Judge
from nplmon.aggregator.ledger import Ledger
from nplmon.broker.messages import AlarmPolicy, Fit, WidthFit
from nplmon.nplm.null import Nulls
from nplmon.nplm.trajectory import null_trajectories

LONGEST = 60


def a_judge(run_length: float) -> Judge:
    """Give the closed form for run lengths of an alarm and, a tenth of it, of a warning."""
    return Judge(closed=calibration("shape", (run_length, max(2.0, run_length / 10))))


def crossings(judge: Judge, streams: int, chunks: int, seed: int) -> np.ndarray:
    """Give the first chunk at which p reaches the judge's threshold in streams under H0; `chunks` where none does."""
    t = null_trajectories(basis(), "shape", [float(EVENTS)] * chunks, streams, np.random.default_rng(seed))
    null = Nulls(basis=basis(), mode="shape").chunk(float(EVENTS))
    exposure = 1 + EVENTS * np.arange(1, chunks + 1) / basis().effective_events
    nodes = np.linspace(null.mean / 20, null.mean + 12 * null.deviation, 80)
    table = interpolate.PchipInterpolator(nodes, [null.log_tail(x) for x in nodes])
    log_p = table(np.clip(t * (exposure[0] / exposure), nodes[0], nodes[-1]))
    limits = [judge.rule("t_score", n, float(EVENTS)).limits.alarm for n in range(1, chunks + 1)]
    crossed = log_p <= np.array(limits)
    return np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, chunks)


def test_false_alarms_are_as_far_apart_as_asked_for() -> None:
    """ERT 50, 1,000 streams: a geometric mean of 50 +- 1.6, and 3 % for the toys of the thresholds: 44 to 56."""
    found = crossings(a_judge(50.0), 1_000, 500, 3)
    assert 44 <= found.mean() <= 56


def test_other_thresholds_give_another_run_length() -> None:
    """Thresholds of half the run length: 25, far below the interval of the test above. That test can fail."""
    found = crossings(a_judge(25.0), 500, 500, 3)
    assert 20 <= found.mean() <= 30


def a_stream(rng: np.random.Generator, ledger: Ledger) -> int:
    """Give the chunk at which a ledger alarms on scores drawn under H0, each stream with its reference's error."""
    mu, m = basis().second_moment, basis().mean_feature
    root = np.linalg.cholesky(np.diag(mu) - np.outer(m, m) + 1e-9 * np.diag(mu))
    error = root @ rng.standard_normal(mu.size) / basis().effective_events ** 0.5
    events = {i: np.ones((EVENTS, 2), dtype="<f4").tobytes() for i in range(1, LONGEST + 1)}
    for first in range(0, LONGEST, 10):
        fits: list[Fit] = []
        for i in range(first + 1, first + 11):
            score = EVENTS**0.5 * (root @ rng.standard_normal(mu.size)) - EVENTS * error
            one = WidthFit(
                coefficients=np.zeros(mu.size).tobytes(),
                score=score.tobytes(),
                t_chunk=1.0,
                iterations=1,
                decrement=0.0,
            )
            fits.append(
                Fit(
                    receipt=a_receipt(i),
                    widths=(one,),
                    fit_seconds=0.0,
                    trainer="t",
                    device="cpu",
                    finished_at=1.0,
                )
            )
        page = ledger.apply(list(fits), events, 1.0)
        if page.snapshot.alarm.level == "alarm":
            assert page.snapshot.alarm.sequence is not None
            return page.snapshot.alarm.sequence
    return LONGEST


@pytest.mark.slow
def test_a_ledger_raises_a_false_alarm_every_so_many_chunks() -> None:
    """ERT 10 through whole ledgers, 30 streams: a mean of 10 +- 1.8, within three of these.

    With the thresholds at half of their values nearly every stream alarms at its first chunk.
    """
    policy, rng = AlarmPolicy(expected_run_length=10, warning_run_length=2), np.random.default_rng(4)
    lengths = [a_stream(rng, a_ledger(a_monitor(alarm=policy))) for _ in range(30)]
    assert 4.6 <= np.mean(lengths) <= 15.4


def test_halved_thresholds_alarm_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above fails when thresholds are halved: five streams, on average below three chunks."""
    real = statistic.reached
    monkeypatch.setattr(statistic, "reached", lambda null, tails: [t / 2 for t in real(null, tails)])
    policy, rng = AlarmPolicy(expected_run_length=10, warning_run_length=2), np.random.default_rng(4)
    lengths = [a_stream(rng, a_ledger(a_monitor(alarm=policy))) for _ in range(5)]
    assert np.mean(lengths) < 3


def test_an_e_detector_decides_where_it_is_chosen() -> None:
    """Chunks of another distribution: t_score is past its threshold at once, but the alarm waits for e-SR."""
    policy = AlarmPolicy(expected_run_length=20, warning_run_length=5, statistic="log_sr")
    ledger, pool, used = a_ledger(a_monitor(alarm=policy)), sample(20_000, 99), 0
    for i in range(1, 31):
        events = (chunk(i) * 1.5).astype(np.float32)
        fresh = Fresh(events=pool[used:], left=len(pool) - used, pooled=True)
        page = ledger.apply([a_fit(i, events)], {i: events.tobytes()}, 1.0, fresh)
        used += page.pool_used
        one = page.snapshot.statistics["log_sr"]
        assert one.value is not None
        assert one.threshold == pytest.approx(math.log(20))
        assert page.snapshot.deciding == "log_sr"
        assert (page.snapshot.alarm.level == "alarm") == (one.value >= one.threshold)
        if page.snapshot.alarm.level == "alarm":
            break
    assert page.snapshot.alarm.kind == "log_sr"
    assert page.snapshot.alarm.rule.endswith("at most one false alarm in 20 chunks (e-detector, exact)")


def test_without_a_pool_an_e_detector_stands_still_and_says_so() -> None:
    """No number of it looks valid, and t_score beside it raises nothing."""
    policy = AlarmPolicy(expected_run_length=4, warning_run_length=2, statistic="log_sr")
    ledger = a_ledger(a_monitor(alarm=policy))
    for i in range(1, 5):
        events = (chunk(i) * 1.5).astype(np.float32)
        page = ledger.apply([a_fit(i, events)], {i: events.tobytes()}, 1.0)
    one = page.snapshot.statistics["log_sr"]
    assert (one.state, one.value, one.threshold) == ("stopped", None, None)
    assert page.snapshot.alarm.level == "ok"
