"""A closure from settings to report: what it measures is told with its interval, and what fails is not hidden."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from tests.closure.conftest import silent

from nplmon.closure import Settings, closure
from nplmon.closure.evidence import evidence
from nplmon.closure.lengths import run_lengths, streams
from nplmon.closure.measure import page, summary
from nplmon.closure.samples import EXPO, dimuon
from nplmon.closure.study import Check, Study
from nplmon.closure.uniform import KINDS, Case, judge, uniform
from nplmon.closure.workers import Workers
from nplmon.nplm import Trajectories
from nplmon.offline.errors import AnalysisError

SMALL = Settings(runs=20, streams=20, chunks=2, exposures=(0.5,))


def trajectories(case: Case, log_p: np.ndarray, *, toys: bool = False) -> Trajectories:
    shaped = {kind: log_p.reshape(len(log_p), -1, 1) for kind in KINDS}
    return Trajectories(
        plan=case.plan(toys=toys).digest, numbers=np.arange(len(log_p)), values=shaped, log_p=shaped
    )


def test_a_report_is_written_with_a_plot_of_each_case(tmp_path: Path, muons: str) -> None:
    told: list[str] = []
    settings = Settings(
        studies=("uniform",), runs=20, streams=20, chunks=2, exposures=(0.5,), dimuon=muons, seed=3
    )
    found = closure(settings, tmp_path / "new", lambda what, _done, _total: told.append(what))
    written = json.loads((tmp_path / "new/closure.json").read_text())

    assert written == json.loads(json.dumps(found))
    assert written["settings"]["runs"] == 20
    cases = written["studies"]["uniform"]["cases"]
    assert {(one["sample"], one["source"], one["p_from"]) for one in cases} == {
        (sample, *how)
        for sample in ("EXPO-1D", "dimuon")
        for how in (
            ("disjoint", "closed form"),
            ("fixed-reference", "closed form, one reference"),
            ("fixed-reference", "toys"),
        )
    }
    assert "dimuon, disjoint, exposure 0.5" in told
    text = (tmp_path / "new/closure.md").read_text()
    for number in range(1, 5):
        assert f"](uniform-{number}.png)" in text
        picture = imread(tmp_path / f"new/uniform-{number}.png")[..., :3]
        assert 0.02 < np.mean(picture < 0.9) < 0.9
        assert (tmp_path / f"new/uniform-{number}.pdf").stat().st_size > 5_000
    assert "Not promised, shown" in text


def test_two_processes_find_what_one_finds() -> None:
    """Each run is seeded by its number: how they are divided changes nothing but what fits leave open."""
    cases = [case for case in SMALL.cases() if case.calibrated == "disjoint"]
    one, two = (uniform(cases, Workers(jobs), silent) for jobs in (1, 2))

    for a, b in zip(one.checks, two.checks, strict=True):
        assert (a.what, a.low, a.high) == (b.what, b.low, b.high)
        assert a.value == pytest.approx(b.value, rel=0.02)


def test_what_is_not_uniform_is_outside() -> None:
    """Runs whose p is a twentieth-power too small fail everywhere; uniform ones pass (fixed seed)."""
    case = Case(source=EXPO, calibrated="disjoint", exposure=0.5, runs=1_000, chunks=1, seed=1)
    p = np.random.default_rng(1).uniform(size=(1_000, 1))
    good, bad = (
        [check for one in judge(case, trajectories(case, np.log(x)), None) for check in one.checks()]
        for x in (p, p**1.5)
    )

    assert all(check.passed for check in good)
    assert not any(check.passed for check in bad)
    assert all(check.promised for check in good)


def test_one_reference_is_judged_by_its_toys() -> None:
    """Toys and runs that share a bias are uniform to each other; the closed form is outside, and is not promised."""
    case = Case(source=EXPO, calibrated="fixed-reference", exposure=2, runs=1_000, chunks=1, seed=1)
    rng = np.random.default_rng(2)
    runs, toys = (np.log(rng.uniform(size=(1_000, 1)) ** 1.5) for _ in range(2))
    found = judge(case, trajectories(case, runs), trajectories(case, toys, toys=True))

    for one in found:
        assert one.promised == bool(one.toys)
        assert one.toys in (0, 1_000)
        for check in one.checks():
            assert check.passed == one.promised


def test_the_interval_with_toys_is_that_of_two_samples() -> None:
    """Of 2,000 pairs of 200 toys and 200 runs 1 % at most lie outside a 99 % interval, up to the binomial's 99.9 %."""
    case = Case(source=EXPO, calibrated="fixed-reference", exposure=2, runs=200, chunks=1, seed=1)
    rng = np.random.default_rng(3)
    toys, runs = np.sort(rng.uniform(size=(2_000, 200)), axis=1), rng.uniform(size=(2_000, 200))
    one = judge(case, trajectories(case, np.log(runs[0])), trajectories(case, np.log(toys[0]), toys=True))[1]
    low, high = one.interval(0.05)
    # p <= 0.05 where (1 + k) / 201 is: below the tenth toy.
    inside = np.array([np.count_nonzero(r < t[9]) for r, t in zip(runs, toys, strict=True)])
    outside = np.count_nonzero((inside < low) | (inside > high))

    assert outside <= 38
    assert one.interval(0.001) == (0.0, 200.0)  # 200 toys do not resolve it


def test_the_summary_counts_what_is_promised() -> None:
    checks = [
        Check(what="a", value=1, low=0, high=2, expected=0.99),
        Check(what="b", value=3, low=0, high=2, expected=0.99),
        Check(what="c", value=3, low=0, high=2, expected=0.99, promised=False),
    ]
    study = Study(name="x", title="X", text="y", checks=checks)

    assert summary([study]) == {"checks": 2, "outside": 1, "outside_by_chance": 0.02}
    text = page([study], SMALL)
    assert "| b | 3 | 0 to 2 | no |" in text
    assert text.index("| c |") > text.index("Not promised, shown")


def test_streams_end_at_their_alarm() -> None:
    """Without a limit that can be reached none alarms; with one that always is, all do at once."""
    never, at_once = np.full(5, -1e9), np.zeros(5)

    assert streams(0, 3, 1, never).tolist() == [6, 6, 6]
    assert streams(0, 3, 1, at_once).tolist() == [1, 1, 1]


def test_e_processes_and_run_lengths_are_counted(tmp_path: Path) -> None:
    """20 streams of each: the numbers are there; whether they are right is for more of them."""
    found = evidence(20, 1, Workers(1), silent)
    assert [check.promised for check in found.checks].count(True) == 6
    assert {len(found.data[form]["largest_log_e"]) for form in ("multinomial", "two-sample")} == {20}
    lengths = run_lengths(20, 1, Workers(1), silent)
    assert len(lengths.data["chunks"]) == 20
    assert lengths.checks[0].value == pytest.approx(np.mean(lengths.data["chunks"]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"studies": ("powers",)}, "no study 'powers'"),
        ({"runs": 19}, "19 runs"),
        ({"streams": 1}, "1 streams"),
        ({"jobs": 0}, "0 jobs"),
        ({"toys": 7}, "7 toys"),
        ({"exposures": ()}, "exposures"),
        ({"exposures": (0.5, -1.0)}, "positive"),
    ],
)
def test_settings_that_are_none_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        Settings(**settings)  # type: ignore[arg-type]  # that is what is tested


def test_a_file_that_is_too_small_is_refused(muons: str) -> None:
    with pytest.raises(AnalysisError, match="578,443 events, but 600,000 are needed"):
        dimuon(muons).parts(1, 600_000)
