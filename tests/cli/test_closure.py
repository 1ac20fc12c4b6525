"""`nplmon closure` from options to report, and what it says when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Ended

from nplmon.cli import main


def closure(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ended:
    with pytest.raises(SystemExit) as ended:
        main(["closure", *map(str, arguments)])
    said = capsys.readouterr()
    return Ended(int(ended.value.code or 0), said.out, said.err)


def test_a_quick_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options win over --quick, and the table tells how many checks are outside."""
    monkeypatch.delenv("NPLMON_TEST_DATA", raising=False)
    quick = ("--quick", "--study", "uniform", "--runs", 20, "--chunks", 1, "--jobs", 1, "--out", tmp_path)
    ended = closure(capsys, *quick)
    assert (ended.code, ended.err) == (0, "")
    assert "checks" in ended.out
    assert "by chance" in ended.out
    written = json.loads((tmp_path / "closure.json").read_text())
    assert (
        written["settings"] | {"runs": 20, "chunks": 1, "exposures": [0.5], "dimuon": ""}
        == written["settings"]
    )

    ended = closure(capsys, *quick, "--exposure", 2, "--json")
    assert json.loads(ended.out) == json.loads((tmp_path / "closure.json").read_text())["summary"]
    assert json.loads((tmp_path / "closure.json").read_text())["settings"]["exposures"] == [2.0]


def test_what_is_wrong_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = closure(capsys, "--out", tmp_path, "--study", "taste")
    assert ended.code == 2
    assert "no study 'taste'" in ended.err
    ended = closure(capsys, "--out", tmp_path, "--dimuon", tmp_path / "none.npz")
    assert (ended.code, "no such file" in ended.err) == (2, True)
    monkeypatch.setenv("NPLMON_TEST_DATA", str(tmp_path))
    ended = closure(capsys, "--out", tmp_path)
    assert (ended.code, "dimuon_sm.npz is missing" in ended.err) == (2, True)
