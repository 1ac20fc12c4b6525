"""The commands `nplmon monitor create|change|list|show|delete`."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from nplmon.cli.connect import connect
from nplmon.cli.handling import Contact, Emails, RunbookFile, StaleAfter, Webhooks, handling, told
from nplmon.cli.monitor_change import change
from nplmon.cli.options import Json, MonitorName, Url, listed
from nplmon.cli.output import print_fields, print_json, print_table, when

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nplmon.client import Monitor


class AlarmStatistic(StrEnum):
    """What decides on alarms."""

    t_score = "t_score"
    log_sr = "log_sr"
    log_cusum = "log_cusum"


class Mode(StrEnum):
    """What is compared: the distributions alone, or the count as well."""

    shape = "shape"
    rate = "rate"


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Monitors: which data are compared with which reference.")
    group.command("create", epilog="Example: nplmon monitor create dimuon --reference dimuon --centres 500")(
        create
    )
    group.command("change", epilog='Example: nplmon monitor change dimuon --contact "Ada, 4711"')(change)
    group.command("list", epilog="Example: nplmon monitor list --json")(list_monitors)
    group.command("show", epilog="Example: nplmon monitor show dimuon")(show)
    group.command("delete", epilog="Example: nplmon monitor delete dimuon --yes")(delete)
    app.add_typer(group, name="monitor")


def create(
    name: MonitorName,
    *,
    reference: Annotated[str, typer.Option("--reference", help="Name of the reference to compare with.")],
    features: Annotated[
        str | None,
        typer.Option("--features", metavar="A,B,...", help="Some of the reference's features. Default: all."),
    ] = None,
    mode: Annotated[
        Mode | None, typer.Option("--mode", help="Compare shapes only, or the count as well. Default: shape.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", help="Expected events per unit of exposure.")
    ] = None,
    control_events: Annotated[
        int | None, typer.Option("--control-events", help="In place of --rate: events counted elsewhere.")
    ] = None,
    control_exposure: Annotated[
        float | None, typer.Option("--control-exposure", help="The exposure that they were counted in.")
    ] = None,
    centres: Annotated[int | None, typer.Option("--centres", help="Nystrom centres. Default: 1000.")] = None,
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
            help="Quantile of the pair distances that is a width; repeat it. Default: 0.25, 0.5 and 0.75.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the drawn centres. Default: 0.")] = None,
    expected_run_length: Annotated[
        float | None,
        typer.Option("--expected-run-length", help="Chunks between false alarms, on average. Default: 1000."),
    ] = None,
    warning_run_length: Annotated[
        float | None, typer.Option("--warning-run-length", help="The same for warnings. Default: 100.")
    ] = None,
    alarm_statistic: Annotated[
        AlarmStatistic | None,
        typer.Option("--alarm-statistic", help="What decides on alarms. Default: t_score."),
    ] = None,
    false_alarm_probability: Annotated[
        float | None,
        typer.Option(
            "--false-alarm-probability", help="alpha of the line log(1 / alpha) of log E. Default: 0.01."
        ),
    ] = None,
    effect_size_floor: Annotated[
        float | None,
        typer.Option(
            "--effect-size-floor", help="No alarm unless the effect size is above it. Default: none."
        ),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(
            "--template", help="A reference whose mixtures with the first are tolerated; may be repeated."
        ),
    ] = None,
    runbook: RunbookFile = None,
    contact: Contact = None,
    stale_after: StaleAfter = None,
    webhook: Webhooks = None,
    email: Emails = None,
    description: Annotated[str | None, typer.Option("--description", help="A line for people.")] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Create a monitor."""
    kernel = _given(
        {
            "centres": centres,
            "lambda": lambda_,
            "sigmas": sigma or None,
            "sigma_quantiles": sigma_quantile or None,
            "seed": seed,
        }
    )
    alarm = _given(
        {
            "expected_run_length": expected_run_length,
            "warning_run_length": warning_run_length,
            "statistic": None if alarm_statistic is None else alarm_statistic.value,
            "false_alarm_probability": false_alarm_probability,
        }
    )
    control = _given({"events": control_events, "exposure": control_exposure})
    if control is not None and len(control) < 2:
        raise typer.BadParameter("--control-events and --control-exposure belong together: give both")
    tolerance: dict[str, object] = {}
    if effect_size_floor is not None:
        tolerance["effect_size"] = effect_size_floor
    if template:
        tolerance["templates"] = template
    with connect(url) as client:
        monitor = client.create_monitor(
            name,
            reference,
            features=listed(features),
            mode=None if mode is None else mode.value,
            rate=rate,
            control=control,
            kernel=kernel,
            alarm=alarm,
            tolerance=tolerance or None,
            description=description,
            handling=handling(runbook, contact, stale_after, webhook or None, email or None),
        )
    if as_json:
        print_json(monitor)
    else:
        _print(monitor)


