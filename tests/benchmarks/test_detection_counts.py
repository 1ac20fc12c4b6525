"""What is counted of first alarms: run lengths, delays, whose median is the smallest; the page shows it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from benchmarks.detection import page, report
from benchmarks.detection.run_length import NEVER, calibrated, delay, first_alarm, run_length


def test_a_threshold_is_found_for_a_run_length() -> None:
    """Values that rise by one a chunk: a threshold of 8 alarms at chunk 8."""
    values = np.tile(np.arange(1.0, 21.0), (5, 1))
    found = calibrated(lambda threshold: first_alarm(values, threshold), 20, 8.0, 0.0, 30.0, 40)
    assert 7 < found <= 8
    assert run_length(first_alarm(values, found), 20).mean == 8


def test_a_run_length_has_the_interval_of_its_alarms() -> None:
    """Streams of a constant hazard of 1 / 50: in 95 % of 400 sets of 30 the interval holds 50, binomial 99.9 %."""
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(400):
        first = rng.geometric(1 / 50, size=30)
        found = run_length(np.where(first > 120, NEVER, first), 120)
        held += found.low <= 50 <= found.high
    assert 0.91 <= held / 400 <= 0.985
    none = run_length(np.full(3, NEVER), 10)
    assert (none.mean, none.high) == (math.inf, math.inf)
    assert none.low == pytest.approx(30 / -math.log(0.025))


def test_delays_are_those_of_streams_without_a_false_alarm() -> None:
    """A stream that ends without an alarm counts as longer than any."""
    found = delay(np.array([5, 11, 12, 12, 14, NEVER, NEVER]), 10, 20)
    assert (found.median, found.streams, found.horizon) == (4.0, 6, 10)
    assert found.detected == pytest.approx(4 / 6)
    assert found.false == pytest.approx(1 / 7)
    assert delay(np.array([11, NEVER, NEVER]), 10, 20).median is None
    nobody = delay(np.array([3, 4]), 10, 20)
    assert (nobody.median, nobody.streams, nobody.detected) == (None, 0, 0.0)


def test_the_median_has_an_interval() -> None:
    """Geometric delays of median 7: in 95 % of 400 sets of 30 the interval holds it, or more as it has steps."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(400):
        found = delay(np.minimum(rng.geometric(0.1, size=30), 60), 0, 60)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 7 <= found.high
    assert held / 400 >= 0.92


def result(delays: list[dict[str, float | None]]) -> dict[str, Any]:
    names = {"ours": True, "a": False, "b": False}
    rest = {"low": 1.0, "high": None, "detected": 0.5, "false": 0.0, "streams": 9, "horizon": 9}
    return {
        "problems": [
            {
                "name": "p",
                "detectors": [{"name": name, "ours": ours} for name, ours in names.items()],
                "scenarios": [
                    {"name": "s", "strength": "", "quiet": 0}
                    | {"delays": {name: {"median": median} | rest for name, median in one.items()}}
                    for one in delays
                ],
            }
        ]
    }


def test_the_smallest_median_is_counted_and_ties_are_told_apart() -> None:
    """What nobody detects is no scenario; what a peer alone detects is a loss."""
    body = result(
        [
            {"ours": 1.0, "a": 2.0, "b": None},
            {"ours": 2.0, "a": 2.0, "b": 5.0},
            {"ours": 3.0, "a": 2.0, "b": 5.0},
            {"ours": None, "a": 9.0, "b": None},
            {"ours": None, "a": None, "b": None},
        ]
    )
    (score,) = report.scores(body)
    assert (score.won, score.tied, score.lost, score.share) == (1, 1, 2, 0.5)
    assert [report.fastest(one) for one in body["problems"][0]["scenarios"]] == [
        ["ours"],
        ["ours", "a"],
        ["a"],
        ["a"],
        [],
    ]
    assert "50 %: MISSED" in report.summary(body)
    each = report.against_each(body)
    assert each == {"a": {"ours": 0.5}, "b": {"ours": 1.0}}


def test_runs_are_put_together() -> None:
    """By problem, scenario and detector; the last of what was measured twice counts."""

    def run(problem: str, scenario: str, **delays: float) -> dict[str, Any]:
        found = {"name": scenario, "strength": "", "quiet": 0, "delays": delays}
        body = {"name": problem, "seconds": 2, "scenarios": [found], "curves": []}
        body["detectors"] = [{"name": name} for name in delays]
        return {"machine": scenario, "left out": [f"not {scenario}"], "problems": [body]}

    runs = [run("p", "a", x=1, y=2), run("q", "b", x=3), run("p", "c", x=4, y=5), run("p", "a", y=6, z=7)]
    whole = page.joined(runs)
    first, second = whole["problems"]
    assert (first["name"], second["name"], first["seconds"]) == ("p", "q", 6)
    assert [(one["name"], one["delays"]) for one in first["scenarios"]] == [
        ("a", {"x": 1, "y": 6, "z": 7}),
        ("c", {"x": 4, "y": 5}),
    ]
    assert [one["name"] for one in first["detectors"]] == ["x", "y", "z"]
    assert (whole["machine"], whole["left out"]) == ("a", ["not a", "not b", "not c"])
    assert runs[0] == run("p", "a", x=1, y=2)


def test_the_page_shows_the_measured_tables() -> None:
    body = json.loads(page.MEASURED.read_text(encoding="utf-8"))
    assert page.BEGIN + report.markdown(body) + page.END in page.PAGE.read_text(encoding="utf-8")
    assert not body["quick"]
