"""The commands `nplmon dead list|replay`."""

from __future__ import annotations

from typing import Annotated

import typer

from nplmon.cli.connect import connect
from nplmon.cli.options import Json, MonitorName, Url
from nplmon.cli.output import print_json, print_table, when


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Dead chunks: those given up after too many tries.")
    group.command("list", epilog="Example: nplmon dead list dimuon")(list_dead)
    group.command("replay", epilog="Example: nplmon dead replay dimuon --run 2026-11-22 --all")(replay)
    app.add_typer(group, name="dead")


def list_dead(monitor: MonitorName, *, as_json: Json = False, url: Url = None) -> None:
    """List the dead chunks of a monitor, and why they died."""
    with connect(url) as client:
        deaths = client.dead(monitor)
    if as_json:
        print_json(deaths)
        return
    print_table(
        ("run", "chunk", "events", "reason", "tries", "died", "error"),
        [
            (
                d.receipt.run,
                d.receipt.chunk,
                d.receipt.events,
                d.reason,
                d.deliveries,
                when(d.died_at),
                d.error,
            )
            for d in deaths
        ],
        empty=f"{monitor} has no dead chunks",
    )


def replay(
    monitor: MonitorName,
    chunks: Annotated[
        list[str] | None, typer.Argument(metavar="CHUNK...", help="Ids of dead chunks.")
    ] = None,
    *,
    run: Annotated[str | None, typer.Option("--run", help="Only chunks of this run.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead chunks.")] = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Put dead chunks at the end of the queue again."""
    if bool(chunks) == everything:
        raise typer.BadParameter("name dead chunks, or give --all (and not both)")
    with connect(url) as client:
        receipts = [d.receipt for d in client.dead(monitor) if run is None or d.receipt.run == run]
        missing = set(chunks or ()) - {receipt.chunk for receipt in receipts}
        if missing:
            raise typer.BadParameter(
                f"{min(missing)!r} is not a dead chunk of {monitor}; see: nplmon dead list {monitor}"
            )
        replayed = [
            client.replay(monitor, receipt.run, receipt.chunk)
            for receipt in receipts
            if everything or receipt.chunk in (chunks or ())
        ]
    if as_json:
        print_json(replayed)
    else:
        typer.echo(f"replayed {len(replayed)} {'chunk' if len(replayed) == 1 else 'chunks'} of {monitor}")
