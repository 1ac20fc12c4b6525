"""The comparison of detectors: streams and statistics are right; a run writes what it promises."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import environment
from benchmarks.detection import __main__ as command
from benchmarks.detection import alibi, report, skab, sources
from benchmarks.detection.evidence import Evidences
from benchmarks.detection.other import OtherProcess
from benchmarks.detection.ours import Score, Toys
from benchmarks.detection.plain import ChunkKS, Dummy
from benchmarks.detection.problem import Problem, Streams
from benchmarks.detection.rivers import Adwin, Kswin, PageHinkley, River
from benchmarks.detection.run_length import first_alarm
from numpy.typing import NDArray
from scipy import stats

from nplmon.nplm.basis import gaussian_kernel
from nplmon.nplm.null import Nulls

RIVER = """
class ADWIN:
    def __init__(self, delta):
        self.limit, self.drift_detected = delta, False

    def update(self, value):
        self.drift_detected = value > self.limit


class KSWIN:
    def __init__(self, alpha, window_size, stat_size, seed, window):
        self.window, self.p_value = list(window), 1.0

    def update(self, value):
        self.p_value = 1.0 / (1.0 + len(self.window))


class PageHinkley:
    def __init__(self, delta):
        self.delta = delta

    def update(self, value):
        self._test_both(value, -value - self.delta)
