"""The command `nplmon analyse`: files compared with a reference, without a service."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nplmon.cli.options import Features, listed
from nplmon.cli.output import number, print_fields, print_table
from nplmon.cli.roles import refuse, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nplmon.offline.analysis import Analysis

RESULT = "result.json"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "analyse",
        epilog="Example: nplmon analyse night.parquet --reference sm.npz --chunk-size 2000 --out night",
    )(analyse)


def analyse(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Files with the data; FILE.root:TREE.")
    ],
    *,
    reference: Annotated[
        list[str],
        typer.Option("--reference", metavar="FILE", help="The reference sample; repeat for several files."),
    ],
    features: Features = None,
    units: Annotated[
        str | None, typer.Option("--units", metavar="A,B,...", help="One unit per feature, for the plots.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="The reference's column that holds event weights.")
    ] = None,
    analysis: Annotated[
        str | None,
        typer.Option(
            "--analysis",
            help="single, sum, aggregation or resource-limited. Default: aggregation if there are chunks.",
        ),
    ] = None,
    chunk_size: Annotated[
        int | None,
        typer.Option("--chunk-size", min=1, help="Events per chunk. Default: each file is one."),
    ] = None,
    drop_rest: Annotated[
        bool, typer.Option("--drop-rest", help="Leave out the last chunk if it is not full.")
    ] = False,
    models: Annotated[
        int | None, typer.Option("--models", min=1, help="resource-limited: fit the first N chunks only.")
    ] = None,
    tested: Annotated[
        int | None, typer.Option("--tested", min=1, help="resource-limited: test the last N chunks only.")
    ] = None,
    mode: Annotated[
        str, typer.Option("--mode", help="shape, or rate to compare the counts as well.")
    ] = "shape",
    expected: Annotated[
        str | None,
        typer.Option("--expected", metavar="N,...", help="Expected events of each file, for --mode rate."),
    ] = None,
    model: Annotated[str, typer.Option("--model", help="Model family: kernel, sparker or mlp.")] = "kernel",
    centres: Annotated[
        int | None, typer.Option("--centres", min=1, help="Kernel centres. Default: 1000; sparker: 10.")
    ] = None,
    lambda_: Annotated[float | None, typer.Option("--lambda", help="Regularisation. Default: 1e-5.")] = None,
    sigma: Annotated[
        list[float] | None,
        typer.Option(
            "--sigma",
            help="Kernel width in standard deviations; repeat it for several. Default: from --sigma-quantile.",
        ),
    ] = None,
    sigma_quantile: Annotated[
        list[float] | None,
        typer.Option(
            "--sigma-quantile",
            help="Quantile of the pair distances that is a width; repeat it for several. Default: 0.9.",
        ),
    ] = None,
    toys: Annotated[
        int,
        typer.Option("--toys", min=0, help="Pseudo-experiments from held-out events of the reference."),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of centres and toys.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write result.json and the plots (PNG and PDF) there."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result instead of a table.")] = False,
) -> None:
    """Compare files with a reference, without a service.

    All events are tested at once, or cut into chunks whose density ratios are averaged. p and Z are from the
    closed-form null; with --toys from pseudo-experiments as well.
    """
    require("worker", "torch", "scipy", "safetensors")
    if out is not None:
        require("plots", "matplotlib", "mplhep")
    from nplmon.offline.analysis import analyse as compare
    from nplmon.offline.chunk import cut
    from nplmon.offline.errors import AnalysisError
    from nplmon.offline.report import report
    from nplmon.offline.sample import read_sample
    from nplmon.offline.settings import Settings

    try:
        with progress() as tell:
            tell("reading", 0, 2)
            base = read_sample(reference, listed(features), units=listed(units), weights=weights)
            tell("reading", 1, 2)
            data = read_sample(files, base.features)
            chunks = cut(data, chunk_size, _counts(mode, expected, len(files)), rest=not drop_rest)
            settings = Settings(
                analysis=analysis or ("aggregation" if len(chunks) > 1 else "single"),  # type: ignore[arg-type]  # it checks
                model=model,  # type: ignore[arg-type]  # it checks
                centres=centres,
                lambda_=lambda_,
                sigmas=tuple(sigma or ()),
                sigma_quantiles=tuple(sigma_quantile or ()),
                mode=mode,  # type: ignore[arg-type]  # it checks
                models=models,
                tested=tested,
                toys=toys,
                seed=seed,
                device=device,
            )
            found = compare(settings, base, data, chunks, tell)
            result = report(found) | {"plots": []}
            if out is not None:
                result["plots"] = _write(found, result, out, tell)
    except AnalysisError as error:
        refuse(str(error))
    for note in found.notes:
        typer.echo(f"nplmon: note: {note}", err=True)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        _tell(found, out)


def _counts(mode: str, expected: str | None, files: int) -> list[float] | None:
    """Read --expected: one number for all files, or one for each."""
    if (mode == "rate") != (expected is not None):
        raise typer.BadParameter("--mode rate and --expected go together")
    if expected is None:
        return None
    try:
        counts = [float(one) for one in expected.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--expected {expected}: give numbers, comma separated") from None
    return counts * files if len(counts) == 1 else counts


def _write(
    found: Analysis, result: dict[str, Any], out: Path, tell: Callable[[str, int, int], None]
) -> list[str]:
    from nplmon.offline.figures import draw

    out.mkdir(parents=True, exist_ok=True)
    plots = [path.name for path in draw(found, out, tell)]
    text = json.dumps(result | {"plots": plots}, indent=2, allow_nan=False)
    (out / RESULT).write_text(text + "\n", encoding="utf-8")
    return plots


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show what is being done on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total)

        yield tell


def _tell(found: Analysis, out: Path | None) -> None:
    settings, reference, answer = found.settings, found.model.reference, found.answer
    events = sum(len(chunk.events) for chunk in found.chunks)
    held = f" ({found.held_out:,} more held out for toys)" if found.held_out else ""
    fields = [
        ("analysis", f"{settings.analysis}, mode {settings.mode}, model {settings.model}"),
        ("features", ", ".join(found.data.features)),
        ("reference", f"{len(reference.events):,} events{held}"),
        ("data", f"{events:,} events in {len(found.chunks):,} chunk{'s' * (len(found.chunks) > 1)}"),
        ("exposure", f"{found.exposure_ratio:.3g} of the reference's"),
        ("effect size", number(found.effect_size, 3)),
    ]
    if answer.joint is not None:
        widths = ", ".join(number(one, 3) for one in found.sigmas)
        best = number(found.sigmas[answer.joint.best], 3)
        fields.append(("sigma", f"{best} of {widths}: it has the smallest p, which accounts for the choice"))
    print_fields(fields)
    typer.echo()
    rows = []
    for one in found.verdicts.values():
        closed, toys = one.closed_form, one.toys
        row = [
            f"{one.kind} *" if one is answer and len(found.verdicts) > 1 else one.kind,
            number(one.value, 5),
            "-" if closed is None else f"{closed.mean:.4g} ± {closed.deviation:.3g}",
            number(one.p, 3),
            "-" if one.z is None else f"{one.z:.2f}",
            one.state,
        ]
        if settings.toys:
            shown = "-" if toys is None else f"{toys.mean:.4g} ± {toys.deviation:.3g}"
            row[3:3] = [shown, "-" if toys is None else number(toys.p, 3)]
        rows.append(row)
    columns = ["statistic", "value", "null mean ± sd", "p", "Z", "p from"]
    if settings.toys:
        columns[3:3] = ["toys mean ± sd", "p of toys"]
    print_table(columns, rows, empty="no statistic")
    if settings.toys and answer.toys is not None:
        typer.echo(f"\n{settings.toys:,} toys resolve p down to {answer.toys.resolution:.2g}")
    if out is not None:
        typer.echo(f"\nwrote {out / RESULT} and the plots beside it")
