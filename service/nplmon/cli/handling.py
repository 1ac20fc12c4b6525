"""Options about what people do about a monitor's alarms, which creating and changing a monitor share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nplmon.client import Handling

RunbookFile = Annotated[
    Path | None,
    typer.Option("--runbook", metavar="FILE", help="What to do about its alarms, a markdown file."),
]
Contact = Annotated[str | None, typer.Option("--contact", help="Whom to call.")]
StaleAfter = Annotated[
    float | None,
    typer.Option(
        "--stale-after", metavar="S", help="Seconds without news after which it is stale. Default: 600."
    ),
]
Webhooks = Annotated[
    list[str] | None,
    typer.Option(
        "--webhook", metavar="URL", help="An address that is told of alarms; repeat it for several."
    ),
]
Emails = Annotated[
    list[str] | None,
    typer.Option(
        "--email", metavar="ADDRESS", help="Who gets an e-mail about alarms; repeat it for several."
    ),
]


def handling(
    runbook: Path | None,
    contact: str | None,
    stale_after: float | None,
    webhooks: list[str] | None,
    emails: list[str] | None,
) -> dict[str, object] | None:
    """Give what was asked for as the interface takes it; None if nothing was.

    Raises
    ------
    OSError
        If the runbook cannot be read.
    """
    given = {
        "runbook": None if runbook is None else runbook.read_text(encoding="utf-8"),
        "contact": contact,
        "stale_after": stale_after,
        "webhooks": webhooks,
        "emails": emails,
    }
    return {name: value for name, value in given.items() if value is not None} or None


def told(found: Handling) -> list[tuple[str, str]]:
    """Give what people do about a monitor's alarms, as names and values to print."""
    lines = len(found.runbook.splitlines())
    return [
        ("contact", found.contact or "-"),
        ("runbook", f"{lines} lines" if lines else "-"),
        ("stale after", f"{found.stale_after:g} s"),
        ("told", ", ".join((*found.webhooks, *found.emails)) or "-"),
    ]
