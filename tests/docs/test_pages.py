"""Every link leads somewhere, every command that is named exists, every Python block of a page runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.docs.pages import NOT_RUN, PAGES, ROOT, blocks, prose

from nplmon.cli import app

APPLICATION = typer.main.get_command(app)
LINKS = [
    pytest.param(page, target, id=f"{page.name}->{target}")
    for page in PAGES
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page))
]
LINES = [
    pytest.param(line, id=f"{block.place}:{line[:40]}")
    for page in PAGES
    for block in blocks(page)
    for line in block.text.replace("\\\n", " ").splitlines()
    if re.match(r"(\w+=\S+ )*nplmon ", line)
]
MENTIONS = sorted({mention for page in PAGES for mention in re.findall(r"`nplmon ([^`]+)`", prose(page))})
# The page of the client has a test of its own; that of the README runs in its tour.
RUNNABLE = [
    page
    for page in PAGES
    if page.name not in {"README.md", "client.md"} and any(b.language == "python" for b in blocks(page))
]


def anchors(page: Path) -> set[str]:
    """Give the names of a page's headings, as they are made for links."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_a_link_has_a_target(page: Path, target: str) -> None:
    if target.startswith("https://"):
        assert re.fullmatch(
            r"https://(arxiv\.org/abs/\d{4}\.\d{5}|keepachangelog\.com/\S+|semver\.org/\S+)", target
        )
        return
    path, _, anchor = target.partition("#")
    found = page if not path else (page.parent / path).resolve()
    assert found.is_relative_to(ROOT)
    assert found.is_file()
    assert not anchor or anchor in anchors(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"\b(?:docs|tests|deploy)/[\w./-]*\w", page.read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_index_has_all_pages() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert {f"{page.name}" for page in PAGES if page.parent.name == "docs"} - {"index.md"} == set(
        re.findall(r"^\| \[(\w[\w-]*\.md)\]\(\1\)", index, re.MULTILINE)
    )


def command(words: list[str]) -> tuple[Any, list[str]]:
    """Give the command that some words name, and the words after it."""
    found: Any = APPLICATION
    while hasattr(found, "commands") and words and not words[0].startswith("-"):
        found, words = found.commands[words[0]], words[1:]
    return found, words


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_can_be_parsed(line: str) -> None:
    words = shlex.split(line, comments=True)
    named, rest = command(words[words.index("nplmon") + 1 :])
    named.make_context("nplmon", rest).close()


@pytest.mark.parametrize("mention", MENTIONS)
def test_a_command_that_is_named_exists(mention: str) -> None:
    words = mention.split()
    lists = [part.split("/") for part in words if "/" in part]  # `monitor create/list`
    for choice in lists[0] if lists else [""]:
        named, rest = command([choice if "/" in word else word for word in words])
        options = {name for option in [*named.params, *APPLICATION.params] for name in option.opts}
        assert [word for word in rest if word.startswith("--") and word not in options] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_marker_stands_in_the_readme_alone(page: Path) -> None:
    if page.name != "README.md":
        assert NOT_RUN not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.name)
def test_the_python_blocks_run(
    page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in (block for block in blocks(page) if block.language == "python"):
        exec(compile(block.text, block.place, "exec"), names)  # noqa: S102  # the page's own code
    assert capsys.readouterr().out


def test_an_image_loads_nothing_from_elsewhere() -> None:
    images = sorted((ROOT / "docs" / "images").glob("*.svg"))
    assert images
    for image in images:
        addresses = set(re.findall(r"[a-z]+://[^\s\"')]+", image.read_text(encoding="utf-8")))
        # The namespace, and what the captured terminal shows.
        assert {
            one for one in addresses if not re.match(r"http://(www\.w3\.org/2000/svg$|127\.0\.0\.1)", one)
        } == set()
