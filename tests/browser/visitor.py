"""A visitor: one person's browser, of which is written down whatever it complains about or asks for elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, Request, Response, expect

expect.set_options(timeout=30_000)


class Visitor:
    """A person with a browser of their own.

    `complaints` are errors and warnings of the console (a refusal by the content policy is one), exceptions, requests
    that failed or were refused, and whatever was asked of another origin, which is not let through.
    """

    def __init__(self, chromium: Browser, origin: str, **options: Any) -> None:
        self.origin = origin
        self.complaints: list[str] = []
        self.context: BrowserContext = chromium.new_context(
            base_url=origin, **{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
        )
        self.context.set_default_timeout(15_000)
        self.context.route(re.compile(rf"^(?!{re.escape(origin)}/|data:|blob:)"), lambda route: route.abort())
        self.context.on("request", self._request)
        self.context.on("requestfailed", self._failed)
        self.context.on("response", self._response)
        self.context.on("console", lambda message: self._hear(message.type, message.text))
        self.context.on("weberror", lambda error: self.complaints.append(f"exception: {error.error}"))

    @contextmanager
    def page(self, path: str = "/") -> Iterator[Page]:
        """Open a view in a tab of its own."""
        page = self.context.new_page()
        page.goto(path)
        yield page
        page.close()

    def _request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.complaints.append(f"left the machine: {request.url}")

    def _failed(self, request: Request) -> None:
        # What is under way when a view is left, or events that end with their tab, is given up.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.url}: {request.failure}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")

    def _hear(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(f"{kind}: {text}")


def tile(page: Page, monitor: str) -> Any:
    """Give the tile of a monitor."""
    return page.locator(f".tile[data-monitor='{monitor}']")


def until(page: Page, expression: str, seconds: float = 15.0) -> None:
    """Wait until it is true; playwright's own waiting evaluates text in the page, which the policy refuses."""
    for _ in range(round(seconds / 0.05)):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")
