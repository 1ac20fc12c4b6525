"""The commands that an empty page tells to copy can be run: their names and options exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from nplmon.cli import app
from nplmon.page import page_files

COMMANDS = sorted(
    {
        re.sub(r"\$\{[\w.]+\}", "name", line)
        for name, file in page_files().items()
        if name.endswith(".js")
        for line in re.findall(r"""["`]nplmon ([^"`]+)["`]""", file.body.decode())
    }
)


def test_there_are_some() -> None:
    assert any(line.startswith("monitor create") for line in COMMANDS)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_can_be_parsed(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runbook.md").touch()
    (tmp_path / "reference.npz").touch()
    command, words = typer.main.get_command(app), shlex.split(line)
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    command.make_context("nplmon", words).close()
