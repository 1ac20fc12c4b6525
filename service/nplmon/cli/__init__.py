"""The command `nplmon`."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from nplmon.cli import (
    alarm,
    analyse,
    audit,
    backup,
    calibrate,
    closure,
    dead,
    demo,
    monitor,
    pool,
    push,
    reference,
    roles,
    run,
    simulate,
    status,
    token,
    up,
    watch,
    where,
)
from nplmon.cli.failure import debugging, explain

__all__ = ["app", "main"]

app = typer.Typer(
    name="nplmon",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A live goodness-of-fit monitor for event streams.",
    epilog="Example: nplmon up, and in a second terminal: nplmon watch dimuon",
)


def _print_version(wanted: bool) -> None:  # typer hands it over so
    if wanted:
        typer.echo(f"nplmon {importlib.metadata.version('nplmon')}")
        raise typer.Exit


@app.callback()
def _nplmon(
    *,
    version: Annotated[  # eager: its callback has ended the command before
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


for part in (
    demo,
    up,
    roles,
    reference,
    pool,
    monitor,
    calibrate,
    run,
    push,
    simulate,
    status,
    watch,
    where,
    alarm,
    dead,
    token,
    audit,
    backup,
    analyse,
    closure,
):
    part.register(app)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command; every failure is one line on standard error and exit code 2.

    Parameters
    ----------
    arguments:
        Instead of the command line.
    """
    command = typer.main.get_command(app)
    try:
        code = command.main(
            args=None if arguments is None else list(arguments), prog_name="nplmon", standalone_mode=False
        )
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if debugging():
            raise
        if type(error).__name__ != "NoArgsIsHelpError":  # then the help is already printed
            typer.echo(f"nplmon: {explain(error)}", err=True)
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)
