"""Options and arguments that several commands share."""

from __future__ import annotations

import getpass
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

Who = Annotated[
    str | None, typer.Option("--who", help="Your name, for all to see. Default: that of your login.")
]


def name_of(who: str | None) -> str:
    """Give the name that was given, else that of the login.

    Raises
    ------
    typer.BadParameter
        If the login has no name, as in some containers.

    Examples
    --------
    >>> name_of("Ada")
    'Ada'
    """
    if who is not None:
        return who
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise typer.BadParameter("this login has no name; give yours with --who") from error


def listed(text: str | None) -> list[str] | None:
    """Split a comma-separated option.

    Examples
    --------
    >>> listed("pt1, pt2")
    ['pt1', 'pt2']
    """
    return None if text is None else [part.strip() for part in text.split(",")]