"""


@pytest.fixture(scope="module")
def source() -> sources.Source:
    return sources.expo_1d(quick=True)


@pytest.fixture(scope="module")
def problem(source: sources.Source) -> Problem:
    return source.problem


@pytest.fixture(scope="module")
def quiet(problem: Problem) -> Streams:
    return Streams.drawn(problem, 4, 6, [1])


@pytest.fixture(scope="module")
def streams(source: sources.Source, quiet: Streams) -> Streams:
    return quiet.followed(source.scenarios[0].disturbed(source.problem, 3, 2, 0), 4)


def unavailable(**_: object) -> Path:
    raise environment.UnavailableError("there is none")


def test_a_quick_run_writes_tables_and_says_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "python", unavailable)
    monkeypatch.setattr(environment, "river", unavailable)
    monkeypatch.setattr(sources, "DATA", tmp_path)
    into = tmp_path / "results" / "detection.json"
    asked = ["--quick", "--offline", "--problems", "expo", "cms", "--scenarios", "tail", "--into", str(into)]
    monkeypatch.setattr(sys, "argv", ["detection", *asked])
    command.main()
    result = json.loads(into.read_text(encoding="utf-8"))
    assert result["left out"] == [
        f"CMS order: there is no {tmp_path / 'cms_open_data' / 'dimuons_100k.hdf5'}"
    ]
    (found,) = result["problems"]
    assert found["left out"] == ["alibi-detect: there is none", "river: there is none"]
    names = [one["name"] for one in found["detectors"]]
    assert [one["ours"] for one in found["detectors"]] == 5 * [True] + 2 * [False]
    assert len(found["scenarios"]) == 2 * command.QUICK_SCENARIOS
    assert all(list(scenario["delays"]) == names for scenario in found["scenarios"])
    printed = capsys.readouterr().out
    assert printed == report.markdown(result)
    assert all(name in printed for name in [*names, "CMS order", "alibi-detect"])


def test_the_sums_of_a_stream_are_those_of_its_events(problem: Problem, streams: Streams) -> None:
    """They would not be if blocks, or parts of unequal sizes, were cut at a wrong event."""
    width = problem.widths[0]
    sums, basis = streams.sums(width), problem.basis(width)
    for stream in range(streams.count):
        for chunk, events in enumerate(streams.events(stream)):
            assert len(events) == streams.counts[stream, chunk]
            psi = basis.features(events).sum(axis=0, dtype=np.float64)
            np.testing.assert_allclose(sums[stream, chunk], psi, rtol=1e-4, atol=1e-3)


def test_every_detector_gets_the_same_events_before_and_after_a_change(
    source: sources.Source, quiet: Streams, streams: Streams
) -> None:
    again = quiet.followed(source.scenarios[0].disturbed(source.problem, 3, 2, 0), 4)
    for stream in range(3):
        for one, other, calm in zip(
            streams.events(stream), again.events(stream), quiet.events(stream), strict=True
        ):
            np.testing.assert_array_equal(one, other)
            assert one is not calm
        np.testing.assert_array_equal(streams.events(stream)[3], quiet.events(stream)[3])


def test_our_p_values_are_those_of_the_core(problem: Problem, quiet: Streams) -> None:
    toys = Toys(problem, quiet.length)
    (width,) = problem.widths[-1:]
    look = Score(toys, [width], windows=False)
    one, basis = toys.scored[width], problem.basis(width)
    seen = look.seen({width: one.scores(quiet.sums(width), quiet.counts)}, quiet.counts)
    score = quiet.sums(width)[0].sum(axis=0) - quiet.counts[0].sum() * basis.mean_feature
    n, lam = quiet.length, float(problem.events)
    penalty = n * (lam * basis.second_moment + basis.penalty(lam))
    a = score / penalty
    t = 2 * score @ a - n * lam * (basis.second_moment * a) @ a
    h = lam * basis.second_moment / (lam * basis.second_moment + basis.penalty(lam))
    null = Nulls(basis=basis, mode="shape").aggregated(n * lam, h, h**2)
    assert seen[0, -1] == pytest.approx(-null.log_tail(float(t)), rel=1e-3, abs=1e-3)


def test_windows_see_a_late_change_that_the_whole_run_dilutes(problem: Problem) -> None:
    """At the run's end: the window's p is of the disturbed chunk alone."""
    toys = Toys(problem, 17)
    width = problem.widths[-1]
    whole, windows = (Score(toys, [width], windows=windows) for windows in (False, True))
    calm = Streams.drawn(problem, 1, 17, [5])
    sums = calm.sums(width)
    sums[0, -1] += 6 * problem.events**0.5 * problem.basis(width).second_moment ** 0.5
    scores = {width: toys.scored[width].scores(sums, calm.counts)}
    of_whole, of_windows = (look.seen(scores, calm.counts)[0] for look in (whole, windows))
    assert (of_windows >= of_whole).all()
    assert of_windows[-1] > 5 * of_whole[-1]


def test_toys_cross_the_thresholds_of_a_run_length_at_its_rate(problem: Problem) -> None:
    """1200 toys that set the thresholds, of ERT 12, 40 chunks: the share that crosses is right to its smoothing."""
    toys = Toys(problem, 40)
    look = Score(toys, problem.widths[-1:], windows=True)
    level = 2
    crossed = (toys.seen[0] >= look.thresholds[level]).any(axis=1)
    assert crossed.mean() == pytest.approx(1 - (1 - 1 / 12) ** 40, abs=0.03)


def test_the_distance_of_a_chunk_is_that_of_the_two_sample_test() -> None:
    rng = np.random.default_rng(3)
    reference, chunk = rng.normal(size=(600, 2)), rng.normal(0.3, 1, size=(90, 2))
    events = reference.astype(np.float32)
    found = ChunkKS(
        Problem(
            name="",
            reference=events,
            pool=events,
            events=60,
            block=60,
            centres=9,
            standard=lambda x: x.astype(np.float32),
        )
    )
    expected = max(stats.ks_2samp(reference[:, i], chunk[:, i]).statistic for i in range(2))
    distance = found.distance(chunk.astype(np.float32)) * (1 / 90 + 1 / 600) ** 0.5
    assert distance == pytest.approx(expected, abs=1e-6)


def test_mmd_and_lsdd_are_those_of_the_kernel(problem: Problem, quiet: Streams) -> None:
    basis, sigma = problem.basis("theirs"), problem.basis("theirs").sigma
    window = np.concatenate(quiet.events(0)[:2]).astype(np.float64)
    reference = problem.reference.astype(np.float64)
    sums = basis.features(window).sum(axis=0, dtype=np.float64)[None]
    events = np.array([float(len(window))])

    def kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_kernel(x, y, sigma))

    def others(x: NDArray[np.float64]) -> float:
        return float((kernel(x, x).sum() - len(x)) / len(x) / (len(x) - 1))

    expected = others(reference) + others(window) - 2 * kernel(reference, window).mean()
    found = alibi.mmd(basis, basis.mean_feature, sums, events, len(reference))
    assert found[0] == pytest.approx(expected, abs=0.02 / len(window))
    centres, inverse = reference[:5], np.diag(np.arange(1.0, 6.0))
    h = kernel(reference, centres).mean(axis=0) - kernel(window, centres).mean(axis=0)
    found = alibi.lsdd(
        basis, basis.mean_feature, sums, events, centres.astype(np.float32), inverse.astype(np.float32)
    )
    assert found[0] == pytest.approx(h @ inverse @ h, rel=1e-3)


def test_a_window_holds_the_last_chunks(problem: Problem, quiet: Streams) -> None:
    one, two = (alibi.Mmd(problem=problem, window=window, name="", setting="") for window in (1, 2))
    sums, counts = quiet.sums("theirs"), quiet.counts
    basis = problem.basis("theirs")
    both = alibi.mmd(
        basis, basis.mean_feature, sums[:, 1:] + sums[:, :-1], counts[:, 1:] + counts[:, :-1], 4_000
    )
    np.testing.assert_allclose(two.values(quiet)[:, 1:], both, rtol=1e-9)
    np.testing.assert_allclose(
        one.values(quiet), alibi.mmd(basis, basis.mean_feature, sums, counts, 4_000), rtol=1e-9
    )


def test_the_e_detectors_go_on_from_the_quiet_chunks(problem: Problem, streams: Streams) -> None:
    """A stream begun anew gives the same as one that goes on from what was kept; it ends where that is enough."""
    kept, fresh = (Evidences(problem, problem.widths[-1], enough=math.inf) for _ in range(2))
    kept.values(streams)
    again = Streams(problem=problem, blocks=streams.blocks, disturbed=streams.disturbed)
    first, second = kept.values(again), fresh.values(streams)
    for name in ("sr", "cusum"):
        np.testing.assert_allclose(first[name], second[name], rtol=1e-6)
        assert (np.diff(first[name], axis=1) >= 0).all()
    early = Evidences(problem, problem.widths[-1], enough=-math.inf).values(streams)["sr"]
    assert (early[:, streams.quiet] == early[:, -1]).all()


def test_river_detectors_are_asked_through_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Problem, streams: Streams
) -> None:
    """A package of the same names stands for river: each event arrives once, in its chunk."""
    package = tmp_path / "river"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "drift.py").write_text(RIVER, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with OtherProcess(Path(sys.executable), "benchmarks.detection.river_server") as process:
        river = River(process)
        means = [
            [chunk[: len(chunk) // 4 * 4].reshape(-1, 4).mean(axis=1) * 2 for chunk in streams.events(i)]
            for i in range(3)
        ]
        largest = np.maximum.accumulate(
            [[float(chunk.max()) for chunk in stream] for stream in means], axis=1
        )
        found = PageHinkley(river, problem.events, 0.0).values(streams)
        np.testing.assert_allclose(found, np.maximum(largest, 0), rtol=1e-5)
        limit = 0.999 * float(np.median(largest))
        alarms = Adwin(river, problem.events).first(streams, -math.log10(limit))
        assert alarms.tolist() == first_alarm(largest, limit).tolist()
        windows = 1_500 + np.cumsum(streams.counts - 1, axis=1)
        detector = Kswin(river, len(problem.reference))
        np.testing.assert_allclose(detector.values(streams), np.log(1 + windows))
        detector.enough = math.log(1 + 1_800)
        assert (detector.values(streams)[:, 1:] == detector.values(streams)[:, 1:2]).all()


def test_a_process_that_ends_is_said_to(tmp_path: Path) -> None:
    with (
        OtherProcess(Path(sys.executable), "benchmarks.detection.nothing") as process,
        pytest.raises(RuntimeError, match=r"benchmarks\.detection\.nothing ended with code 1"),
    ):
        process.ask(do="anything")
    assert not list(tmp_path.iterdir())


def test_the_dummy_alarms_every_so_many_chunks(quiet: Streams) -> None:
    assert first_alarm(Dummy().values(quiet), Dummy().threshold(5)).tolist() == [5] * quiet.count


@pytest.mark.skipif(not (skab.DATA / "skab").exists(), reason="the data folder is not there")
def test_the_files_of_skab_change_where_their_labels_say() -> None:
    made = skab.problem(quick=True)
    np.testing.assert_allclose(made.reference.std(axis=0), 1, rtol=1e-4)
    quiet, groups = skab.streams(made)
    assert sum(one.count for one in groups.values()) == quiet.count
    assert {one.length for one in groups.values()} == {skab.QUIET + skab.DISTURBED}
    rows = skab._table(skab.DATA / "skab" / "valve1" / "0.csv")
    start = int(np.flatnonzero(rows[:, skab.ANOMALY - 1])[0])
    first = made.standard(skab._standardised(rows)[start - skab.BEGINNING])
    np.testing.assert_array_equal(groups["valves"].events(0)[skab.QUIET][0], first)


@pytest.mark.skipif(not (sources.DATA / "dimuon_sm.npz").exists(), reason="the data folder is not there")
@pytest.mark.parametrize("name", ["dimuon", "cms"])
def test_the_scenarios_of_real_samples_can_be_drawn(name: str) -> None:
    made = sources.SOURCES[name](quick=True)
    for scenario in made.scenarios:
        (chunks,) = scenario.disturbed(made.problem, 1, 2, 0).chunks
        assert all(chunk.shape[1] == 5 and 0 < len(chunk) <= 1.1 * made.problem.events for chunk in chunks)
    assert np.abs(made.problem.pool.mean(axis=0)).max() < 0.1
