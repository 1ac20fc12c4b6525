"""The command `nplmon status`."""

from __future__ import annotations

import sys
import time

import typer

from nplmon.cli.connect import connect
from nplmon.cli.display import counts, features_table, statistics_table
from nplmon.cli.evidence import evidence_table
from nplmon.cli.options import ChosenRun, Json, MonitorName, Url
from nplmon.cli.output import print_fields, print_json


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("status", epilog="Example: nplmon status dimuon --run r1 --json")(status)


def status(monitor: MonitorName, *, run: ChosenRun = None, as_json: Json = False, url: Url = None) -> None:
    """Show the statistic of a run now: values, thresholds, p, Z, the alarm, and where the data differ."""
    with connect(url) as client:
        now = client.statistic(monitor, run)
    if as_json:
        print_json(now)
        return
    print_fields(counts(now, time.time()))
    if now.snapshot is not None and now.snapshot.statistics:
        from rich.console import Console

        typer.echo()
        # In a pipe there is no width: nothing may be folded.
        console = Console(width=None if sys.stdout.isatty() else 400)
        console.print(statistics_table(now.snapshot))
        evidence = evidence_table(now.snapshot)
        if evidence is not None:
            console.print()
            console.print(evidence)
        if now.snapshot.features:
            console.print()
            console.print(features_table(now.snapshot))
