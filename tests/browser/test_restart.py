"""The service goes away while pages are open, and comes back: they say so in words, and recover by themselves."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit
from tests.browser.service import Service
from tests.browser.visitor import tile
from tests.up.running import wait_until

BROKEN = re.compile(r"ERR_(CONNECTION_(REFUSED|RESET)|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE)")
"""All that a browser may complain about while nobody answers."""


def looks(page: Page, selector: str) -> tuple[str, str]:
    """Give what of its look says that an element is not live: filter and opacity."""
    script = "(one) => [getComputedStyle(one).filter, getComputedStyle(one).opacity]"
    filtered, opacity = page.locator(selector).evaluate(script)
    return filtered, opacity


def applied(service: Service, run: str) -> int:
    with service.redis() as redis:
        return int(redis.hget(f"nplmon:{{tracker}}:run:{run}", "applied") or 0)


@pytest.mark.timeout(180)
def test_the_service_restarts_while_pages_are_open(service: Service, visit: Visit) -> None:
    """A chunk that was counted while no API ran is there afterwards, in an overview and in a view of the monitor."""
    service.watch("tracker")
    service.push("tracker", "night", range(1, 4))
    visitor = visit()
    with visitor.page("/") as page, visitor.page("/monitors/tracker?chunk=chunk-3") as course:
        expect(tile(page, "tracker")).to_contain_text("3 chunks")
        expect(course.locator(".chunk-title")).to_contain_text("Chunk 3")
        live = looks(page, ".tile")
        for one in (page, course):
            expect(one.locator(".connection")).to_have_text("Live")
            one.evaluate("window.sameDocument = true")

        service.kill("trainer-1")
        service.push("tracker", "night", [4], wait=False)
        service.kill("api")
        service.start_role("trainer-1")
        wait_until(lambda: applied(service, "night") == 4, "counted without an API", 60)
        expect(page.locator(".connection")).to_have_text("Reconnecting")
        for one in (page, course):
            expect(one.locator(".connection")).to_have_text("Not live", timeout=25_000)
            expect(one.locator("#banners")).to_contain_text(
                "Connection lost. Nothing here is live: last heard"
            )
            expect(one).to_have_title(re.compile("^Not live"))
        expect(tile(page, "tracker").locator(".silence")).to_contain_text("Not live since")
        assert looks(page, ".tile") != live
        expect(tile(page, "tracker")).to_contain_text("3 chunks")

        service.start_role("api")
        for one in (page, course):
            expect(one.locator(".connection")).to_have_text("Live", timeout=30_000)
            expect(one.locator("#banners")).to_be_empty()
        expect(tile(page, "tracker")).to_contain_text("4 chunks")
        expect(tile(page, "tracker").locator(".silence")).to_be_hidden()
        assert looks(page, ".tile") == live
        expect(course.locator("#chunk-slider")).to_have_attribute("max", "3")  # counted from 0
        service.push("tracker", "night", [5])
        expect(tile(page, "tracker")).to_contain_text("5 chunks")
        assert page.evaluate("window.sameDocument")
        assert course.evaluate("window.sameDocument")
    assert [one for one in visitor.complaints if not BROKEN.search(one)] == []
    visitor.complaints.clear()
