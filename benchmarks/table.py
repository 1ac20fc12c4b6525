"""The table: for the terminal, and for the page of the documentation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.clock import Figure
    from benchmarks.row import Row

COLUMNS = ("work", "compared with", "ratio (16 to 84 %)", "goal", "time", "its time", "peak MB", "note")
_RIGHT = {"time", "its time", "peak MB"}
_STYLES = {
    "failed": "bold red",
    "MISSED": "bold red",
    "skipped": "yellow",
    "not measured": "yellow",
    "met": "green",
}


def table(rows: Sequence[Row], title: str) -> Table:
    """Lay out the rows; a goal that is missed is said to be."""
    result = Table(title=title, title_justify="left", show_lines=True)
    for name in COLUMNS:
        result.add_column(name, justify="right" if name in _RIGHT else "left")
    for row in rows:
        result.add_row(*(_coloured(cell) for cell in _cells(row)))
    return result


def markdown(rows: Sequence[Row]) -> str:
    """Give the same as a table of a page."""
    lines = [COLUMNS, tuple("--:" if name in _RIGHT else "---" for name in COLUMNS), *map(_cells, rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def number(value: float) -> str:
    """Give three digits.

    Examples
    --------
    >>> number(1234.5), number(12.345), number(0.12345)
    ('1,234', '12.3', '0.123')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.work if row.device == "cpu" else f"{row.work}, on {row.device}",
        row.compared,
        _ratio(row),
        _verdict(row),
        _time(row.milliseconds),
        _time(row.compared_milliseconds),
        "" if row.peak_megabytes is None else f"{row.peak_megabytes:,.0f}",
        row.note,
    )


def _coloured(cell: str) -> Text:
    text = Text(cell)
    for word, style in _STYLES.items():
        text.highlight_regex(rf"\b{re.escape(word)}$|^{re.escape(word)}\b", style)
    return text


def _ratio(row: Row) -> str:
    if row.failed:
        return f"failed: {row.failed}"
    if row.ratio is None:
        return f"skipped: {row.skipped}"
    figure = row.ratio
    spread = f" ({number(figure.low)} to {number(figure.high)})" if figure.low < figure.high else ""
    return f"{number(figure.median)} {row.unit}{spread}"


def _verdict(row: Row) -> str:
    if row.goal is None:
        return ""
    if not row.judged:
        return f"{row.goal}: not judged"
    said = {True: "met", False: "MISSED", None: "not measured"}[row.met]
    return f"{row.goal}: {said}"


def _time(figure: Figure | None) -> str:
    if figure is None:
        return ""
    value, unit = (figure.median / 1000, "s") if figure.median >= 1000 else (figure.median, "ms")
    return f"{number(value)} {unit}"
