"""`nplmon simulate`: lists, writes files that the other commands take, and says what is wrong in one line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nplmon.cli import main
from nplmon.client.files import read
from nplmon.simulators import dimuon
from nplmon.simulators.scenario import SCENARIOS, scenario


@pytest.fixture
def nplmon(capsys):
    """Run the command; gives exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["simulate", *arguments])
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run


def test_help_has_an_example(nplmon):
    code, out, _ = nplmon("--help")
    assert code == 0
    assert "Example: nplmon simulate" in " ".join(out.split())


def test_list_names_every_scenario(nplmon):
    code, out, _ = nplmon("--list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(SCENARIOS)
    code, out, _ = nplmon("--list", "--json")
    assert [s["name"] for s in json.loads(out)] == list(SCENARIOS)


def test_a_reference_is_a_file_that_the_service_takes(nplmon, tmp_path):
    path = tmp_path / "ref.npz"
    code, out, _ = nplmon(
        "dimuon-resonance", "--reference-events", "500", "--output", str(path), "--seed", "9"
    )
    assert code == 0
    assert f"nplmon reference add dimuon-resonance {path} --units GeV,GeV,,,rad" in out
    events, features = read(path)
    assert features == dimuon.FEATURES
    np.testing.assert_array_equal(events, scenario("dimuon-resonance").reference(500, seed=9))
    with np.load(path, allow_pickle=False) as archive:
        assert tuple(archive["units"]) == dimuon.UNITS


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_chunks_are_written_instead_of_pushed(nplmon, tmp_path, suffix):
    path = tmp_path / f"out.{suffix}"
    code, out, _ = nplmon(
        "expo-13", "--chunks", "3", "--events", "100", "--start", "3", "--output", str(path), "--json"
    )
    assert code == 0
    assert json.loads(out) == {"file": str(path), "chunks": 3, "events": 301}
    drawn = np.concatenate([c.events for c in scenario("expo-13").chunks(3, events=100, start=3)])
    np.testing.assert_array_equal(read(path)[0], drawn)
    if suffix == "npz":
        with np.load(path, allow_pickle=False) as archive:
            assert np.bincount(archive["chunk"]).tolist() == [0, 100, 100, 101]
            assert archive["anomalous"].sum() == 101


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["expo-14"], "no scenario 'expo-14': choose one of expo-quiet"),
        ([], "name a scenario; see: nplmon simulate --list"),
        (["expo-13"], "give --monitor and --run, or --output FILE"),
        (["expo-13", "--monitor", "m"], "give --monitor and --run, or --output FILE"),
        (["expo-quiet", "--start", "3", "--output", "x.npy"], "expo-quiet has no anomaly"),
        (
            ["dimuon-resonance", "--strength", "2", "--output", "x.npy"],
            "fraction is 2: give a value from 0 to 1",
        ),
        (["expo-13", "--output", "x.txt"], "must end in .npy or .npz"),
        (["expo-13", "--output", "no/such/x.npy"], "there is no directory no/such"),
        (["expo-13", "--chunks", "0", "--output", "x.npy"], "--chunks 0 has no end"),
        (["expo-13", "--reference-events", "500"], "--reference-events needs --output FILE"),
        (["expo-13", "--start", "0"], "'--start'"),
        (["expo-13", "--rate", "-1"], "'--rate'"),
    ],
)
def test_wrong_use_is_one_line(nplmon, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = nplmon(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("nplmon: ")
    assert len(err.splitlines()) == 1
    assert said in err
    assert not list(tmp_path.iterdir())


def test_no_service_is_one_line(nplmon):
    code, _, err = nplmon("expo-13", "--monitor", "m", "--run", "r", "--url", "http://127.0.0.1:9")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "nplmon up" in err
