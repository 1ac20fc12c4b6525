"""The command `nplmon calibrate`."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from nplmon.cli.connect import connect
from nplmon.cli.options import Json, MonitorName, Url, listed
from nplmon.cli.output import print_fields, print_json, when
from nplmon.cli.roles import refuse

if TYPE_CHECKING:
    from nplmon.cli.toy_progress import ToyProgress
    from nplmon.client import CalibrationStatus, Client, ToyCalibration

LOOK_SECONDS = 0.5


class Source(StrEnum):
    """Where the data of toys are from."""

    disjoint = "disjoint"
    fixed_reference = "fixed-reference"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("calibrate", epilog="Example: nplmon calibrate dimuon --toys 10000")(calibrate)


def calibrate(
    monitor: MonitorName,
    *,
    toys: Annotated[
        int | None,
        typer.Option("--toys", help="Number of toys. Default: 10 for each chunk of the expected run length."),
    ] = None,
    chunks: Annotated[
        int | None, typer.Option("--chunks", help="Chunks of each toy. Default: up to 50, as events suffice.")
    ] = None,
    events: Annotated[
        float | None,
        typer.Option("--events", help="Events expected in each chunk. Default: those of the last run."),
    ] = None,
    source: Annotated[
        Source | None,
        typer.Option(
            "--source",
            help="Draw data from the reference's pool, or reference and data anew. Default: the pool, if large enough.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the toys. Default: 0.")] = None,
    statistics: Annotated[
        str | None,
        typer.Option(
            "--statistics",
            metavar="A,B,...",
            help="Those to calibrate: t_score, t_agg, t_ref, t_chunk, t_sum. Default: t_score, which needs no fits.",
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Queue it and do not wait.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="End it, or drop a complete one.")] = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Calibrate a monitor by toys, which trainers run while no chunk waits.

    The same command goes on with a calibration that runs, or that failed. Ctrl-C only stops watching.
    """
    asked = {
        "toys": toys,
        "chunks": chunks,
        "events": events,
        "source": source,
        "seed": seed,
        "statistics": statistics,
    }
    if cancel and (detach or any(value is not None for value in asked.values())):
        raise typer.BadParameter("--cancel stands alone: it ends the calibration that is there")
    with connect(url) as client:
        if cancel:
            _tell(client.cancel_calibration(monitor), as_json)
            return
        status = client.calibrate(
            monitor,
            toys=toys,
            chunks=chunks,
            events=events,
            source=None if source is None else source.value,
            seed=seed,
            statistics=listed(statistics),
        )
        if not detach:
            status = _watched(client, status)
    if status.calibration.state not in {"complete", "running"}:
        refuse(_ended(status.calibration))
    _tell(status, as_json)


def _watched(client: Client, status: CalibrationStatus) -> CalibrationStatus:
    """Follow a calibration to its end, or until Ctrl-C."""
    from nplmon.cli.toy_progress import ToyProgress

    with ToyProgress(status) as progress:
        try:
            while status.calibration.state == "running":
                time.sleep(LOOK_SECONDS)
                status = _looked(client, status, progress)
        except KeyboardInterrupt:
            progress.leave()
            one = status.calibration
            typer.echo(
                f"the calibration of {one.monitor} goes on: {one.toys_done:,} of {one.plan.toys:,} toys are done; "
                f"watch it again with `nplmon calibrate {one.monitor}`, end it with "
                f"`nplmon calibrate {one.monitor} --cancel`",
                err=True,
            )
            raise
    return status


def _looked(client: Client, status: CalibrationStatus, progress: ToyProgress) -> CalibrationStatus:
    from nplmon.client import Unavailable

    try:
        status = client.calibration(status.calibration.monitor)
    except Unavailable as error:
        progress.trouble(f"{error}; trying again")
    else:
        progress.show(status)
    return status


def _ended(calibration: ToyCalibration) -> str:
    again = "nothing is kept; ask for a new one with the same command"
    if calibration.state == "failed":
        again = "what is done is kept: the same command goes on with it"
    return f"the calibration of {calibration.monitor} is {calibration.state}: {calibration.reason}; {again}"


def _tell(status: CalibrationStatus, as_json: bool) -> None:
    if as_json:
        print_json(status)
        return
    one, plan = status.calibration, status.calibration.plan
    pool = f"{plan.pool_events:,} events of the pool" if plan.pool_hash else "the reference, split"
    fields = [
        ("monitor", f"{one.monitor}, epoch {one.monitor_epoch}"),
        ("state", f"{one.state}: {one.reason}" if one.reason else one.state),
        ("toys", f"{one.toys_done:,} of {plan.toys:,} done"),
        ("plan", f"{plan.source}, {plan.chunks} chunks of {plan.events:g} events, seed {plan.seed}, {pool}"),
        ("statistics", ", ".join(plan.statistics)),
        ("run length", f"alarm {one.run_length:g} chunks, warning {one.warning_run_length:g}"),
        ("asked for", when(one.asked_at)),
    ]
    if one.state == "running":
        fields.append(("trainers", str(status.trainers)))
    if one.ended_at is not None:
        fields.append(("ended", when(one.ended_at)))
    if one.state == "complete":
        fields.append(("resolution", f"p >= {1 / (plan.toys + 1):.2g}; below it the closed form takes over"))
        fields.append(("closed form", f"disagrees: {one.disagreement}" if one.disagreement else "agrees"))
    if one.note:
        fields.append(("note", one.note))
    print_fields(fields)
