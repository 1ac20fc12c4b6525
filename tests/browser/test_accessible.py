"""axe finds nothing in any view and state, light or dark; nothing is asked for elsewhere, or complained of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.service import Service
from tests.browser.visitor import Visitor, tile

SCHEMES = ("light", "dark")
VIEWS = {
    "/": ".tile[data-state=alarm]",
    "/?kiosk=1": ".tile[data-state=alarm]",
    "/system": "text=this chunk cannot be fitted",
    "/monitors/tracker?sum=1": ".canvas[data-drawn]",
    "/monitors/tracker/where": ".canvas[data-drawn]",
    "/monitors/tracker/alarm": ".verdict .rule",
    "/monitors/muon-chambers/alarm": ".verdict[data-state=acknowledged]",
    "/monitors/calorimeter/alarm": ".verdict[data-state=warning]",
    "/monitors/forward?chunk=broken": ".monitor-head[data-state=stale]",
    "/monitors/forward/alarm": ".verdict[data-state=stale]",
    "/monitors/luminosity": ".trouble .empty",
    "/monitors/luminosity/where": ".trouble .empty",
    "/monitors/luminosity/alarm": ".verdict[data-state=waiting]",
    "/monitors/nobody/alarm": ".empty",
    "/nowhere": ".empty",
    "/runbooks/NplmonAnomaly": "h1",
}
"""Views with what is seen once they are there."""


def violations(page: Page, axe: str) -> list[tuple[str, str, str]]:
    """Give what axe finds: how bad it is, the rule, and an element."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [(one["impact"], one["id"], one["nodes"][0]["html"]) for one in found]


@pytest.fixture(params=SCHEMES)
def visitor(request: pytest.FixtureRequest, chromium: Browser, seeded: Service) -> Iterator[Visitor]:
    visitor = Visitor(chromium, seeded.url, color_scheme=request.param)
    yield visitor
    visitor.context.close()
    assert visitor.complaints == []


@pytest.mark.parametrize("view", VIEWS)
def test_every_view(visitor: Visitor, axe: str, view: str) -> None:
    with visitor.page("/" if view == "/nowhere" else view) as page:
        if view == "/nowhere":
            page.evaluate(
                "history.pushState(null, '', '/nowhere'); dispatchEvent(new PopStateEvent('popstate'))"
            )
        page.locator(VIEWS[view]).first.wait_for()
        for summary in page.locator("summary:visible", has_text="What is this?").all():
            summary.click()
        assert violations(page, axe) == []
        if "monitors/nobody" in view:
            visitor.complaints[:] = [one for one in visitor.complaints if "404" not in one]


def test_dialogs_and_forms(visitor: Visitor, axe: str) -> None:
    """The list of shortcuts, the questions before a run ends, fields that are missing."""
    with visitor.page("/monitors/tracker/alarm") as page:
        page.get_by_role("button", name="Acknowledge").click()
        expect(page.get_by_text("Your name is needed.").first).to_be_visible()
        assert violations(page, axe) == []
        for button in ("Close the run …", "Reset the run …", "Shortcuts"):
            page.get_by_role("button", name=button).click()
            expect(page.get_by_role("dialog")).to_be_visible()
            assert violations(page, axe) == []
            page.keyboard.press("Escape")
            expect(page.get_by_role("dialog")).to_have_count(0)
            expect(page.get_by_role("button", name=button)).to_be_focused()


def test_a_test_alarm(visitor: Visitor, seeded: Service, axe: str) -> None:
    with seeded.client() as client:
        client.begin_test_alarm("trigger", who="Ada", comment="Does the telephone ring?")
    try:
        with visitor.page("/") as page:
            expect(tile(page, "trigger").locator(".test")).to_be_visible()
            assert violations(page, axe) == []
            page.goto("/monitors/trigger/alarm")
            expect(page.get_by_text("Does the telephone ring?").first).to_be_visible()
            assert violations(page, axe) == []
    finally:
        with seeded.client() as client:
            client.end_test_alarm("trigger", who="Ada")


def test_without_monitors_and_out_of_reach(visitor: Visitor, axe: str) -> None:
    """A service without monitors, and one that falls silent."""
    events = f"event: hello\ndata: {json.dumps({'now': 1.79e9, 'version': '0'})}\n\n"
    empty: dict[str, Any] = {"now": 1.79e9, "version": "0", "tiles": []}
    context = visitor.context
    context.route("**/v1/overview", lambda route: route.fulfill(json=empty))
    context.route("**/v1/events", lambda route: route.fulfill(body=events, content_type="text/event-stream"))
    page = context.new_page()
    page.clock.install()
    page.goto("/")
    expect(page.get_by_text("No monitor yet")).to_be_visible()
    assert violations(page, axe) == []
    context.unroute("**/v1/events")
    context.route("**/v1/events", lambda route: route.abort())
    page.clock.fast_forward(20_000)
    expect(page.locator(".connection")).to_have_text("Not live")
    assert violations(page, axe) == []
    page.close()
    visitor.complaints[:] = [one for one in visitor.complaints if "ERR_FAILED" not in one]


def test_signing_in(visitor: Visitor, axe: str) -> None:
    """The service asks who looks, and refuses what it is given."""
    problem = {"type": "about:blank", "slug": "sign-in-needed", "title": "Unauthorized", "status": 401}
    visitor.context.route("**/v1/**", lambda route: route.fulfill(status=401, json=problem))
    with visitor.page("/") as page:
        dialog = page.get_by_role("dialog", name="Sign in")
        expect(dialog).to_be_visible()
        assert violations(page, axe) == []
        page.get_by_label("Token").fill("not a token")
        page.keyboard.press("Enter")
        expect(dialog.locator("[role=status]")).not_to_be_empty()
        assert violations(page, axe) == []
    visitor.complaints[:] = [one for one in visitor.complaints if "401" not in one]
