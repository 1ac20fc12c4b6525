"""Files: what the browser loads, read once, with type and digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Suffix -> type; not from the system's table, which differs from machine to machine."""

PLOTLY_ADDRESS = "{plotly}"
"""Stands in index.html for the address of plotly's script, which carries its version."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page."""

    name: str
    """Its path below the page, as in "script/app.js"."""
    content_type: str
    body: bytes
    etag: str
    """Strong: the SHA-256 of the body, quoted."""


@cache
def page_files() -> Mapping[str, PageFile]:
    """Read all files of the page: about 0.2 MB, so that no request touches the disk or names a path of it.

    Examples
    --------
    >>> page_files()["index.html"].content_type
    'text/html; charset=utf-8'
    """
    address = f"/page/plotly.min.js?v={plotly_version()}"
    return {
        name: _page_file(name, body.replace(PLOTLY_ADDRESS.encode(), address.encode()))
        for name, body in _walk(files("nplmon.page"), "")
    }


@cache
def plotly_file() -> PageFile:
    """Read plotly's script (4.8 MB) out of the installed package, without importing that.

    Raises
    ------
    PackageNotFoundError
        If plotly is not installed; it comes with the extra `service`.
    """
    path = distribution("plotly").locate_file("plotly/package_data/plotly.min.js")
    return _page_file("plotly.min.js", path.read_bytes())  # type: ignore[attr-defined]  # a Path in all installations


@cache
def plotly_version() -> str:
    """Give the version of the installed plotly."""
    return distribution("plotly").version


def _page_file(name: str, body: bytes) -> PageFile:
    digest = hashlib.sha256(body).hexdigest()
    return PageFile(name, TYPES["." + name.rpartition(".")[2]], body, f'"{digest[:32]}"')


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif "." + entry.name.rpartition(".")[2] in TYPES:
            yield prefix + entry.name, entry.read_bytes()
