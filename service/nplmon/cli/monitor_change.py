"""The command `nplmon monitor change`."""

from __future__ import annotations

from typing import Annotated

import typer

from nplmon.cli.connect import connect
from nplmon.cli.handling import Contact, Emails, RunbookFile, StaleAfter, Webhooks, handling, told
from nplmon.cli.options import Json, MonitorName, Url
from nplmon.cli.output import print_fields, print_json


def change(
    name: MonitorName,
    *,
    runbook: RunbookFile = None,
    contact: Contact = None,
    stale_after: StaleAfter = None,
    webhook: Webhooks = None,
    no_webhooks: Annotated[bool, typer.Option("--no-webhooks", help="Tell no address any more.")] = False,
    email: Emails = None,
    no_emails: Annotated[bool, typer.Option("--no-emails", help="Send no e-mail any more.")] = False,
    description: Annotated[str | None, typer.Option("--description", help="A line for people.")] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Change what people do about a monitor's alarms, and its description; what is not given stays."""
    if (webhook and no_webhooks) or (email and no_emails):
        raise typer.BadParameter("name whom to tell, or tell nobody (and not both)")
    wanted = handling(
        runbook,
        contact,
        stale_after,
        [] if no_webhooks else webhook or None,
        [] if no_emails else email or None,
    )
    if wanted is None and description is None:
        raise typer.BadParameter("give something to change")
    with connect(url) as client:
        monitor = client.change_monitor(name, handling=wanted, description=description)
    if as_json:
        print_json(monitor)
    else:
        print_fields(
            [("name", monitor.name), ("description", monitor.description or "-"), *told(monitor.handling)]
        )
