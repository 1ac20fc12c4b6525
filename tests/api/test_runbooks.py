"""Runbooks: safe HTML of what people wrote, and a page for each alert that needs nothing from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.bodies import check_problem

from nplmon.api import runbook_files
from nplmon.api.markdown import html_of, is_allowed, title_of

pytestmark = pytest.mark.anyio

TAGS = {"p", "a", "strong", "em", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "br", "s"}
TAGS |= {"h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"}


class Found(HTMLParser):
    """All tags and attributes of some HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


def check_safe(html: str) -> None:
    found = Found(html)
    assert found.tags <= TAGS
    for name, value in found.attributes:
        assert name in {"href", "rel", "title", "start", "class"}, (name, value)
        if name == "href":
            assert value is not None
            assert is_allowed(value), value
            assert not re.match(r"\s*(javascript|data|vbscript|file):", value, re.IGNORECASE)


@pytest.mark.parametrize(
    "markdown",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a <b onclick='x'>b</b> <iframe src='//e'></iframe>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](java\tscript:alert(1))",
        "[x]( data:text/html;base64,AAAA )",
        "[x](vbscript:x) [y](file:///etc/passwd)",
        "<javascript:alert(1)>",
        "[x]: javascript:alert(1)\n\n[x]",
        "![x](javascript:alert(1))",
        "![x](https://elsewhere.example/pixel.png)",
        '[x](https://a.example "\\" onmouseover=alert(1)")',
        '![" onerror=alert(1)](https://a.example/"onerror=x)',
        "| a |\n|--:|\n| <img src=x> |",
        "```js\n<script>\n```",
    ],
)
def test_nothing_that_was_written_becomes_markup(markdown: str) -> None:
    check_safe(html_of(markdown))


@given(st.text(alphabet="<>[]()!\"'`:/\\&#;=*_ \njavscriptdhxmlb", max_size=60))
def test_no_text_becomes_markup(markdown: str) -> None:
    check_safe(html_of(markdown))


@pytest.mark.parametrize(
    "address",
    [
        "https://wiki.example/a?b=1#c",
        "http://h:8471/x",
        "mailto:shift@lab.example",
        "/system",
        "#then",
        "a/b:c",
        "?q",
    ],
)
def test_links_that_are_allowed_are_links(address: str) -> None:
    found = Found(html_of(f"[x]({address})"))
    assert dict(found.attributes)["href"] == address
    assert dict(found.attributes)["rel"] == "noreferrer"


def test_a_picture_becomes_a_link() -> None:
    html = html_of("![the *map*](https://a.example/m.png)")
    assert html == '<p><a href="https://a.example/m.png" rel="noreferrer">the *map*</a></p>\n'


def test_lists_tables_and_code_are_rendered() -> None:
    html = html_of("## Do\n\n1. `nplmon status m`\n2. call\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n")
    assert Found(html).tags >= {"h2", "ol", "li", "code", "table", "th", "td"}
    assert title_of("text\n\n## The `title`\n\n# Other") == "The title"
    assert title_of("no heading") is None


async def test_the_runbook_of_a_monitor(client: httpx.AsyncClient, monitor: dict[str, Any]) -> None:
    assert (await client.get("/v1/monitors/m/runbook")).json() == {"markdown": "", "html": "", "contact": ""}
    handling = {"runbook": "# Call\n\n<b>now</b>", "contact": "Ada, 4711"}
    answer = await client.patch("/v1/monitors/m", json={"handling": handling})
    assert answer.status_code == 200, answer.text
    assert (await client.get("/v1/monitors/m/runbook")).json() == {
        "markdown": "# Call\n\n<b>now</b>",
        "html": "<h1>Call</h1>\n<p>&lt;b&gt;now&lt;/b&gt;</p>\n",
        "contact": "Ada, 4711",
    }
    check_problem(await client.get("/v1/monitors/q/runbook"), 404, "unknown-monitor", "monitor")


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder of runbooks in place of ours."""
    monkeypatch.setattr(runbook_files, "PACKAGED", tmp_path)
    (tmp_path / "NplmonAnomaly.md").write_text(
        "# An anomaly & more\n\nSee [stale](NplmonStale.md#why), [metrics](../metrics.md), [here](#x).\n"
    )
    return tmp_path


async def test_the_page_of_an_alert(client: httpx.AsyncClient, written: Path) -> None:
    answer = await client.get("/runbooks/NplmonAnomaly")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    page = answer.text
    assert '<html lang="en">' in page
    assert "<title>An anomaly &amp; more - nplmon</title>" in page
    assert page.count("<h1>") == page.count("<main>") == 1
    assert '<a href="/runbooks/NplmonStale#why" rel="noreferrer">stale</a>' in page
    assert "metrics.md" not in page
    assert '<a href="#x"' in page
    for address in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert address.startswith("/"), "nothing from elsewhere"
        if not address.startswith("/runbooks/NplmonStale"):
            assert (await client.get(address)).status_code == 200, address


@pytest.mark.parametrize(
    "alert", ["Unknown", "..%2f..%2fmetrics", "NplmonAnomaly.md", "style.css2", "%2e%2e"]
)
async def test_what_is_no_runbook(client: httpx.AsyncClient, written: Path, alert: str) -> None:
    answer = await client.get(f"/runbooks/{alert}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_checkout_has_them_where_they_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Path(__file__).parents[2] / "docs" / "runbooks" == runbook_files.CHECKOUT
    monkeypatch.setattr(runbook_files, "PACKAGED", tmp_path / "none")
    monkeypatch.setattr(runbook_files, "CHECKOUT", tmp_path)
    (tmp_path / "NplmonAnomaly.md").write_text("# Here")
    assert runbook_files.runbook("NplmonAnomaly") == "# Here"
    assert runbook_files.runbook("../NplmonAnomaly") is None
