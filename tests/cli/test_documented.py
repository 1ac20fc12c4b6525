"""docs/cli.md has every command with every option, and nothing else; every help has an example."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.cli.conftest import Nplmon

from nplmon.cli import app

PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text()


def commands(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give all commands that do something, with their words."""
    if hasattr(command, "commands"):
        for name, part in command.commands.items():
            yield from commands(part, *path, name)
    else:
        yield path, command


COMMANDS = dict(commands(typer.main.get_command(app)))
SECTIONS = {
    tuple(title.split()[1:]): body
    for title, body in re.findall(r"^### `(nplmon [^`]+)`\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
}


def parameters(command: Any) -> set[str]:
    return {
        parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar or parameter.name
        for parameter in command.params
    }


def test_the_page_has_all_commands_and_no_others() -> None:
    assert set(SECTIONS) == set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_section_has_all_parameters_and_no_others(path: tuple[str, ...]) -> None:
    assert set(re.findall(r"^\| `([^`]+)`", SECTIONS[path], re.MULTILINE)) == parameters(COMMANDS[path])


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_ends_with_an_example_of_this_command(
    path: tuple[str, ...], nplmon: Nplmon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    ended = nplmon(*path, "--help")
    assert ended.code == 0
    assert "Example: " in ended.out
    assert f"nplmon {' '.join(path)}" in ended.out.split("Example: ")[1]
    assert COMMANDS[path].help


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_examples_on_the_page_can_be_parsed(path: tuple[str, ...]) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", SECTIONS[path], re.DOTALL)
    for line in block.splitlines():
        words = shlex.split(line)
        while "=" in words[0]:
            words.pop(0)
        assert words[: len(path) + 1] == ["nplmon", *path]
        command = COMMANDS[path]
        context = command.make_context(" ".join(path), words[len(path) + 1 :])
        context.close()


def test_the_words_of_the_application_itself_are_on_the_page(nplmon: Nplmon) -> None:
    assert nplmon("--version").out.startswith("nplmon ")
    said = nplmon("--help").out
    for option in re.findall(r"--[a-z-]+", said):
        assert f"`{option}`" in PAGE or f"`nplmon {option}`" in PAGE
