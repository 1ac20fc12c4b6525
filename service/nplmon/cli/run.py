"""The commands `nplmon run list|close|reset`."""

from __future__ import annotations

import typer

from nplmon.cli.connect import connect
from nplmon.cli.options import Json, MonitorName, RunName, Url
from nplmon.cli.output import print_json, print_table, when


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Runs: what accumulates together.")
    group.command("list", epilog="Example: nplmon run list dimuon")(list_runs)
    group.command("close", epilog="Example: nplmon run close dimuon 2026-11-22")(close)
    group.command("reset", epilog="Example: nplmon run reset dimuon 2026-11-22")(reset)
    app.add_typer(group, name="run")


def list_runs(monitor: MonitorName, *, as_json: Json = False, url: Url = None) -> None:
    """List the runs of a monitor, newest first."""
    with connect(url) as client:
        runs = client.runs(monitor)
    if as_json:
        print_json(runs)
        return
    print_table(
        ("run", "state", "accepted", "applied", "dead", "opened", "closed"),
        [
            (r.name, r.state, r.accepted, r.applied, r.dead, when(r.opened_at), when(r.closed_at))
            for r in runs
        ],
        empty=f"{monitor} has no runs yet; the first chunk opens one",
    )


def close(monitor: MonitorName, run: RunName, *, as_json: Json = False, url: Url = None) -> None:
    """Take no more chunks for a run; those accepted are still applied."""
    with connect(url) as client:
        closed = client.close_run(monitor, run)
    if as_json:
        print_json(closed)
    else:
        typer.echo(f"closed {monitor}/{run} with {closed.accepted} chunks accepted, {closed.applied} applied")


def reset(monitor: MonitorName, run: RunName, *, as_json: Json = False, url: Url = None) -> None:
    """Begin a run anew: all its counts and statistics from zero."""
    with connect(url) as client:
        begun = client.reset_run(monitor, run)
    if as_json:
        print_json(begun)
    else:
        typer.echo(f"reset {monitor}/{run}: epoch {begun.epoch} begins with no chunks")
