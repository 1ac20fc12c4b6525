"""A shifter's evening, from the first chunk to the end of the run."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit
from tests.browser.service import CONTACT, Service
from tests.browser.visitor import tile

COMMENT = "Gain of the tracker; I have called the expert. Data from chunk-7 on are marked bad."


def press_until(page: Page, focused: str, key: str = "Tab", most: int = 60) -> None:
    """Press a key until an element has the focus."""
    for _ in range(most):
        page.keyboard.press(key)
        if page.evaluate("(selector) => document.activeElement.matches(selector)", focused):
            return
    raise AssertionError(f"{focused} is not reached by {key}")


def the_stream_starts_and_goes_wrong(service: Service, page: Page) -> None:
    expect(tile(page, "tracker").locator(".head")).to_contain_text("Waiting")
    service.push("tracker", "night", range(1, 7))
    expect(tile(page, "tracker").locator(".head")).to_contain_text("OK")
    expect(tile(page, "tracker")).to_contain_text("6 chunks")
    expect(tile(page, "tracker")).to_contain_text("3,000 events")
    service.push("tracker", "night", range(7, 11), odd="dimuon-gain-shift", strength=-0.06)
    expect(tile(page, "tracker").locator(".head")).to_contain_text("Alarm")
    expect(page.locator(".tile").first).to_have_attribute("data-monitor", "tracker")
    expect(tile(page, "tracker").locator(".worst")).to_contain_text("pt")
    expect(page).to_have_title("1 Alarm · nplmon")
    expect(page.locator("#announcements")).to_contain_text(re.compile(r"tracker: alarm, was (ok|warning)\."))


def it_is_understood(page: Page) -> None:
    """By keyboard alone."""
    press_until(page, ".tile[data-monitor=tracker] a.name")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/monitors/tracker/alarm$"))
    press_until(page, "a[href='/monitors/tracker/where']")
    page.keyboard.press("Enter")
    ranked = page.locator(".ranking tbody tr")
    expect(ranked.first).to_contain_text("pt")
    assert ranked.first.locator("td.number").first.inner_text() == "1"
    expect(page.locator("figure h2").first).to_contain_text("pt")
    page.wait_for_selector(".canvas[data-drawn]")
    page.keyboard.press("a")
    expect(page.locator(".verdict .rule")).to_contain_text("t_score")
    expect(page.locator(".verdict")).to_contain_text(", threshold ")
    expect(page.locator(".runbook")).to_contain_text("Compare with the last good run.")
    expect(page.locator(".contact")).to_contain_text(CONTACT)


def it_is_taken_on(page: Page) -> None:
    """Be asked for a name first."""
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("Your name is needed.")).to_be_visible()
    assert page.evaluate("document.activeElement.name") == "who"
    page.keyboard.type("Ada")
    page.keyboard.press("Tab")
    page.keyboard.type(COMMENT)
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".verdict .word")).to_have_text("Alarm, acknowledged")


def the_expert_reads(page: Page) -> None:
    expect(page.locator(".monitor-head .state")).to_contain_text("Acknowledged")
    acknowledged = page.locator(".journal tr[data-kind=acknowledged]")
    expect(acknowledged.locator(".who")).to_have_text("Ada")
    expect(acknowledged.locator(".text")).to_have_text(COMMENT)
    expect(page.locator(".journal tr[data-kind=alarm]")).to_contain_text("t_score")


def the_run_is_closed(page: Page) -> None:
    page.get_by_role("button", name="Close the run …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Close run night?")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    dialog.get_by_role("button", name="Close the run").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.timeout(180)
def test_a_shifters_evening(service: Service, visit: Visit) -> None:
    """The stream starts, goes wrong, is understood, taken on and ended; the expert reads along."""
    service.watch("tracker", description="Muon pairs of the tracker")
    service.watch("calm")
    with visit().page("/") as page:
        page.evaluate("window.sameDocument = true")
        the_stream_starts_and_goes_wrong(service, page)
        it_is_understood(page)
        it_is_taken_on(page)
        with visit(color_scheme="light").page("/monitors/tracker/alarm") as expert:
            the_expert_reads(expert)
            the_run_is_closed(page)
            expect(expert.locator(".journal tr[data-kind=run-closed]")).to_have_count(1)
        page.keyboard.press("o")
        expect(tile(page, "tracker").locator(".head")).to_contain_text("Closed")
        expect(tile(page, "tracker").locator(".flags")).to_contain_text("alarm acknowledged")
        assert page.evaluate("window.sameDocument") is True


def test_what_a_page_asks_of_elsewhere_is_refused_and_noticed(service: Service, visit: Visit) -> None:
    """The watch of the visitors can fail: by an address elsewhere, a missing file, a word in the console."""
    visitor = visit()
    with visitor.page("/") as page:
        page.evaluate("fetch('http://192.0.2.1/').catch(() => null)")
        page.evaluate("fetch('/v1/monitors/nobody').catch(() => null)")
        page.evaluate(
            "document.head.append(Object.assign(document.createElement('script'), {text: 'lost = 1'}))"
        )
        page.wait_for_timeout(300)
    said = "\n".join(visitor.complaints)
    visitor.complaints.clear()
    for words in ("error: ", "404: ", "Content Security Policy", "192.0.2.1"):
        assert words in said
