"""Runbooks: what a monitor's people wrote, and what comes with nplmon for each alert."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter
from fastapi import Path as InPath
from starlette.responses import HTMLResponse, Response

from nplmon.api.answers import Answer, Runbook, described
from nplmon.api.context import InContext
from nplmon.api.markdown import html_of, title_of
from nplmon.api.names import MonitorPath
from nplmon.api.page import PAGE_HEADERS, REVALIDATE
from nplmon.api.problems import Problem
from nplmon.api.runbook_files import runbook

_OTHER = re.compile(r'<a href="(?:\./)?([A-Za-z][A-Za-z0-9]*)\.md(#[^"]*)?"')
_NOT_SERVED = re.compile(r'<a href="(?:\.\./)[^"]*"[^>]*>(.*?)</a>', re.DOTALL)

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<title>{title} - nplmon</title>
<link rel="icon" type="image/svg+xml" href="/page/icon.svg">
<script src="/page/script/theme.js"></script>
<link rel="stylesheet" href="/page/style/base.css">
<link rel="stylesheet" href="/runbooks/style.css">
</head>
<body>
<nav aria-label="nplmon"><a href="/">Overview</a><a href="/system">System</a></nav>
<main>
{body}</main>
</body>
</html>
"""

router = APIRouter()


@router.get(
    "/v1/monitors/{monitor}/runbook",
    tags=["alarms"],
    responses=described("What to do, and whom to call", Runbook),
)
async def show_runbook(context: InContext, monitor: MonitorPath) -> Answer:
    """Show what to do about a monitor's alarms, as it was written and as HTML that is safe in a page."""
    handling = (await context.broker.monitors.get(monitor)).handling
    html = await anyio.to_thread.run_sync(html_of, handling.runbook)
    return Answer(Runbook(markdown=handling.runbook, html=html, contact=handling.contact))


@router.get("/runbooks/style.css", include_in_schema=False)
async def show_style() -> Response:
    """Give the style of the runbooks' pages."""
    return Response(_style(), headers={**PAGE_HEADERS, "Cache-Control": REVALIDATE}, media_type="text/css")


@router.get(
    "/runbooks/{alert}",
    tags=["alarms"],
    response_class=HTMLResponse,
    responses={200: {"description": "The runbook as a page"}},
)
async def show_page(alert: Annotated[str, InPath(description="Name of the alert.")]) -> Response:
    """Show what to do about an alert, as a page that needs nothing from elsewhere."""
    markdown = await anyio.to_thread.run_sync(runbook, alert)
    if markdown is None:
        raise Problem(
            "unknown-path",
            f"There is no runbook {alert[:100]!r}.",
            field="alert",
            value=alert,
            remedy="Name an alert as the rules do, as in /runbooks/NplmonAnomaly.",
        )
    page = await anyio.to_thread.run_sync(page_of, alert, markdown)
    return Response(page, headers={**PAGE_HEADERS, "Cache-Control": REVALIDATE}, media_type="text/html")


def page_of(alert: str, markdown: str) -> str:
    """Give the page of a runbook; links to other runbooks lead to their pages, those to other files become text."""
    body = _OTHER.sub(r'<a href="/runbooks/\1\2"', html_of(markdown))
    return PAGE.format(title=escape(title_of(markdown) or alert), body=_NOT_SERVED.sub(r"\1", body))


@cache
def _style() -> bytes:
    return Path(__file__).with_name("runbook.css").read_bytes()
