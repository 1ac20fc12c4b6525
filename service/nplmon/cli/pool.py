"""The commands `nplmon pool add|show|feed`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from nplmon.cli.connect import connect
from nplmon.cli.options import Features, Json, Url, listed
from nplmon.cli.output import print_fields, print_json, print_table, when
from nplmon.cli.reference import UPLOAD_SECONDS, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nplmon.client import Client, Pool, PoolAdded
    from nplmon.client.files import Table
    from nplmon.simulators.scenario import Scenario

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the reference.")]
Version = Annotated[
    str | None, typer.Option("--version", help="Hash of an older version. Default: the newest.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(
        no_args_is_help=True, help="Pools: held-out events of a reference, for the exact e-process and toys."
    )
    group.command("add", epilog="Example: nplmon pool add dimuon more.npz")(add)
    group.command("show", epilog="Example: nplmon pool show dimuon --json")(show)
    group.command("feed", epilog="Example: nplmon pool feed dimuon --scenario dimuon-quiet --above 200000")(
        feed
    )
    app.add_typer(group, name="pool")


def add(
    name: Name,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files with events; FILE.root:TREE.")],
    *,
    features: Features = None,
    version: Version = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Add events of files to the pool of a reference; none may be in the reference.

    Columns are found by the reference's feature names; --features chooses others, which then stand for the
    features in their order. The same events again add nothing.
    """
    from nplmon.client.files import open_table

    tables = [open_table(file) for file in files]
    with connect(url, deadline=UPLOAD_SECONDS) as client:
        columns = _columns(tables, listed(features), client.reference(name).features)
        events = whole(tables, columns, "nothing was added")
        added = client.add_to_pool(name, events, version=version)
    if as_json:
        print_json(added)
        return
    typer.echo(_said(added, len(events)))


def show(name: Name, *, version: Version = None, as_json: Json = False, url: Url = None) -> None:
    """Show the pool of a reference, and what each monitor has left of it."""
    with connect(url) as client:
        pool = client.pool(name, version=version)
    if as_json:
        print_json(pool)
        return
    print_fields(
        [
            ("reference", pool.reference),
            ("version", pool.reference_hash),
            ("events", f"{pool.events:,}"),
            ("hash", pool.hash or "-"),
        ]
    )
    print_table(
        ("monitor", "events left"),
        [(monitor, f"{left:,}") for monitor, left in sorted(pool.left.items())],
        empty="no monitor has this version of the reference",
    )
    print_table(
        ("segment", "events", "added"),
        [(segment.hash[:12], f"{segment.events:,}", when(segment.added_at)) for segment in pool.segments],
        empty=f"the pool is empty; fill it with: nplmon pool add {name} FILE",
    )


def feed(
    name: Name,
    *,
    scenario: Annotated[str, typer.Option("--scenario", help="Generator of H0; see nplmon simulate --list.")],
    above: Annotated[
        int, typer.Option("--above", min=1, help="Keep every monitor's level above this many events.")
    ] = 100_000,
    events: Annotated[int, typer.Option("--events", min=1, help="Events of one upload.")] = 50_000,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed; the same seed gives the same events.")
    ] = 1,
    interval: Annotated[float, typer.Option("--interval", min=0.1, help="Seconds between two looks.")] = 5.0,
    once: Annotated[bool, typer.Option("--once", help="Fill up to the mark once, and end.")] = False,
    version: Version = None,
    url: Url = None,
) -> None:
    """Keep the pool of a reference filled from a simulated scenario, until Ctrl-C.

    What it draws is shared with no chunk and no reference of the scenario. Started again, with the same seed, it goes
    on where it was: what is there already is not added.
    """
    from nplmon.client import TooLarge, Unavailable
    from nplmon.simulators.errors import SimulationError
    from nplmon.simulators.scenario import scenario as find

    try:
        source = find(scenario)
    except SimulationError as error:
        raise typer.BadParameter(str(error)) from error
    number = 0
    with connect(url, deadline=UPLOAD_SECONDS, unreachable=None if not once else 2.0) as client:
        try:
            while True:
                try:
                    number = _fill(
                        client, name, source, number, version, above=above, events=events, seed=seed
                    )
                except (TooLarge, Unavailable) as error:
                    if once:
                        raise
                    typer.echo(f"{error}; trying again", err=True)
                if once:
                    return
                time.sleep(interval)
        except KeyboardInterrupt:
            pass


def _fill(
    client: Client,
    name: str,
    source: Scenario,
    number: int,
    version: str | None,
    *,
    above: int,
    events: int,
    seed: int,
) -> int:
    """Upload held-out samples from `number` on until the level is above the mark; give the next number."""
    pool = client.pool(name, version=version)
    while level(pool) < above:
        drawn = source.held_out(number, events, seed=seed)
        added = client.add_to_pool(name, drawn, features=source.features, version=version)
        number += 1
        pool = added.pool
        if added.added:
            typer.echo(f"added {added.added:,} events of {source.name}; the least level is {level(pool):,}")
    return number


def level(pool: Pool) -> int:
    """Give the events that the monitor that has used most has left, or all where there is no monitor."""
    return min(pool.left.values(), default=pool.events)


def _said(added: PoolAdded, sent: int) -> str:
    pool = added.pool
    if not added.added:
        return f"nothing added: the pool of {pool.reference} was given these {sent:,} events before"
    return f"added {added.added:,} events to the pool of {pool.reference}: {pool.events:,} now"


def _columns(
    tables: Sequence[Table], wanted: list[str] | None, features: Sequence[str]
) -> Sequence[str] | None:
    """Give the columns to read, in the order of the features; None where the files have no names."""
    if wanted is not None:
        return list(features) if sorted(wanted) == sorted(features) else wanted
    return None if tables[0].columns is None else list(features)
