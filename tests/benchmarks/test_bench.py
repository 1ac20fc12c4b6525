"""The benchmarks run and write what they promise; no time is asserted."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks import clock, drift, environment, logistic_falkon, page
from benchmarks.__main__ import measured
from benchmarks.measurement import MEASUREMENTS, find
from benchmarks.problem import PROBLEMS, Problem, expo_1d
from benchmarks.row import Goal, Row
from benchmarks.table import table
from rich.console import Console

ROOT = Path(__file__).parents[2]
QUICK = ["--quick", "--offline", "--problems", "expo"]
OURS = ["fit", "toys", "processes"]
ALIBI = """
import numpy as np


class MMDDrift:
    def __init__(self, events, backend, n_permutations):
        print("printed among the answers")
        if len(events) > 1000 * n_permutations:
            raise RuntimeError("not enough memory")

    def predict(self, events):
        return {"data": {"p_val": np.float32(0.5)}}


LSDDDrift = MMDDrift
"""


@pytest.fixture(scope="module")
def problem() -> Problem:
    return expo_1d(quick=True)


@pytest.fixture
def alibi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package of the same interface where alibi-detect's environment would be."""
    package = tmp_path / "alibi_detect"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "cd.py").write_text(ALIBI, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(environment, "python", lambda **_: Path(sys.executable))


def printed(row: Row) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(table([row], "title"))
    return console.export_text()


def test_a_quick_run_writes_all_rows(tmp_path: Path) -> None:
    into = tmp_path / "results" / "bench.json"
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", *QUICK, "--into", str(into), "--only", *OURS],
        check=False,  # told below, with what it said
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    result = json.loads(into.read_text(encoding="utf-8"))
    assert result["quick"]
    assert {"processor", "cores", "date", "load", "versions"} <= set(result["machine"])
    rows = [Row.from_json(row) for row in result["rows"]]
    assert [row.to_json() for row in rows] == result["rows"]
    cpu = [row for row in rows if row.device == "cpu"]
    assert [str(row.goal) for row in cpu] == ["<= 20", "<= 30", ">= 3", ">= 1.8"]
    for row in rows:
        assert (row.failed, row.skipped, row.met) == ("", "", None)
        assert row.ratio is not None
        assert 0 < row.ratio.low <= row.ratio.median <= row.ratio.high
        assert row.milliseconds is not None
        assert row.milliseconds.best > 0
        assert row.peak_megabytes is not None
        assert 0 < row.peak_megabytes < 2_000
        assert row.work.split(",")[0] in ended.stdout


def test_a_preparation_is_shown_apart(problem: Problem) -> None:
    (row,) = find("preparation")(problem, 1, 0.0)
    assert (row.unit, str(row.goal)) == ("fits", "<= 5000 ms")
    assert row.ratio is not None
    assert row.ratio.low == row.ratio.median == row.ratio.high


@pytest.mark.parametrize(("name", "goal"), [("half", "0.45 to 0.6"), ("aggregation", "<= 1.2")])
def test_a_ratio_of_times_is_measured(problem: Problem, name: str, goal: str) -> None:
    (row,) = find(name)(problem, 1, 0.0)
    assert (row.unit, str(row.goal)) == ("x the time", goal)
    assert row.ratio is not None


def test_a_failed_measurement_is_a_row_and_an_exit_code() -> None:
    (row,) = measured("fit", "nothing", quick=True)
    assert "invalid choice" in row.failed
    assert row.met is None
    assert "failed" in printed(row)


def test_all_measurements_and_problems_can_be_found() -> None:
    assert all(callable(find(name)) for name in MEASUREMENTS)
    for make in PROBLEMS.values():
        made = make(quick=True)
        assert len({len(chunk) for chunk in made.chunks}) >= 1
        assert all(chunk.shape[1] == made.reference.shape[1] for chunk in made.chunks)


def test_subjects_are_timed_in_turn() -> None:
    called: list[str] = []
    subjects = {
        name: clock.Subject(run=lambda name=name: called.append(name), units=2)  # type: ignore[misc]  # bound at once
        for name in "ab"
    }
    times = clock.interleaved(subjects, 2)
    assert "".join(called) == "abbaab"
    assert [len(one) for one in times.values()] == [2, 2]


def test_a_ratio_pairs_what_was_measured_side_by_side() -> None:
    figure = clock.quotient([2.0, 40.0, 6.0], [1.0, 10.0, 2.0])
    assert (figure.median, figure.best) == (3.0, 2.0)
    assert 2.0 < figure.low < 3.0 < figure.high < 4.0
    assert figure.scaled(2).median == 6.0
    assert clock.duration([0.002, 0.004]).median == 3.0


@pytest.mark.parametrize(
    ("goal", "said", "met", "missed"),
    [
        (Goal(high=20), "<= 20", 20.0, 20.1),
        (Goal(low=1.8), ">= 1.8", 1.8, 1.7),
        (Goal(low=0.45, high=0.6), "0.45 to 0.6", 0.5, 0.44),
    ],
)
def test_a_goal_is_met_or_missed(goal: Goal, said: str, met: float, missed: float) -> None:
    assert str(goal) == said
    assert goal.met(met)
    assert not goal.met(missed)
    figure = clock.quotient([missed], [1.0])
    row = Row(work="w", compared="c", ratio=figure, goal=goal)
    assert row.met is False
    assert "MISSED" in printed(row)


def test_a_goal_in_ms_is_held_against_the_time() -> None:
    goal = Goal(high=5, of="milliseconds")
    row = Row(work="w", compared="c", ratio=clock.quotient([9.0], [1.0]), goal=goal)
    assert row.met is None
    assert Row(work="w", compared="c", goal=goal, milliseconds=clock.duration([0.004])).met


@pytest.mark.usefixtures("alibi")
def test_a_drift_detector_is_compared(problem: Problem) -> None:
    (row,) = find("mmd")(problem, 1, 0.0)
    assert row.ratio is not None
    assert (row.unit, row.skipped) == ("x our time", "")
    assert row.note == "4,000 reference events, ours 4,000; 100 permutations"


@pytest.mark.usefixtures("alibi")
def test_the_largest_reference_of_a_detector_is_found(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "REFERENCE", 1_000)
    (row,) = find("mmd-largest")(problem, 1, 0.0)
    assert row.ratio is not None
    assert row.ratio.median == 4.0
    assert row.note == "MMDDrift took 1,000 events, 2,000 do not fit; ours 4,000"


def test_without_its_environment_a_detector_is_skipped(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = environment.python
    monkeypatch.setattr(
        environment, "python", lambda **options: made(place=tmp_path / ".venv-alibi", **options)
    )
    for name in ("lsdd", "mmd", "mmd-largest"):
        (row,) = find(name)(problem, 1, 0.0)
        assert row.skipped == ".venv-alibi is not installed, and --offline forbids to install it"


def test_an_installation_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(command: list[str]) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="noise\nERROR: No matching distribution")

    monkeypatch.setattr(environment, "_run", fails)
    with pytest.raises(environment.UnavailableError, match="installed: ERROR: No matching distribution"):
        environment.python(place=tmp_path)


def test_an_environment_of_the_same_versions_is_kept(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(environment.REQUIREMENTS.read_bytes())
    assert environment.python(place=tmp_path) == tmp_path / "bin" / "python"


def test_falkon_is_skipped_where_it_is_absent(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "falkon", None)
    (row,) = find("falkon")(problem, 1, 0.0)
    assert "cannot be imported" in row.skipped
    assert str(row.goal) == ">= 1000"


def test_falkon_gets_the_same_problem(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    class LogisticFalkon:
        def __init__(self, **settings: object) -> None:
            seen.update(settings)

        def fit(self, x: torch.Tensor, y: torch.Tensor) -> None:
            seen.update(x=x, y=y)

        def predict(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros((len(x), 1), dtype=x.dtype)

    def keep(**settings: object) -> dict[str, object]:
        return settings

    fake = types.SimpleNamespace(
        kernels=types.SimpleNamespace(GaussianKernel=keep),
        gsc_losses=types.SimpleNamespace(WeightedCrossEntropyLoss=keep),
        FalkonOptions=keep,
        LogisticFalkon=LogisticFalkon,
    )
    monkeypatch.setitem(sys.modules, "falkon", fake)
    (row,) = logistic_falkon.falkon(problem, 1, 0.0)
    assert row.ratio is not None
    assert row.note.startswith("t 0.00, ours ")
    assert seen["M"] == problem.centres
    assert seen["kernel"] == {"sigma": problem.sigma}
    assert seen["loss"]["neg_weight"] == problem.expected / len(problem.reference)
    assert int(seen["y"].sum()) == len(problem.chunks[0])
    reference = seen["x"][seen["y"][:, 0] == 0].numpy()
    np.testing.assert_allclose((reference.mean(), reference.std()), (0, 1), atol=1e-9)


def test_the_page_shows_the_measured_figures() -> None:
    result = json.loads(page.MEASURED.read_text(encoding="utf-8"))
    assert page.BEGIN + page.figures(result) + page.END in page.PAGE.read_text(encoding="utf-8")
    assert not result["quick"]
