"""How commands print: JSON for programs, tables for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

import typer


def print_json(record: object) -> None:
    """Print a record, or a list of them, as JSON."""
    from nplmon.client import encode

    typer.echo(json.dumps(encode(record), indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print a table, or the sentence `empty` when there is no row."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    count = 0
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
        count += 1
    if not count:
        typer.echo(empty)
        return
    console = Console()
    if not console.is_terminal:
        # In a pipe there is no width: nothing may be folded.
        console = Console(width=400)
    console.print(table)


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one a line."""
    shown = [(name, str(value)) for name, value in fields]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        typer.echo(f"{name:<{width}}  {value}".rstrip())


def when(time: float | None) -> str:
    """Show Unix seconds as local time.

    Examples
    --------
    >>> when(None)
    '-'
    """
    if time is None:
        return "-"
    return datetime.fromtimestamp(time).astimezone().isoformat(sep=" ", timespec="seconds")


def number(value: float | None, digits: int = 4) -> str:
    """Show a number, or "-" for none.

    Examples
    --------
    >>> number(0.000123456), number(None)
    ('0.0001235', '-')
    """
    return "-" if value is None else f"{value:.{digits}g}"
