"""The command `nplmon where`."""

from __future__ import annotations

import csv
import sys
from typing import Annotated

import typer

from nplmon.cli.connect import connect
from nplmon.cli.options import ChosenRun, Json, MonitorName, Url
from nplmon.cli.output import number, print_fields, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("where", epilog="Example: nplmon where dimuon --run r1 --csv")(where)


def where(
    monitor: MonitorName,
    *,
    run: ChosenRun = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the most anomalous events as CSV.")] = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Show where the data of a run differ: features in order, and the most anomalous events with their values."""
    with connect(url) as client:
        found = client.where(monitor, run)
    if as_json:
        print_json(found)
        return
    columns = ("chunk", "row", "log ratio", *found.features)
    if as_csv:
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(("chunk", "row", "log_ratio", *found.features))
        table.writerows((e.chunk, e.row, e.log_ratio, *e.values) for e in found.anomalous)
        return
    pair = found.pair
    print_fields(
        [
            ("run", f"{found.monitor}/{found.run}, chunk {found.sequence}"),
            ("features", ", ".join(found.ranked)),
            ("pair", "-" if pair is None else f"{pair.x}, {pair.y}: {number(pair.excess, 3)} deviations"),
        ]
    )
    typer.echo()
    rows = [
        (e.chunk, str(e.row), *(number(value, 5) for value in (e.log_ratio, *e.values)))
        for e in found.anomalous
    ]
    print_table(columns, rows, empty="no events yet")
