"""Views are shared by their address, walked through by keyboard, taken along as files, and read on a telephone."""

from __future__ import annotations

import csv
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit

VIEWS = (
    "/", "/system", "/monitors/tracker?chunk=chunk-17", "/monitors/tracker/where", "/monitors/tracker/alarm",
    "/monitors/luminosity", "/runbooks/NplmonAnomaly",
)  # fmt: skip
DRAWN = ".canvas[data-drawn]"


def choices(page: Page) -> dict[str, Any]:
    """Give what a view of a monitor shows: what is chosen, the chunk, the words above the figure, the colours."""
    page.wait_for_selector(DRAWN)
    expect(page.locator(".chunk-title")).to_contain_text("Chunk")
    root = page.locator("html")
    return {
        "chosen": page.locator(".controls select").evaluate_all("(all) => all.map((one) => one.value)"),
        "chunk": page.locator(".chunk-title").inner_text(),
        "figure": page.locator("figure").first.locator("p").first.inner_text(),
        "theme": root.get_attribute("data-theme"),
        "kiosk": root.get_attribute("data-kiosk"),
    }


@pytest.mark.parametrize("end", ["", "&kiosk=1"])
def test_an_address_shows_the_same_view_to_somebody_else(look: Visit, end: str) -> None:
    """What one person has chosen, another sees in a browser that knows nothing, with other colours."""
    with look(color_scheme="dark").page(f"/monitors/tracker?run=night-7&theme=light{end}") as page:
        page.wait_for_selector(DRAWN)
        page.get_by_label("Statistic", exact=True).select_option("t_sum")
        page.get_by_label("Middle panel").select_option("z")
        page.get_by_role("button", name="Chunk before").click()
        page.wait_for_url("**chunk=*")
        expect(page.locator(".kind-words")).to_contain_text("t_sum")
        address, shown = page.url, choices(page)
    assert shown["chosen"][:3] == ["night-7", "t_sum", "z"]
    assert shown["theme"] == "light"
    with look(color_scheme="dark").page(address) as other:
        expect(other.locator(".kind-words")).to_contain_text("t_sum")
        assert choices(other) == shown


def test_back_and_forward(look: Visit) -> None:
    with look().page("/?theme=dark") as page:
        page.get_by_role("link", name="tracker").first.click()
        expect(page.locator(".verdict")).to_be_visible()
        page.get_by_role("link", name="Where", exact=True).click()
        page.wait_for_selector(DRAWN)
        page.get_by_role("link", name="System").click()
        expect(page.get_by_role("heading", name="Dead letters")).to_be_visible()
        assert page.url.endswith("/system?theme=dark")
        page.go_back()
        expect(page.locator(".ranking")).to_be_visible()
        page.go_back()
        expect(page.locator(".verdict")).to_be_visible()
        page.go_back()
        expect(page.locator(".tile")).to_have_count(6)
        page.go_forward()
        expect(page.locator(".verdict")).to_be_visible()
        expect(page).to_have_title(re.compile("tracker alarm"))


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id")


def test_by_keyboard_alone(look: Visit) -> None:
    """Past the frame, among the tiles, into the list of keys and out of it, to where one was."""
    with look().page("/") as page:
        expect(page.locator(".tile")).to_have_count(6)
        page.keyboard.press("Tab")
        assert focused(page) == "Skip to content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        page.keyboard.press("Tab")
        assert focused(page) == "tracker"
        walked = []
        for key in ("ArrowRight", "ArrowDown", "End", "Home"):
            page.keyboard.press(key)
            walked.append(focused(page))
        assert walked == ["forward", "trigger", "luminosity", "tracker"]
        page.keyboard.press("?")
        dialog = page.get_by_role("dialog", name="Shortcuts")
        expect(dialog).to_be_visible()
        for _ in range(4):
            page.keyboard.press("Tab")
            assert page.evaluate(
                "document.activeElement === document.body || document.activeElement.closest('dialog')"
            )
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        assert focused(page) == "tracker"
        page.keyboard.press("s")
        expect(page.get_by_role("heading", name="Dead letters")).to_be_visible()
        assert page.evaluate("document.activeElement.id") == "content"


def test_a_question_keeps_the_focus_and_gives_it_back(look: Visit) -> None:
    with look().page("/monitors/tracker/alarm") as page:
        opener = page.get_by_role("button", name="Reset the run …")
        opener.focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
        inside = []
        for _ in range(4):
            page.keyboard.press("Tab")
            inside.append(
                page.evaluate("(document.activeElement.closest('dialog') ?? document.activeElement).tagName")
            )
        assert set(inside) <= {"DIALOG", "BODY"}
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(opener).to_be_focused()


def taken(page: Page, button: str, tmp_path: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).first.click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path


@pytest.mark.parametrize(("view", "width"), [("/monitors/tracker", 1200), ("/monitors/tracker/where", 900)])
def test_figures_are_taken_along(look: Visit, tmp_path: Path, view: str, width: int) -> None:
    """The picture has twice the pixels of the figure, the file the columns and rows of the table on the page."""
    with look().page(view) as page:
        page.wait_for_selector(DRAWN)
        picture = taken(page, "Picture (PNG)", tmp_path).read_bytes()
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        seen = page.evaluate("document.querySelector('.canvas').clientHeight")
        wide, high = struct.unpack(">II", picture[16:24])
        assert wide == 2 * width
        assert 0.8 * seen < high / 2 < 1.6 * seen
        text = taken(page, "Data (CSV)", tmp_path).read_text(encoding="utf-8")
        rows = list(csv.reader(text.splitlines()))
        page.locator("figure").first.get_by_text("Data as a table").click()
        table = page.locator("figure").first.locator("table.data")
        assert len(rows) > 10
        expect(table.locator("tbody tr")).to_have_count(len(rows) - 1)
        assert table.locator("thead th").all_inner_texts() == rows[0]


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_cut_off_on_a_telephone(look: Visit, view: str) -> None:
    """390 pixels wide: only tables may be wider, and scroll by themselves."""
    with look(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True).page(view) as page:
        page.locator("h1").first.wait_for(state="attached")
        page.wait_for_timeout(1000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize(("motion", "moves"), [("reduce", "none"), ("no-preference", "turn")])
def test_who_wants_no_motion_gets_none(look: Visit, motion: Any, moves: str) -> None:
    """Nothing moves by itself; what somebody lets move one day will not for those who do not want it."""
    with look(reduced_motion=motion).page("/") as page:
        expect(page.locator(".tile")).to_have_count(6)
        assert page.evaluate("document.getAnimations().length") == 0
        page.evaluate("document.querySelector('.tile').style.setProperty('animation', 'turn 1s')")
        assert page.evaluate("getComputedStyle(document.querySelector('.tile')).animationName") == moves
