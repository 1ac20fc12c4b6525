"""The command `nplmon demo`: the main job from end to end, with real processes."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nplmon.cli.roles import require

if TYPE_CHECKING:
    from rich.console import Console

    from nplmon.demo import Report


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("demo", epilog="Example: nplmon demo --json")(demo)


def demo(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object last; progress goes to standard error.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the service running until Ctrl-C.")] = False,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference", help="Play this file: half is the reference, the rest the ordinary chunks."
        ),
    ] = None,
    anomaly: Annotated[
        Path | None, typer.Option("--anomaly", help="With --reference: the file of the anomalous chunks.")
    ] = None,
    features: Annotated[
        str | None, typer.Option("--features", help="With --reference: columns, comma separated.")
    ] = None,
) -> None:
    """Start a service, push 20 ordinary and 20 anomalous chunks over HTTP, and tell what was found.

    Ends with exit code 0 when the anomaly raised the alarm and the ordinary chunks did not, 1 otherwise. Everything
    runs on this machine, on free ports, in a temporary directory.
    """
    require("all", "torch", "fastapi", "uvicorn", "redis")
    if reference is None and (anomaly is not None or features is not None):
        raise typer.BadParameter("--anomaly and --features go with --reference FILE.")
    from rich.console import Console

    from nplmon.cli.screen import Screen
    from nplmon.demo import RunningService, play, real_stream, simulated_stream

    console = Console(stderr=as_json)
    chosen = None if features is None else [name.strip() for name in features.split(",")]
    stream = simulated_stream() if reference is None else real_stream(reference, anomaly, chosen)
    console.print(
        f"To play: {stream.ordinary} ordinary chunks, {stream.total - stream.ordinary} with {stream.anomaly}."
    )
    data_dir = Path(tempfile.mkdtemp(prefix="nplmon-demo-"))
    try:
        console.print("Starting the store, the API, one trainer and the aggregator ...")
        with RunningService(data_dir) as service:
            console.print(
                f"Ready; in a browser: {service.api}/monitors/dimuon\n"
                f"Preparing a reference of {len(stream.reference):,} events."
            )
            with Screen(console, stream) as screen:
                report = play(service.api, stream, screen.show)
            _tell(report, console, as_json=as_json)
            if keep:
                console.print(f"\nThe service goes on: page {service.api}/, docs {service.api}/docs")
                for name, url in service.addresses["metrics"].items():
                    console.print(f"  metrics of {name}: {url}")
                console.print(f"  nplmon watch dimuon --url {service.api}\nCtrl-C ends it.")
                service.wait()
    except KeyboardInterrupt:
        console.print("stopped")
        raise typer.Exit(130) from None
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    raise typer.Exit(0 if report.passed else 1)


def _tell(report: Report, console: Console, *, as_json: bool) -> None:
    console.print()
    console.print(report.in_words(), highlight=False, soft_wrap=not console.is_terminal)
    if report.passed:
        console.print("As it should be.", style="bold green")
    else:
        console.print("Not as it should be: exit code 1.", style="bold red")
    if as_json:
        typer.echo(json.dumps(report.as_json()))
