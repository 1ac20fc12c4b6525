"""The pages of the documentation and the fenced blocks in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
NOT_RUN = "<!-- not run: interactive -->"
_FENCE = re.compile(r"(?:^(<!--.*-->)\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the comment on the line before it, and where it begins."""

    language: str
    text: str
    marker: str
    place: str


def blocks(page: Path) -> list[Block]:
    """Give the fenced blocks of a page in their order."""
    body = page.read_text(encoding="utf-8")
    return [
        Block(found[2], found[3], found[1] or "", f"{page.name}:{body.count(chr(10), 0, found.start(2)) + 1}")
        for found in _FENCE.finditer(body)
    ]


def prose(page: Path) -> str:
    """Give a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))
