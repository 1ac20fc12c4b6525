"""Pictures of the page for README and docs: `python -m tests.browser.pictures` takes them from a seeded service."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, sync_playwright
from tests.browser.seeds import seed
from tests.browser.service import Service
from tests.chromium import FLAGS, program

IMAGES = Path(__file__).parents[2] / "docs" / "images"
CURVE, PLOT = ".tile .sparkline svg", ".canvas[data-drawn]"
PICTURES: dict[str, tuple[str, str, str | None, int, int]] = {
    "page-overview-light": ("/?theme=light", CURVE, ".tiles", 1280, 760),
    "page-overview-dark": ("/?theme=dark", CURVE, ".tiles", 1280, 760),
    "page-monitor": ("/monitors/tracker?theme=light", PLOT, "figure", 1280, 900),
    "page-where": ("/monitors/tracker/where?theme=light", PLOT, "figure", 1280, 900),
    "page-alarm": (
        "/monitors/tracker/alarm?theme=light",
        ".runbook table",
        ".column:has(.runbook)",
        1280,
        900,
    ),
    "page-kiosk": ("/?kiosk=1&theme=dark", CURVE, None, 1600, 900),
    "page-system": ("/system?theme=light", "text=this chunk cannot be fitted", "main", 1280, 900),
}
"""Of each picture its address, what is seen once it is there, down to where it reaches (None: the window), and the
window's width and height."""
MARGIN = 20


def take(browser: Browser, origin: str, directory: Path) -> None:
    """Take them all."""
    for name, (path, seen, last, width, height) in PICTURES.items():
        context = browser.new_context(
            base_url=origin,
            viewport={"width": width, "height": height},
            locale="en-GB",
            timezone_id="Europe/Zurich",
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.goto(path)
        page.locator(seen).first.wait_for()
        page.wait_for_timeout(2500)  # all curves are drawn
        end = height
        if last is not None:
            box = page.locator(last).first.bounding_box()
            assert box is not None
            end = round(box["y"] + box["height"]) + MARGIN
        clip: FloatRect = {"x": 0, "y": 0, "width": width, "height": end}
        page.screenshot(path=directory / f"{name}.png", full_page=last is not None, clip=clip)
        context.close()


def main(directory: Path) -> None:
    """Start a service, bring it into the middle of a shift, and take the pictures."""
    with tempfile.TemporaryDirectory() as data:
        service = Service(Path(data))
        try:
            service.open()
            seed(service)
            with sync_playwright() as playwright:
                path = program("chromium", "chromium-browser")
                browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
                take(browser, service.url, directory)
                browser.close()
        finally:
            service.clean_up()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