def list_monitors(*, as_json: Json = False, url: Url = None) -> None:
    """List the monitors."""
    with connect(url) as client:
        monitors = client.monitors()
    if as_json:
        print_json(monitors)
        return
    print_table(
        ("name", "reference", "mode", "features", "description"),
        [(m.name, m.reference, m.mode, ",".join(m.features), m.description) for m in monitors],
        empty="no monitors; create one with: nplmon monitor create NAME --reference REFERENCE",
    )


def show(name: MonitorName, *, as_json: Json = False, url: Url = None) -> None:
    """Show the settings of a monitor."""
    with connect(url) as client:
        monitor = client.monitor(name)
    if as_json:
        print_json(monitor)
    else:
        _print(monitor)


def delete(
    name: MonitorName,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
) -> None:
    """Delete a monitor with all its runs; there is no way back."""
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter(
                "deleting a monitor with all its runs needs --yes where nobody can be asked"
            )
        typer.confirm(f"Delete the monitor {name} with all its runs?", abort=True)
    with connect(url) as client:
        client.delete_monitor(name)
    typer.echo(f"deleted {name}")


def _given(
    settings: Mapping[str, float | str | list[float] | None],
) -> dict[str, float | str | list[float]] | None:
    return {name: value for name, value in settings.items() if value is not None} or None


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _expected(monitor: Monitor) -> str:
    if monitor.control is not None:
        control = monitor.control
        return f", the rate apart: {control.events:,} events in a control exposure of {control.exposure:g}"
    if monitor.rate is None:
        return ""
    return f", {monitor.rate:g} events per exposure" + (", tested apart" if monitor.mode == "shape" else "")


def _print(monitor: Monitor) -> None:
    kernel, alarm = monitor.kernel, monitor.alarm
    width = (
        f"sigma {_numbers(kernel.sigmas)}"
        if kernel.sigmas
        else f"sigma quantiles {_numbers(kernel.sigma_quantiles)}"
    )
    named = zip(monitor.features, monitor.units, strict=True)
    print_fields(
        [
            ("name", monitor.name),
            ("description", monitor.description or "-"),
            ("reference", f"{monitor.reference} ({monitor.reference_hash[:12]})"),
            ("features", ", ".join(f"{name} [{unit}]" if unit else name for name, unit in named)),
            (
                "mode",
                monitor.mode + _expected(monitor),
            ),
            ("kernel", f"{kernel.centres} centres, lambda {kernel.lambda_:g}, {width}, seed {kernel.seed}"),
            ("tolerance", _tolerated(monitor)),
            ("alarm", f"by {alarm.statistic}, a false one every {alarm.expected_run_length:g} chunks"),
            ("warning", f"a false one every {alarm.warning_run_length:g} chunks"),
            *told(monitor.handling),
            ("epoch", f"{monitor.epoch}, since {when(monitor.changed_at)}"),
        ]
    )


def _tolerated(monitor: Monitor) -> str:
    tolerance = monitor.tolerance
    floor = "" if tolerance.effect_size is None else f"effect size up to {tolerance.effect_size:g}"
    mixtures = ", ".join(f"{one.name} ({one.hash[:12]})" for one in tolerance.templates)
    return "; ".join(part for part in (floor, mixtures and f"mixtures with {mixtures}") if part) or "-"
