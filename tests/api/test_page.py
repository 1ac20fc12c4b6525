"""The page over HTTP: types, caching, what a browser may do, and nothing but the page's own files."""

from __future__ import annotations

import re

import httpx
import pytest
from tests.api.bodies import check_problem

from nplmon.api.page import PAGE_HEADERS, POLICY
from nplmon.page import page_files, plotly_file
from nplmon.page.files import plotly_version

pytestmark = pytest.mark.anyio

VIEWS = ["/", "/system", "/monitors/m", "/monitors/m/where", "/monitors/m/alarm"]


@pytest.mark.parametrize("path", VIEWS)
async def test_every_view_is_the_page(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, params={"run": "r", "kiosk": "1"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.content == page_files()["index.html"].body
    assert (await client.head(path)).headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize("name", sorted(page_files()))
async def test_a_file_has_its_type_and_is_revalidated(client: httpx.AsyncClient, name: str) -> None:
    file = page_files()[name]
    answer = await client.get(f"/page/{name}")
    assert answer.status_code == 200
    assert answer.content == file.body
    assert answer.headers["content-type"] == file.content_type
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["etag"] == file.etag


@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', "*"])
async def test_what_the_browser_has_is_not_sent_again(client: httpx.AsyncClient, known: str) -> None:
    etag = page_files()["script/app.js"].etag
    answer = await client.get("/page/script/app.js", headers={"If-None-Match": known.format(etag)})
    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == etag
    other = await client.get("/page/script/app.js", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


async def test_plotly_is_kept_for_ever_by_its_version(client: httpx.AsyncClient) -> None:
    answer = await client.get("/page/plotly.min.js", params={"v": plotly_version()})
    assert answer.content == plotly_file().body
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    for query in ({}, {"v": "0"}):
        other = await client.get("/page/plotly.min.js", params=query)
        assert other.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/", "/page/script/app.js", "/page/plotly.min.js"])
async def test_the_browser_is_told_what_a_page_may_do(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert {name: answer.headers[name] for name in PAGE_HEADERS} == PAGE_HEADERS
    assert "unsafe" not in POLICY
    assert not re.search(r"https?:|\*", POLICY)
    assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(POLICY.split("; "))


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/nothing.js",
        "/page/files.py",
        "/page/__init__.py",
        "/page/../api/app.py",
        "/page/..%2fapi%2fapp.py",
        "/page/script/%2e%2e/files.py",
        "/page//etc/passwd",
        "/page/script",
        "/pages",
        "/monitors",
        "/monitors/m/other",
    ],
)
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str) -> None:
    check_problem(await client.get(path), 404, "unknown-path", "path")


async def test_a_view_needs_a_name(client: httpx.AsyncClient) -> None:
    check_problem(await client.get("/monitors/-m"), 422, "name", "monitor")
