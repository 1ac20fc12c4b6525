"""The page in a real browser: it asks for a token, keeps none, and acts under the name of who has signed in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext
from tests.client.serving import Service, served

from nplmon.access import new_token
from nplmon.broker import Broker
from nplmon.broker.access_messages import Scope
from nplmon.client import Client


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with served(tmp_path_factory.mktemp("store"), access="tokens") as service:  # type: ignore[arg-type]
        yield service


def token(service: Service, name: str, *scopes: Scope) -> tuple[str, str]:
    """Make a token: its id and its text."""
    made, text = new_token(name, scopes)

    async def add(broker: Broker) -> None:
        await broker.tokens.add(made)

    # Playwright's blocking interface has a loop of its own in this thread.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(service.with_broker, add).result()
    return made.id, text


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1200, "height": 800})
    context.set_default_timeout(20_000)
    yield context
    context.close()


def test_a_shifter_signs_in_fires_a_test_and_signs_out(
    service: Service, context: BrowserContext, tmp_path: Path
) -> None:
    _, root = token(service, "ada", "admin")
    id_, text = token(service, "grace", "read", "operate")
    with Client(service.url, token=root) as client:
        monitor = service.monitor(client)
        client.push(monitor, "r", [[1.0, 2.0]])
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{service.url}/monitors/{monitor}/alarm")
    dialog = page.get_by_role("dialog", name="Sign in")
    dialog.wait_for()
    page.screenshot(path=os.environ.get("NPLMON_PICTURES", str(tmp_path)) + "/sign-in.png")

    page.keyboard.press("Escape")
    assert dialog.is_visible()
    page.get_by_label("Token").fill("nplmon_0123456789abcdef_" + 43 * "x")
    dialog.get_by_role("button", name="Sign in").click()
    dialog.get_by_text("The token is not known.").wait_for()

    page.get_by_label("Token").fill(text)
    dialog.get_by_role("button", name="Sign in").click()
    page.get_by_title("Signed in as grace").wait_for()
    (cookie,) = context.cookies()
    assert cookie["name"] == "nplmon-session"
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert page.evaluate("document.cookie") == ""

    # The name is the token's, and cannot be another.
    form = page.get_by_role("form", name="Fire a test alarm")
    field = form.get_by_label("Your name")
    assert field.input_value() == "grace"
    assert not field.is_editable()
    page.screenshot(path=os.environ.get("NPLMON_PICTURES", str(tmp_path)) + "/signed-in.png")
    form.get_by_role("button", name="Fire the test").click()
    page.get_by_text("Fired by grace").wait_for()
    assert (
        page.evaluate("Object.values(localStorage).join() + Object.values(sessionStorage).join()").find(text)
        < 0
    )

    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("dialog", name="Sign in").wait_for()
    assert context.cookies() == []
    assert not any(text in line for line in said)

    # A session that is ended from outside ends the page as well.
    page.get_by_label("Token").fill(text)
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
    page.get_by_title("Signed in as grace").wait_for()
    with Client(service.url, token=root) as client:
        client.revoke_token(id_)
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="End the test").click()
    page.get_by_role("dialog", name="Sign in").wait_for()


def test_a_page_of_another_site_changes_nothing(service: Service, context: BrowserContext) -> None:
    """A form of another origin posts with the browser's own headers: the reset is refused, signed in or not."""
    _, root = token(service, "ada", "admin")
    with Client(service.url, token=root) as client:
        monitor = service.monitor(client)
        client.push(monitor, "r", [[1.0, 2.0]])
    page = context.new_page()
    page.goto(service.url)
    page.get_by_label("Token").fill(root)
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
    page.get_by_title("Signed in as ada").wait_for()

    address = f"{service.url}/v1/monitors/{monitor}/runs/r/reset"
    evil = f'<form method="post" action="{address}"><button>win a prize</button></form>'
    context.route("http://evil.example/", lambda route: route.fulfill(body=evil, content_type="text/html"))
    page.goto("http://evil.example/")
    with page.expect_response(address) as answered:
        page.get_by_role("button").click()
    assert answered.value.status in (401, 403)
    with Client(service.url, token=root) as client:
        assert client.run(monitor, "r").epoch == 1
