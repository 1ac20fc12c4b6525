"""The table that is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.clock import Figure
    from benchmarks.row import Row


def table(rows: Sequence[Row], title: str) -> Table:
    """Lay out the rows; a goal that is missed is said to be."""
    result = Table(title=title, title_justify="left", show_lines=True)
    for name in (
        "work",
        "compared with",
        "ratio (16 to 84 %)",
        "goal",
        "time",
        "its time",
        "peak MB",
        "note",
    ):
        result.add_column(name, justify="right" if name in {"time", "its time", "peak MB"} else "left")
    for row in rows:
        work = row.work if row.device == "cpu" else f"{row.work}, on {row.device}"
        peak = "" if row.peak_megabytes is None else f"{row.peak_megabytes:,.0f}"
        result.add_row(
            work,
            row.compared,
            _ratio(row),
            _verdict(row),
            _time(row.milliseconds),
            _time(row.compared_milliseconds),
            peak,
            row.note,
        )
    return result


def number(value: float) -> str:
    """Give three digits.

    Examples
    --------
    >>> number(1234.5), number(12.345), number(0.12345)
    ('1,234', '12.3', '0.123')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _ratio(row: Row) -> str:
    if row.failed:
        return f"[bold red]failed[/]: {row.failed}"
    if row.ratio is None:
        return f"[yellow]skipped[/]: {row.skipped}"
    figure = row.ratio
    return f"[bold]{number(figure.median)}[/] {row.unit} ({number(figure.low)} to {number(figure.high)})"


def _verdict(row: Row) -> str:
    if row.goal is None:
        return ""
    if not row.judged:
        return f"{row.goal}: not judged"
    said = {True: "[green]met[/]", False: "[bold red]MISSED[/]", None: "[yellow]not measured[/]"}[row.met]
    return f"{row.goal}: {said}"


def _time(figure: Figure | None) -> str:
    if figure is None:
        return ""
    value, unit = (figure.median / 1000, "s") if figure.median >= 1000 else (figure.median, "ms")
    return f"{number(value)} {unit}"
