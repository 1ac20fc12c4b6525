""".ci/run: sound as a script, and bringing all that tests would otherwise skip."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.deploy.tools import ROOT, execute, system_tool, tool

FILE = ROOT / ".ci" / "run"


def test_shellcheck_finds_nothing() -> None:
    answer = execute(tool("shellcheck"), FILE)
    assert answer.returncode == 0, answer.stdout


def test_shellcheck_refuses_a_broken_script(tmp_path: Path) -> None:
    broken = tmp_path / "run"
    text = FILE.read_text(encoding="utf-8")
    broken.write_text(text.replace('"$package"', "$package"), encoding="utf-8")
    assert execute(tool("shellcheck"), broken).returncode != 0


def test_it_brings_what_tests_would_skip() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert "export CI=true" in text
    for package in ("prometheus", "prometheus-alertmanager", "chromium", "redis-tools"):
        assert re.search(rf"apt-get (download|install).* {package}\b", text), package


def test_a_missing_program_skips_on_a_desk_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not on PATH"):
        system_tool("no-such-program")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is not on PATH"):
        system_tool("no-such-program")
