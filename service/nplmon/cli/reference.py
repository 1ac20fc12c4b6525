"""The commands `nplmon reference add|list|show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nplmon.cli.connect import connect
from nplmon.cli.options import Features, Json, Url, listed
from nplmon.cli.output import number, print_fields, print_json, print_table, when

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nplmon.client import Reference
    from nplmon.client.files import Table

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the reference.")]
# A large reference is one body; it must neither be given up nor sent again because it takes its time.
UPLOAD_SECONDS = 600.0


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Reference samples: what data should look like.")
    group.command("add", epilog="Example: nplmon reference add dimuon sm.npz --features pt1,pt2,eta1,eta2")(
        add
    )
    group.command("list", epilog="Example: nplmon reference list")(list_references)
    group.command("show", epilog="Example: nplmon reference show dimuon --json")(show)
    app.add_typer(group, name="reference")


def add(
    name: Name,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files with events; FILE.root:TREE.")],
    *,
    features: Features = None,
    units: Annotated[
        str | None, typer.Option("--units", metavar="A,B,...", help="One unit per feature; empty for none.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="The column that holds event weights.")
    ] = None,
    pool_share: Annotated[
        float | None,
        typer.Option(
            "--pool-share", help="Share of the events to set aside at random as the pool, e.g. 0.3."
        ),
    ] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Add a reference sample, or a new version of one, from files."""
    from nplmon.client.files import open_table

    tables = [open_table(file) for file in files]
    names = _features(tables, listed(features), weights)
    columns = names if weights is None else [*names, weights]
    events = whole(tables, columns, "a reference needs at least 100")
    with connect(url, deadline=UPLOAD_SECONDS) as client:
        reference = client.put_reference(
            name,
            events[:, : len(names)],
            names,
            units=listed(units),
            weights=None if weights is None else events[:, -1],
            pool_share=pool_share,
        )
    if as_json:
        print_json(reference)
    else:
        _print(reference)


def list_references(*, as_json: Json = False, url: Url = None) -> None:
    """List the references, the newest version of each."""
    with connect(url) as client:
        references = client.references()
    if as_json:
        print_json(references)
        return
    print_table(
        ("name", "events", "features", "added", "hash"),
        [(r.name, r.events, ",".join(r.features), when(r.created_at), r.hash[:12]) for r in references],
        empty="no references; add one with: nplmon reference add NAME FILE",
    )


def show(name: Name, *, as_json: Json = False, url: Url = None) -> None:
    """Show one reference with the range of each feature."""
    with connect(url) as client:
        reference = client.reference(name)
    if as_json:
        print_json(reference)
    else:
        _print(reference)


def whole(tables: Sequence[Table], columns: Sequence[str] | None, need: str) -> NDArray[np.floating]:
    """Read all events of files, (N, d); `need` says what is missing where there is none."""
    import numpy as np

    from nplmon.client import FileError
    from nplmon.client.files import pieces

    blocks = [piece.events for piece in pieces(tables, 1 << 18, columns)]
    if not blocks:
        raise FileError(f"{', '.join(str(table.source) for table in tables)}: no events; {need}")
    return np.concatenate(blocks)


def _features(tables: Sequence[Table], wanted: list[str] | None, weights: str | None) -> list[str]:
    from nplmon.client import FileError

    if wanted is not None:
        return [name for name in wanted if name != weights]
    columns = tables[0].columns
    if columns is None:
        raise FileError(f"{tables[0].source} has no column names; name its columns with --features a,b,c")
    return [name for name in columns if name != weights]


def _print(reference: Reference) -> None:
    print_fields(
        [
            ("name", reference.name),
            ("events", reference.events),
            ("effective", f"{reference.effective_events:.1f}" if reference.weighted else "unweighted"),
            ("added", when(reference.created_at)),
            ("hash", reference.hash),
        ]
    )
    columns = (
        reference.features,
        reference.units,
        *(
            [number(value) for value in values]
            for values in (
                reference.means,
                reference.standard_deviations,
                reference.minima,
                reference.maxima,
            )
        ),
    )
    header = ("feature", "unit", "mean", "deviation", "minimum", "maximum")
    print_table(header, zip(*columns, strict=True), empty="")
