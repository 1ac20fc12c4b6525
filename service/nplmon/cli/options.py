"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Url = Annotated[str | None, typer.Option("--url", help="Address of the service. Default: NPLMON_URL.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
MonitorName = Annotated[str, typer.Argument(metavar="MONITOR", help="Name of the monitor.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Name of the run.")]
ChosenRun = Annotated[
    str | None, typer.Option("--run", help="Name of the run. Default: the one opened last.")
]
Features = Annotated[
    str | None,
    typer.Option("--features", metavar="A,B,...", help="Columns of the files, in order, comma separated."),
]


def listed(text: str | None) -> list[str] | None:
    """Split a comma-separated option.

    Examples
    --------
    >>> listed("pt1, pt2")
    ['pt1', 'pt2']
    """
    return None if text is None else [part.strip() for part in text.split(",")]
