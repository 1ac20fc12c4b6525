"""The commands `nplmon dead list|replay|delete`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from nplmon.cli.connect import connect
from nplmon.cli.options import Json, MonitorName, Url, Who, name_of
from nplmon.cli.output import print_json, print_table, when

if TYPE_CHECKING:
    from nplmon.client import Client, Receipt

Chunks = Annotated[list[str] | None, typer.Argument(metavar="CHUNK...", help="Ids of dead chunks.")]
OnlyRun = Annotated[str | None, typer.Option("--run", help="Only chunks of this run.")]
Everything = Annotated[bool, typer.Option("--all", help="All dead chunks.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Dead chunks: those given up after too many tries.")
    group.command("list", epilog="Example: nplmon dead list dimuon")(list_dead)
    group.command("replay", epilog="Example: nplmon dead replay dimuon --run 2026-11-22 --all")(replay)
    group.command("delete", epilog="Example: nplmon dead delete dimuon chunk-7 --yes")(delete)
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
    chunks: Chunks = None,
    *,
    run: OnlyRun = None,
    everything: Everything = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Put dead chunks at the end of the queue again."""
    with connect(url) as client:
        chosen = _chosen(client, monitor, chunks, run, everything=everything)
        replayed = [client.replay(monitor, receipt.run, receipt.chunk) for receipt in chosen]
    if as_json:
        print_json(replayed)
    else:
        typer.echo(f"replayed {len(replayed)} {'chunk' if len(replayed) == 1 else 'chunks'} of {monitor}")


def delete(
    monitor: MonitorName,
    chunks: Chunks = None,
    *,
    run: OnlyRun = None,
    everything: Everything = False,
    who: Who = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
) -> None:
    """Delete dead chunks for good; there is no way back."""
    with connect(url) as client:
        chosen = _chosen(client, monitor, chunks, run, everything=everything)
        number = f"{len(chosen)} dead {'chunk' if len(chosen) == 1 else 'chunks'} of {monitor}"
        if not yes and chosen:
            if not sys.stdin.isatty():
                raise typer.BadParameter("deleting dead chunks needs --yes where nobody can be asked")
            typer.confirm(f"Delete {number}?", abort=True)
        for receipt in chosen:
            client.delete_dead(monitor, receipt.run, receipt.chunk, who=name_of(who))
    typer.echo(f"deleted {number}")


def _chosen(
    client: Client, monitor: str, chunks: list[str] | None, run: str | None, *, everything: bool
) -> list[Receipt]:
    """Give the receipts of the dead chunks that are named, or of all.

    Raises
    ------
    typer.BadParameter
        If neither is given, or both, or one that is named is not dead.
    """
    if bool(chunks) == everything:
        raise typer.BadParameter("name dead chunks, or give --all (and not both)")
    receipts = [d.receipt for d in client.dead(monitor) if run is None or d.receipt.run == run]
    missing = set(chunks or ()) - {receipt.chunk for receipt in receipts}
    if missing:
        raise typer.BadParameter(
            f"{min(missing)!r} is not a dead chunk of {monitor}; see: nplmon dead list {monitor}"
        )
    return [receipt for receipt in receipts if everything or receipt.chunk in (chunks or ())]
