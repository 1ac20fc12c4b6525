"""The command `nplmon watch`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from nplmon.cli.connect import connect
from nplmon.cli.display import panel
from nplmon.cli.options import ChosenRun, MonitorName, Url

if TYPE_CHECKING:
    from nplmon.client import Client, HistoryEntry, Status

_HISTORY = 60


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("watch", epilog="Example: nplmon watch dimuon")(watch)


def watch(
    monitor: MonitorName,
    *,
    run: ChosenRun = None,
    interval: Annotated[float, typer.Option("--interval", min=0.1, help="Seconds between two looks.")] = 1.0,
    url: Url = None,
) -> None:
    """Watch a run live in the terminal until Ctrl-C.

    Without --run it waits for the first run, and goes on to the next when one is opened. When the service is
    away, the last numbers stay, with their age, until it is back.
    """
    from rich.live import Live

    from nplmon.client import Unavailable

    with connect(url) as client:
        status = _first(client, monitor, run, interval)
        past: Sequence[HistoryEntry] = ()
        trouble = ""
        with Live(panel(status, (), time.time()), auto_refresh=False, screen=False) as live:
            try:
                while True:
                    try:
                        status = client.statistic(monitor, run)
                        last = status.snapshot.sequence if status.snapshot is not None else 0
                        past = client.history(
                            monitor, status.run.name, since=max(0, last - _HISTORY), limit=_HISTORY
                        ).entries
                        trouble = ""
                    except Unavailable as error:
                        trouble = f"{error}; trying again"
                    live.update(panel(status, past, time.time(), trouble), refresh=True)
                    time.sleep(interval)
            except KeyboardInterrupt:
                pass


def _first(client: Client, monitor: str, run: str | None, interval: float) -> Status:
    """Look until there is a run."""
    from nplmon.client import UnknownRun

    told = False
    while True:
        try:
            return client.statistic(monitor, run)
        except UnknownRun:
            if run is not None:
                raise
        if not told:
            typer.echo(f"{monitor} has no runs yet; waiting for its first chunk", err=True)
            told = True
        time.sleep(interval)
