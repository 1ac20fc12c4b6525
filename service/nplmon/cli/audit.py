"""The command `nplmon audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from nplmon.cli.connect import connect
from nplmon.cli.options import Json, Url
from nplmon.cli.output import print_json, print_table, when


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("audit", epilog="Example: nplmon audit --limit 50")(audit)


def audit(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many entries.")] = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="Entries before the one of this id.")
    ] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Show who changed what, the newest first; needs a token with the scope admin."""
    with connect(url) as client:
        entries = client.audit(limit=limit, before=before)
    if as_json:
        print_json(entries)
        return
    print_table(
        ("when", "who", "token", "from", "did", "to", "id"),
        [
            (when(e.at), e.who or "-", e.token or "-", e.address or "-", e.action, e.object, e.id)
            for e in entries
        ],
        empty="nothing was changed yet",
    )
