"""The command `nplmon closure`: what the statistics promise, measured on toys."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from nplmon.cli.analyse import progress
from nplmon.cli.output import print_fields
from nplmon.cli.roles import refuse, require

DATA = "NPLMON_TEST_DATA"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("closure", epilog="Example: nplmon closure --quick --out closure")(closure)


def closure(
    *,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Write closure.json, closure.md and the plots there.")
    ],
    quick: Annotated[
        bool, typer.Option("--quick", help="A few minutes' look: 40 runs of 8 chunks at one exposure.")
    ] = False,
    study: Annotated[
        list[str] | None,
        typer.Option(
            "--study",
            help="uniform, run-length, e-process, power or delay; repeat for several. Default: all.",
        ),
    ] = None,
    runs: Annotated[
        int | None, typer.Option("--runs", min=20, help="Runs for each set of p-values. Default: 1000.")
    ] = None,
    streams: Annotated[
        int | None,
        typer.Option("--streams", min=20, help="Streams for run lengths and e-processes. Default: 400."),
    ] = None,
    chunks: Annotated[
        int | None, typer.Option("--chunks", min=1, help="Chunks of a run. Default: 32.")
    ] = None,
    exposure: Annotated[
        list[float] | None,
        typer.Option(
            "--exposure", help="Exposure after the last chunk; repeat for several. Default: 0.1, 0.5 and 2."
        ),
    ] = None,
    toys: Annotated[
        int | None,
        typer.Option(
            "--toys", min=60, help="Runs of each signal for the powers, a multiple of 6. Default: 300."
        ),
    ] = None,
    dimuon: Annotated[
        Path | None,
        typer.Option(
            "--dimuon",
            metavar="FILE",
            help="The dimuon sample. Default: dimuon_sm.npz in NPLMON_TEST_DATA, where that is set.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of everything.")] = 1,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, help="Processes beside each other. Default: one for each core."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print closure.json's summary alone.")] = False,
) -> None:
    """Measure what the statistics promise, on toys: uniform p-values, run lengths, e-processes, power and delay.

    Writes a report with plots. The exit code is 0 whatever it finds: a hundred checks at 1 % are not all inside.
    """
    require("worker", "torch", "scipy", "safetensors")
    require("plots", "matplotlib", "mplhep")
    from nplmon.closure import Settings
    from nplmon.closure import closure as measure
    from nplmon.closure.workers import cores
    from nplmon.offline.errors import AnalysisError

    try:
        settings = Settings(dimuon=_dimuon(dimuon), seed=seed, jobs=jobs or cores())
        settings = settings.quickly() if quick else settings
        settings = replace(
            settings,
            studies=tuple(study or settings.studies),
            runs=runs or settings.runs,
            streams=streams or settings.streams,
            chunks=chunks or settings.chunks,
            exposures=tuple(exposure or settings.exposures),
            toys=toys or settings.toys,
        )
        with progress() as tell:
            found = measure(settings, out, tell)
    except AnalysisError as error:
        refuse(str(error))
    if as_json:
        typer.echo(json.dumps(found["summary"], indent=2))
        return
    counts = found["summary"]
    print_fields(
        [
            ("checks", f"{counts['checks']} promised"),
            ("outside", f"{counts['outside']} ({counts['outside_by_chance']:g} by chance)"),
            ("report", str(out / "closure.md")),
        ]
    )


def _dimuon(given: Path | None) -> str:
    """Find the file of the dimuon sample."""
    if given is not None:
        if not given.is_file():
            refuse(f"--dimuon {given}: no such file")
        return str(given)
    folder = os.environ.get(DATA)
    if not folder:
        return ""
    path = Path(folder) / "dimuon_sm.npz"
    if not path.is_file():
        refuse(f"{path} is missing: set {DATA} to the folder that holds it, or unset it")
    return str(path)
