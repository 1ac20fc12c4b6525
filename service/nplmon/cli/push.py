"""The command `nplmon push`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from nplmon.cli.connect import connect
from nplmon.cli.growing import GrowingDirectory
from nplmon.cli.options import Features, Json, Url, listed
from nplmon.cli.output import print_json
from nplmon.cli.pushing import Pushing, Tally, progress

# How often a followed directory is looked at, in s.
_LOOK_EVERY = 0.25


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "push",
        epilog="Example: nplmon push night1.parquet night2.parquet --monitor dimuon --run r1 --chunk-size 2000",
    )(push)


def push(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Files with events; FILE.root:TREE; - for npy or csv on standard input."
        ),
    ],
    *,
    monitor: Annotated[str, typer.Option("--monitor", help="Name of the monitor.")],
    run: Annotated[str, typer.Option("--run", help="Name of the run; the first chunk opens it.")],
    chunk_size: Annotated[int, typer.Option("--chunk-size", min=1, help="Events per chunk.")],
    features: Features = None,
    exposure: Annotated[
        float | None,
        typer.Option(
            "--exposure", help="Exposure of each chunk; needed where the rate is compared or tested."
        ),
    ] = None,
    drop_rest: Annotated[
        bool,
        typer.Option("--drop-rest", help="Leave out the last chunk if it is not full. Default: send it."),
    ] = False,
    concurrency: Annotated[
        int,
        typer.Option("--concurrency", min=1, help="Chunks in flight; above 1 neighbours may swap places."),
    ] = 1,
    follow: Annotated[
        bool, typer.Option("--follow", help="FILE is a directory: push each file that comes, until Ctrl-C.")
    ] = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Push the events of files as chunks.

    Columns are found by the monitor's feature names where the files have names; --features chooses others,
    which then stand for the monitor's features in their order. Pushing a file again counts nothing twice.
    """
    tally = Tally()
    with connect(url) as client:
        target = client.monitor(monitor)
    with connect(url, deadline=60.0, unreachable=None) as client:
        pushing = Pushing(
            client=client,
            monitor=target,
            run=run,
            size=chunk_size,
            features=listed(features),
            exposure=exposure,
            rest=not drop_rest,
            concurrency=concurrency,
        )
        if follow:
            _follow(pushing, files, tally)
        else:
            _push_files(pushing, files, tally)
    if as_json:
        print_json(vars(tally))
    else:
        typer.echo(tally.words(monitor, run))
    if tally.failures:
        raise typer.Exit(2)


def _push_files(pushing: Pushing, files: list[str], tally: Tally) -> None:
    from nplmon.client import FileError
    from nplmon.client.files import open_stream, open_table

    tables = [open_stream(sys.stdin.buffer) if file == "-" else open_table(file) for file in files]
    progress(pushing.push(tables, tally), f"pushing to {pushing.monitor.name}/{pushing.run}")
    if not tally.chunks:
        raise FileError(f"{', '.join(files)}: not one chunk of {pushing.size} events to push")


def _follow(pushing: Pushing, files: list[str], tally: Tally) -> None:
    from nplmon.client.files import SUFFIXES

    if len(files) != 1 or not Path(files[0]).is_dir():
        raise typer.BadParameter(f"--follow needs one directory, got {' '.join(files)!r}")
    directory = GrowingDirectory(Path(files[0]), SUFFIXES)
    typer.echo(f"following {directory.path}; Ctrl-C ends", err=True)
    try:
        while True:
            for path in directory.ready(time.monotonic(), time.time()):
                if _push_one(pushing, path, tally):
                    directory.take(path)
            time.sleep(_LOOK_EVERY)
    except KeyboardInterrupt:
        typer.echo("ended by Ctrl-C", err=True)


def _push_one(pushing: Pushing, path: Path, tally: Tally) -> bool:
    """Push one file on its own; false if it must be tried again.

    Nothing is carried over into the next file: its chunks would have other ids after a restart.
    """
    from nplmon.client import FileError, Invalid, TooLarge, Unavailable
    from nplmon.client.files import open_table

    before, duplicates = tally.chunks, tally.duplicates
    try:
        for _ in pushing.push([open_table(path)], tally):
            pass
    except Unavailable as error:
        typer.echo(f"nplmon: {path.name}: {error}; trying again", err=True)
        return False
    except (FileError, Invalid, TooLarge) as error:
        tally.failures.append(path.name)
        typer.echo(f"nplmon: {path.name} left out: {error}", err=True)
        return True
    new = tally.chunks - before - (tally.duplicates - duplicates)
    typer.echo(f"{path.name}: {tally.chunks - before} chunks, {new} of them new", err=True)
    return True
