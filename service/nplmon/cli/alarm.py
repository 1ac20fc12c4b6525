"""The commands `nplmon alarm show|ack|test|journal`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nplmon.cli.connect import connect
from nplmon.cli.options import ChosenRun, Json, MonitorName, Url, Who, name_of
from nplmon.cli.output import print_fields, print_json, print_table, when

if TYPE_CHECKING:
    from nplmon.client import Acknowledgement, Alarm


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Alarms: what fired, who knows, what was done.")
    group.command("show", epilog="Example: nplmon alarm show dimuon")(show)
    group.command("ack", epilog='Example: nplmon alarm ack dimuon --comment "calling the experts"')(
        acknowledge
    )
    group.command("test", epilog="Example: nplmon alarm test dimuon --seconds 60")(fire_test)
    group.command("journal", epilog="Example: nplmon alarm journal dimuon --limit 20")(journal)
    app.add_typer(group, name="alarm")


def show(monitor: MonitorName, *, run: ChosenRun = None, as_json: Json = False, url: Url = None) -> None:
    """Show what fired and why, who knows about it, what to do and whom to call."""
    with connect(url) as client:
        now = client.statistic(monitor, run)
        test, runbook = client.test_alarm(monitor), client.runbook(monitor)
    alarm = None if now.snapshot is None else now.snapshot.alarm
    known = _in_force(now.run.acknowledged, alarm)
    if as_json:
        print_json(
            {
                "run": now.run.name,
                "alarm": alarm,
                "acknowledged": known,
                "test": test,
                "runbook": runbook.markdown,
                "contact": runbook.contact,
            }
        )
        return
    fired = alarm is not None and alarm.level != "ok"
    level = "-" if alarm is None else alarm.level
    print_fields(
        [
            ("run", f"{monitor}/{now.run.name}, {now.run.state}"),
            ("alarm", f"{level}, since {when(alarm.since)}" if alarm is not None and fired else level),
            ("rule", alarm.rule if alarm is not None and fired else "-"),
            ("acknowledged", "-" if known is None else f"by {known.who}, {when(known.at)}: {known.comment}"),
            ("test", "-" if test is None else f"fired by {test.who}, until {when(test.until)}"),
            ("contact", runbook.contact or "-"),
        ]
    )
    if runbook.markdown:
        typer.echo(f"\n{runbook.markdown.rstrip()}")


def acknowledge(
    monitor: MonitorName,
    *,
    comment: Annotated[str, typer.Option("--comment", help="What you do about it, for all to see.")],
    who: Who = None,
    run: ChosenRun = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Acknowledge the alarm of a run as it is now: it stays raised, and everyone sees who knows about it."""
    with connect(url) as client:
        now = client.statistic(monitor, run)
        alarm = None if now.snapshot is None else now.snapshot.alarm
        if alarm is None or alarm.level == "ok" or alarm.sequence is None:
            raise typer.BadParameter(f"{monitor}/{now.run.name} has raised no warning and no alarm")
        done = client.acknowledge(
            monitor,
            now.run.name,
            who=name_of(who),
            comment=comment,
            level=alarm.level,
            sequence=alarm.sequence,
        )
    if as_json:
        print_json(done)
    else:
        typer.echo(f"acknowledged the {alarm.level} of {monitor}/{done.name}: {alarm.rule}")


def fire_test(
    monitor: MonitorName,
    *,
    seconds: Annotated[float, typer.Option("--seconds", help="For which it lasts, at most 3600.")] = 300.0,
    comment: Annotated[str, typer.Option("--comment", help="Why, for all to see.")] = "",
    who: Who = None,
    end: Annotated[bool, typer.Option("--end", help="End the one that is fired.")] = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Fire an alarm that is marked as a test, to see whether it arrives; it ends by itself."""
    with connect(url) as client:
        if end:
            client.end_test_alarm(monitor, who=name_of(who))
            typer.echo("null" if as_json else f"no test alarm of {monitor} is fired")
            return
        fired = client.begin_test_alarm(monitor, who=name_of(who), comment=comment, seconds=seconds)
    if as_json:
        print_json(fired)
    else:
        typer.echo(f"test alarm of {monitor} until {when(fired.until)}")


def journal(
    monitor: MonitorName,
    *,
    limit: Annotated[int, typer.Option("--limit", help="Entries to show.")] = 50,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Show what happened to a monitor and what was done, the newest first."""
    with connect(url) as client:
        entries = client.journal(monitor, limit=limit)
    if as_json:
        print_json(entries)
        return
    print_table(
        ("when", "what", "run", "chunk", "who", "said"),
        [
            (when(one.at), one.kind, one.run or "-", one.chunk or "-", one.who or "-", one.text or "-")
            for one in entries
        ],
        empty=f"nothing happened to {monitor} yet",
    )


def _in_force(given: Acknowledgement | None, alarm: Alarm | None) -> Acknowledgement | None:
    """Give the acknowledgement of the alarm as it is; one of a lower alarm has lapsed."""
    if given is None or alarm is None or (given.level, given.sequence) != (alarm.level, alarm.sequence):
        return None
    return given
