"""Power and delay: what is anomalous is found, the tables have their intervals, and batches change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from tests.closure.conftest import silent

from nplmon.closure.delay import DETECTORS, STRENGTHS, DelayPlan, delays, streams, summary
from nplmon.closure.power import KINDS, PowerPlan, one_reference, power, separations
from nplmon.closure.workers import Workers
from nplmon.simulators import expo

PLAN = PowerPlan(toys=20, references=2, events=500, chunks=4, reference_events=20_000, centres=100)
DELAY = DelayPlan(
    streams=6, starts=(1, 5), longest=30, events=400, reference_events=20_000, centres=60, toys=2_000
)


def test_a_strong_signal_is_above_the_null() -> None:
    """A strong signal is above the null of the same reference in every statistic; the seed gives the same runs."""
    found = one_reference(PLAN, 0, ("bulk",))

    assert found[""].shape == found["bulk"].shape == (10, len(KINDS))
    assert (found["bulk"].mean(axis=0) > found[""].mean(axis=0)).all()
    again = one_reference(PLAN, 0, ("bulk",))
    np.testing.assert_allclose(found["bulk"], again["bulk"], rtol=1e-5)


def test_the_table_of_powers() -> None:
    """All signals and statistics, each inside its interval; the checks are those promised of t_agg."""
    study = power(PLAN, Workers(1), silent)
    rows = study.data["separations"]

    assert {(one["signal"], one["kind"]) for one in rows} == {(s, k) for s in expo.SIGNALS for k in KINDS}
    assert all(one["low"] <= one["high"] for one in rows)
    assert len(study.checks) == 2 * len(expo.SIGNALS)
    assert "| bulk |" in study.text
    assert len(study.figures["power"]().axes[0].get_yticks()) == len(expo.SIGNALS)


def test_intervals_of_separations_cover() -> None:
    """20 tables with a known Z of 2: 95 % intervals cover it in 16 at least, the binomial's 0.3 % quantile."""
    rng = np.random.default_rng(4)
    inside = 0
    for number in range(20):
        runs = {"": rng.normal(size=(6, 50, 4)), "x": rng.normal(2.0, 1.0, size=(6, 50, 4))}
        inside += sum(one.low <= 2 <= one.high for one in separations(runs, seed=number)[:1])
    assert inside >= 16


def test_delays_are_counted_from_the_start() -> None:
    """With a bulk signal all streams alarm within 30 chunks, wherever it starts, and each part is seeded by itself."""
    study = delays(DELAY, Workers(1), silent)
    rows = {(one["anomaly"], one["start"], one["detector"]): one for one in study.data["delays"]}

    assert len(rows) == len(STRENGTHS) * 2 * len(DETECTORS)
    for (anomaly, _, detector), one in rows.items():
        if anomaly == "bulk":
            assert one["detected"] == one["streams"] - one["early"], detector
            assert 1 <= one["low"] <= one["median"] <= one["high"] <= 30
    assert len(study.figures["delay"]().axes[0].get_yticks()) == 2 * len(STRENGTHS)
    alone = streams(DELAY, 5, 2, 1)
    together = streams(DELAY, 5, 0, 3)
    for anomaly in STRENGTHS:
        np.testing.assert_array_equal(alone[anomaly][0], together[anomaly][2])


def test_streams_without_an_alarm_count_as_later() -> None:
    found = summary("x", 1, "t_score", np.array([3.0, 5.0, np.inf, np.inf, np.inf]))

    assert (found.detected, found.median, found.high) == (2, np.inf, np.inf)
    nobody = summary("x", 4, "t_score", np.array([-1.0, 0.0]))
    assert (nobody.early, nobody.detected) == (2, 0)
    assert np.isnan(nobody.median)


@pytest.mark.slow
def test_the_order_of_powers_on_the_benchmark() -> None:
    """40 runs with 13 events at 4 and 40 without, two references of 100,000: t_agg is well above t_sum.

    In full Z is 3.9 and 1.1, with errors of about 0.6 here.
    """
    plan = PowerPlan(toys=40, references=2, reference_events=100_000)
    found = [one_reference(plan, number, ("13",)) for number in range(2)]
    runs = {name: np.stack([one[name] for one in found]) for name in ("", "13")}
    z = {one.kind: one for one in separations(runs)}

    assert z["t_agg"].low > z["t_sum"].z
    assert 2 < z["t_agg"].z < 6
