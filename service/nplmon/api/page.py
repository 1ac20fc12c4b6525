"""The page: index.html for every view, the files that it loads, and what they may do in a browser."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response

from nplmon.api.names import MonitorPath
from nplmon.api.problems import Problem
from nplmon.page import page_files, plotly_file
from nplmon.page.files import plotly_version

if TYPE_CHECKING:
    from nplmon.page import PageFile

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing from elsewhere, no inline script, no inline style."""

PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer that a browser shows as a page."""

REVALIDATE = "no-cache"
FOREVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
@router.api_route("/system", methods=["GET", "HEAD"])
async def overview(request: Request) -> Response:
    """Give the page; its script shows the view that the path names."""
    return answer(request, page_files()["index.html"])


@router.api_route("/monitors/{monitor}", methods=["GET", "HEAD"])
@router.api_route("/monitors/{monitor}/alarm", methods=["GET", "HEAD"])
@router.api_route("/monitors/{monitor}/where", methods=["GET", "HEAD"])
async def view(request: Request, monitor: MonitorPath) -> Response:  # noqa: ARG001  # the script reads the path
    """Give the page; whether there is such a monitor, its script asks."""
    return answer(request, page_files()["index.html"])


@router.api_route("/page/plotly.min.js", methods=["GET", "HEAD"])
async def plotly(request: Request) -> Response:
    """Give plotly's script from the installed package; for ever where the query names its version."""
    lasting = request.query_params.get("v") == plotly_version()
    file = await asyncio.to_thread(plotly_file)
    return answer(request, file, FOREVER if lasting else REVALIDATE)


@router.api_route("/page/{name:path}", methods=["GET", "HEAD"])
async def page_file(request: Request, name: str) -> Response:
    """Give one file of the page: a name of the list, never a path of the disk."""
    file = page_files().get(name)
    if file is None:
        path = f"/page/{name[:100]}"
        raise Problem(
            "unknown-path", f"There is no {path}.", field="path", value=path, remedy="Open / for the page."
        )
    return answer(request, file)


def answer(request: Request, file: PageFile, caching: str = REVALIDATE) -> Response:
    """Give a file, or 304 where the browser has it."""
    headers = {**PAGE_HEADERS, "ETag": file.etag, "Cache-Control": caching}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")}
    if file.etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    headers["Content-Type"] = file.content_type
    return Response(file.body, headers=headers)
