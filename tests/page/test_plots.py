"""The plots in a browser, under the page's content policy: clean, usable by keyboard, true in what they export."""

from __future__ import annotations

import csv
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.page.stage import CHUNKS, Stage

COURSE = "/monitors/dimuon?run=night"
WHERE = "/monitors/dimuon/where?run=night"
VIEWS = (f"{COURSE}&chunk=c30&sum=1", f"{COURSE}&kind=t_agg&axis=local&panel=z&y=log", f"{WHERE}&feature=all")


@pytest.fixture
def stage(chromium: Browser) -> Iterator[Stage]:
    """Give a page with the played service, which must not complain."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900}, timezone_id="Europe/Zurich")
    staged = Stage(context.new_page())
    yield staged
    context.close()
    assert staged.complaints == []


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def exported(page: Page, button: str, tmp_path: Path) -> Path:
    with page.expect_download() as download:
        page.click(f"text={button} >> nth=0")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path


def seen(page: Page) -> list[float]:
    return page.evaluate("document.querySelector('.canvas').layout.xaxis.range.map(Number)")


def until(page: Page, expression: str) -> None:
    """Wait until it is true; playwright's own waiting evaluates text in the page, which the policy refuses."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {expression}")


@pytest.mark.parametrize(
    ("view", "scheme"), [*zip(VIEWS, ("light", "dark", "light"), strict=True), (VIEWS[0], "dark")]
)
def test_a_view_is_clean_and_accessible(stage: Stage, axe: str, view: str, scheme: Any) -> None:
    """No complaint of the browser, of the policy or of axe; nothing is asked for elsewhere."""
    stage.page.emulate_media(color_scheme=scheme)
    stage.open(view)
    for summary in stage.page.query_selector_all("details > summary"):
        summary.click()
    stage.page.evaluate(axe)
    found = stage.page.evaluate("axe.run()")["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_what_is_not_judged_is_named(stage: Stage) -> None:
    stage.open(COURSE)
    legend = stage.page.inner_text(".legend")
    for words in ("frozen", "given up", "stale", "acknowledged", "alarm threshold", "99.7 %"):
        assert words in legend
    assert "Ada" in stage.page.inner_text(".happened")


def test_a_chunk_is_chosen_with_the_arrow_keys_and_told(stage: Stage) -> None:
    stage.open(f"{COURSE}&chunk=c20")
    stage.page.focus("#chunk-slider")
    stage.page.keyboard.press("ArrowRight")
    stage.page.wait_for_url("**chunk=c21*")
    stage.page.wait_for_selector(".chunk-title:has-text('Chunk 21')")
    assert "worker-1" in stage.page.inner_text(".chunk-body")
    link = stage.page.get_attribute(".chunk-title a", "href")
    assert link == "/v1/monitors/dimuon/chunks/c21?run=night"


def test_zoom_outlives_an_update_and_bounds_what_is_exported(stage: Stage, tmp_path: Path) -> None:
    stage.open(COURSE)
    everything = table(exported(stage.page, "Data (CSV)", tmp_path))
    assert [row["chunk number"] for row in everything] == [str(i) for i in range(1, CHUNKS + 1)]
    assert everything[14]["state of t_score"] == "dead"
    assert everything[14]["t_score [2 ln L ratio]"] == ""
    stage.page.click("button[aria-label='Zoom in']")
    until(stage.page, "document.querySelector('.canvas').layout.xaxis.autorange === false")
    low, high = seen(stage.page)
    stage.page.click("button[aria-label='Next chunk']")
    stage.page.wait_for_url("**chunk=*")
    assert seen(stage.page) == [low, high]
    rows = table(exported(stage.page, "Data (CSV)", tmp_path))
    inside = [i for i in range(1, CHUNKS + 1) if low <= i <= high]
    assert 1 < len(inside) < CHUNKS
    assert [int(row["chunk number"]) for row in rows] == inside
    stage.page.click("text=Whole range")
    until(stage.page, "document.querySelector('.canvas').layout.xaxis.range[0] < 1")


def test_the_picture_is_a_png_of_the_figure(stage: Stage, tmp_path: Path) -> None:
    stage.open(COURSE)
    body = exported(stage.page, "Picture (PNG)", tmp_path).read_bytes()
    assert body.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", body[16:24])
    assert (width, height > 1200) == (2400, True)


def test_the_colours_follow_the_theme(stage: Stage) -> None:
    stage.page.emulate_media(color_scheme="light")
    stage.open(COURSE)
    ground = "document.querySelector('.canvas').layout.paper_bgcolor"
    before = stage.page.evaluate(ground)
    stage.page.emulate_media(color_scheme="dark")
    until(stage.page, f"{ground} !== {before!r}")
    stage.page.evaluate("document.documentElement.dataset.theme = 'light'")
    until(stage.page, f"{ground} === {before!r}")


def test_the_features_are_in_order_and_the_events_can_be_sorted(stage: Stage) -> None:
    stage.open(WHERE)
    assert stage.page.locator(".ranking tbody th").all_inner_texts() == ["pt [GeV]", "eta"]
    stage.page.click(".ranking button:has-text('eta')")
    stage.page.wait_for_selector("figure h2:text-is('eta')")
    stage.page.click("button.sort:has-text('row in the chunk')")
    rows = stage.page.locator("table.data:not(.ranking) tbody tr").all_inner_texts()
    assert [row.split("\t")[-1] for row in rows] == ["3", "2", "1"]


def test_where_a_reference_has_nothing_no_ratio_is_told(stage: Stage, tmp_path: Path) -> None:
    stage.open(WHERE)
    rows = table(exported(stage.page, "Data (CSV)", tmp_path))
    assert [row["data / reference"] for row in rows] == ["1", "1.1111111111111112", "4", ""]
    assert float(rows[2]["data error up [events]"]) == pytest.approx(3.1628, abs=1e-3)
