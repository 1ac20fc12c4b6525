"""`nplmon analyse` from files to table, result.json and plots, and what it says when something is wrong."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.cli.conftest import Ended

from nplmon.cli import main
from nplmon.simulators import dimuon, expo

DATA = Path(os.environ.get("NPLMON_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
KERNEL = ("--centres", 100, "--sigma", 0.7)
Analyse = Callable[..., Ended]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Keep torch on one core: the problems are small and other work runs beside the tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def analyse(capsys: pytest.CaptureFixture[str]) -> Analyse:
    """Run `nplmon analyse` with these arguments; no service is there."""

    def run(*arguments: object) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(["analyse", *map(str, arguments)])
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a reference, ordinary data and data with a peak."""
    directory = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(11)
    save(directory / "reference.npz", expo.sample(rng, 20_000))
    save(directory / "ordinary.npz", expo.sample(rng, 1_000))
    save(directory / "peak.npz", expo.sample_chunk(rng, 1_000, "bulk", strength=3.0))
    return directory


def save(path: Path, events: np.ndarray) -> None:
    np.savez(path, events=events, features=np.array(["x"]), units=np.array(["mm"]))


def strict(text: str) -> Any:
    """Read JSON; NaN and infinity are none."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


def test_one_file_is_one_test_with_result_and_plots(analyse: Analyse, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "directory"
    ended = analyse(files / "peak.npz", "--reference", files / "reference.npz", *KERNEL, "--out", out)
    assert (ended.code, ended.err) == (0, "")
    assert "analysis     single, mode shape, model kernel" in ended.out
    assert "t_full" in ended.out
    assert "closed form" in ended.out
    result = strict((out / "result.json").read_text())
    assert result["schema"] == "nplmon-analysis-1"
    answer = result["answer"]
    assert (answer["kind"], answer["state"], answer["toys"]) == ("t_full", "closed form", None)
    assert answer["Z"] > 5
    assert answer["p"] == pytest.approx(answer["closed_form"]["p"])
    assert result["statistics"] == {"t_full": answer}
    assert sorted(result["plots"]) == sorted(path.name for path in out.iterdir() if path.suffix != ".json")
    assert sorted(result["plots"]) == [
        "marginal-1-x.pdf",
        "marginal-1-x.png",
        "statistic.pdf",
        "statistic.png",
    ]
    (marginal,) = result["marginals"]
    assert (marginal["name"], marginal["unit"]) == ("x", "mm")
    assert sum(marginal["data"]) == result["data"]["events"] == result["data"]["expected"]
    assert len(marginal["edges"]) == 1 + len(marginal["data_low"]) == 1 + len(marginal["learned"])
    assert result["settings"]["centres"] == 100
    assert 0 < result["settings"]["centres_used"] <= 100
    assert result["settings"]["sigma"] == 0.7
    assert result["settings"]["lambda"] == 1e-5
    assert {"nplmon", "numpy", "scipy", "torch", "python"} == set(result["versions"])
    assert len(result["reference"]["files"][0]["sha256"]) == len(result["reference"]["content_sha256"]) == 64
    assert result["notes"] == []


def test_an_ordinary_file_is_not_found(analyse: Analyse, files: Path) -> None:
    """Its p is one draw from a uniform law, fixed by the seed: neither small nor suspiciously large."""
    ended = analyse(files / "ordinary.npz", "--reference", files / "reference.npz", *KERNEL, "--json")
    assert (ended.code, ended.err) == (0, "")
    result = strict(ended.out)
    assert 0.01 < result["answer"]["p"] < 0.99
    assert result["plots"] == []


def test_chunks_are_aggregated(analyse: Analyse, files: Path, tmp_path: Path) -> None:
    ended = analyse(
        files / "ordinary.npz",
        files / "peak.npz",
        *("--reference", files / "reference.npz", *KERNEL),
        *("--chunk-size", 300, "--drop-rest", "--out", tmp_path),
    )
    assert ended.code == 0, ended.err
    result = strict((tmp_path / "result.json").read_text())
    assert "t_agg *" in ended.out
    assert set(result["statistics"]) == {"t_agg", "t_ref", "t_score", "t_sum", "t_full"}
    assert result["answer"] == result["statistics"]["t_agg"]
    chunks = result["chunks"]
    assert [one["number"] for one in chunks] == list(range(1, len(chunks) + 1))
    assert {one["events"] for one in chunks} == {300}
    assert chunks[3]["first_event"] == 900  # begins in the first file and goes on into the second
    assert chunks[4]["file"].endswith("peak.npz")
    assert chunks[4]["first_event"] == 200
    assert chunks[-1]["so_far"]["value"] == pytest.approx(result["answer"]["value"])
    assert result["data"]["events_used"] == 300 * len(chunks) < result["data"]["events"]
    assert (tmp_path / "chunks.png").stat().st_size > 10_000
    assert result["answer"]["Z"] > 4


def test_toys_are_compared_with_the_closed_form(analyse: Analyse, files: Path) -> None:
    command = (files / "ordinary.npz", "--reference", files / "reference.npz", *KERNEL, "--toys", 50)
    ended = analyse(*command)
    assert ended.code == 0, ended.err
    assert "p of toys" in ended.out
    assert "50 toys resolve p down to 0.02" in ended.out
    assert "10,000 events (10,000 more held out for toys)" in ended.out
    result = strict(analyse(*command, "--json").out)
    answer, toys = result["answer"], result["answer"]["toys"]
    assert answer["state"] == "toys"
    assert answer["p"] == toys["p"] == (1 + toys["exceeding"]) / 51
    assert answer["p_resolution"] == toys["p_resolution"] == 1 / 51
    assert len(toys["values"]) == toys["count"] == 50
    assert toys["exceeding"] == sum(value >= answer["value"] for value in toys["values"])
    assert abs(toys["mean"] - answer["closed_form"]["null_mean"]) < 5 * toys["mean_error"]


def test_every_member_of_the_result_is_documented(analyse: Analyse, files: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "analyse.md").read_text(encoding="utf-8")

    def members(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from part
        for one in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            yield from members(one)

    command = (files / "ordinary.npz", "--reference", files / "reference.npz", *KERNEL, "--json")
    for options in (("--toys", 5), ("--chunk-size", 500)):
        result = strict(analyse(*command, *options).out)
        assert {name for name in members(result) if f"`{name}`" not in page} == set()


def test_muon_pairs_with_a_resonance_from_text(analyse: Analyse, tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    header = ",".join(dimuon.FEATURES)
    for name, events in (
        ("reference.csv", dimuon.sample(rng, 10_000)),
        ("data.csv", dimuon.sample_mixture(rng, 2_000, fraction=0.03)),
    ):
        np.savetxt(tmp_path / name, events, delimiter=",", header=header, comments="")
    ended = analyse(
        tmp_path / "data.csv",
        *("--reference", tmp_path / "reference.csv", "--features", "delta_phi,pt1,pt2"),
        *("--units", "rad,GeV,GeV", "--centres", 200, "--chunk-size", 1000, "--json"),
    )
    assert ended.code == 0, ended.err
    result = strict(ended.out)
    assert [one["name"] for one in result["marginals"]] == ["delta_phi", "pt1", "pt2"]
    assert [one["unit"] for one in result["marginals"]] == ["rad", "GeV", "GeV"]
    assert result["answer"]["Z"] > 4


@pytest.mark.slow
def test_simulated_muon_pairs_agree_and_an_effective_theory_does_not(
    analyse: Analyse, tmp_path: Path
) -> None:
    """The shared samples: 4 chunks of 2,500; the other theory differs in the mass tail, seen here by its mass."""
    for name in ("dimuon_sm.npz", "dimuon_eft.npz"):
        if not (DATA / name).exists():
            message = f"{DATA / name} is missing: set NPLMON_TEST_DATA to the folder that holds it"
            pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    events = np.load(DATA / "dimuon_sm.npz")["events"]
    names = np.load(DATA / "dimuon_sm.npz")["features"]
    events = events[np.random.default_rng(2026).permutation(len(events))]
    eft = np.load(DATA / "dimuon_eft.npz")["events"]
    for name, part in (("reference", events[:40_000]), ("ordinary", events[40_000:50_000])):
        np.savez(tmp_path / f"{name}.npz", events=part, features=names)
    high = eft[eft[:, 5] > 150][:100]
    np.savez(tmp_path / "eft.npz", events=np.concatenate([events[50_000:59_900], high]), features=names)
    for name, low, top in (("ordinary", -3.0, 3.0), ("eft", 4.0, np.inf)):
        ended = analyse(
            tmp_path / f"{name}.npz",
            *("--reference", tmp_path / "reference.npz", "--features", "pt1,pt2,eta1,eta2,delta_phi"),
            *("--centres", 200, "--lambda", "1e-4", "--analysis", "single", "--json"),
        )
        assert ended.code == 0, ended.err
        assert low < strict(ended.out)["answer"]["Z"] < top, name


def test_a_file_per_chunk_has_a_rate(analyse: Analyse, files: Path) -> None:
    reference = ("--reference", files / "reference.npz", *KERNEL, "--json")
    both = (files / "ordinary.npz", files / "peak.npz")
    result = strict(analyse(*both, *reference, "--mode", "rate", "--expected", "1000,1135").out)
    assert [one["expected"] for one in result["chunks"]] == [1000.0, 1135.0]
    assert result["settings"]["mode"] == "rate"
    one = strict(analyse(*both, *reference, "--mode", "rate", "--expected", 1000).out)
    assert [one["expected"] for one in one["chunks"]] == [1000.0, 1000.0]


def test_notes_go_to_standard_error(analyse: Analyse, files: Path) -> None:
    reference = files / "reference.npz"
    ended = analyse(reference, "--reference", reference, *KERNEL, "--json")
    assert ended.code == 0
    assert "nplmon: note: 100% of the data events are in the reference too" in ended.err
    assert "nplmon: note: exposure 1 is past 0.5" in ended.err
    assert len(strict(ended.out)["notes"]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.npz",), "no file"),
        (("{0}/peak.npz", "--features", "y"), "has no column 'y'"),
        (("{0}/nan.npz",), "event 1 (counted from 0) has x = nan; 1 of 2 events are not finite"),
        (("{0}/wide.npz",), "has no column 'x'"),
        (("{0}/peak.npz", "--mode", "rate"), "--mode rate and --expected go together"),
        (("{0}/peak.npz", "--expected", "5"), "--mode rate and --expected go together"),
        (("{0}/peak.npz", "--mode", "rate", "--expected", "many"), "--expected many: give numbers"),
        (("{0}/peak.npz", "--mode", "rate", "--expected", "0"), "an expected count of 0.0"),
        (("{0}/peak.npz", "--sigma-quantile", "0.5"), "both give the kernel width"),
        (("{0}/peak.npz", "--chunk-size", "9999", "--drop-rest"), "less than one chunk of 9,999"),
        (("{0}/peak.npz", "--analysis", "double"), "no analysis 'double'"),
        (("{0}/reference.npz", "--toys", "10"), "give a larger reference, or no toys"),
        (("{0}/peak.npz", "--out", "{0}/peak.npz"), "peak.npz"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: tuple[str, ...], said: str, analyse: Analyse, files: Path
) -> None:
    save(files / "nan.npz", np.array([[1.0], [np.nan]]))
    np.savez(files / "wide.npz", a=np.zeros(3), b=np.zeros(3))
    ended = analyse(
        *(one.format(files) for one in arguments), "--reference", files / "reference.npz", *KERNEL
    )
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("missing", "extra", "options"), [("torch", "worker", ()), ("mplhep", "plots", ("--out", "out"))]
)
def test_a_part_that_is_not_installed_is_named(
    missing: str,
    extra: str,
    options: tuple[str, ...],
    analyse: Analyse,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == missing else find(name))
    ended = analyse(files / "peak.npz", "--reference", files / "reference.npz", *options)
    assert ended.code == 2
    assert ended.err == f"nplmon: this command needs {missing}: pip install 'nplmon[{extra}]'\n"


def test_the_progress_is_shown_on_a_terminal_alone(
    analyse: Analyse, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    command = (files / "peak.npz", "--reference", files / "reference.npz", *KERNEL, "--toys", 2, "--json")
    plain = analyse(*command)
    assert all(line.startswith("nplmon: note: ") for line in plain.err.splitlines())
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    on_terminal = analyse(*command)
    for what in ("reading", "preparing the reference", "fitting", "toys"):
        assert what in shown.getvalue()
    assert strict(on_terminal.out) == strict(plain.out)
