"""The figures on the page of the documentation: `python -m benchmarks.page` writes the last run's into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.row import Row
from benchmarks.table import markdown

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "bench.json"
PAGE = ROOT / "docs" / "performance.md"
MEASURED = ROOT / "docs" / "performance.json"
BEGIN, END = "<!-- measured -->\n", "<!-- end -->\n"


def figures(result: dict[str, Any]) -> str:
    """Say where and when it was measured, and what."""
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    where = (
        f"{machine['date']}, {machine['cores']} cores of an {machine['processor']}, {machine['system']}, "
        f"Python {machine['python']}, {versions}; load {machine['load']} at the start, {result['load at the end']} "
        "at the end. One thread a process.\n\n"
    )
    return where + markdown([Row.from_json(row) for row in result["rows"]])


def main() -> None:
    """Keep the last run's result beside the page, and put its table into the page."""
    body = RESULT.read_text(encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + figures(json.loads(body)) + END + after, encoding="utf-8")
    MEASURED.write_text(body, encoding="utf-8")


if __name__ == "__main__":
    main()
