"""Many monitors: on a wall screen, and in an overview that is scrolled while all of them change."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest
from benchmarks.dashboard_store import entry, fill, snapshot
from playwright.sync_api import Browser, Page, expect
from tests.browser.conftest import Visit, visits
from tests.browser.service import Service
from tests.chromium import program

MONITORS, CHUNKS = 50, 500
CHANGES, SECONDS = 25.0, 8.0
"""Changes of all monitors together in a second, and for how long."""
LONGEST_TASK = 1000.0
"""Milliseconds: a page that keeps the browser busy for longer in one go stands still, on a busy machine, too."""

WATCH = """
globalThis.tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries().map((one) => one.duration)))
  .observe({ type: "longtask", buffered: true });
new MutationObserver((_, watching) => {
  if (!document.querySelector(".tile")) return;
  watching.disconnect();
  requestAnimationFrame(() => setTimeout(() => { globalThis.firstTile = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give an API over a store with many monitors, as the aggregator writes them."""
    program("chromium", "chromium-browser")
    service = Service(tmp_path_factory.mktemp("crowd"))
    try:
        service.start("api")
        with service.redis() as redis:
            fill(redis, MONITORS, CHUNKS)
        yield service
    finally:
        service.clean_up()


@pytest.fixture
def look(chromium: Browser, crowd: Service) -> Iterator[Visit]:
    yield from visits(chromium, crowd)


def change(service: Service, page: Page) -> float:
    """Let chunks of all monitors come while the page is scrolled; give how many did in a second."""
    draw = random.Random(3)  # noqa: S311 (numbers to look at)
    bodies = {number: snapshot(f"monitor-{number:02d}", CHUNKS + 1, draw) for number in range(MONITORS)}
    began, done = time.monotonic(), 0
    with service.redis() as redis:
        while (passed := time.monotonic() - began) < SECONDS:
            while done < passed * CHANGES:
                number, turn = done % MONITORS, CHUNKS + 1 + done // MONITORS
                prefix = f"nplmon:{{monitor-{number:02d}}}"
                body = bodies[number]
                for name in (b"sequence", b"chunks"):
                    body = body.replace(b'"%s":%d' % (name, CHUNKS + 1), b'"%s":%d' % (name, turn))
                with redis.pipeline() as pipe:
                    pipe.set(f"{prefix}:run:r:snapshot", body)
                    pipe.rpush(f"{prefix}:run:r:history", entry(turn, draw))
                    pipe.hset(
                        f"{prefix}:run:r", mapping={"accepted": turn, "applied": turn, "sequence": turn}
                    )
                    pipe.publish(f"{prefix}:updates", "r")
                    pipe.execute()
                done += 1
            page.mouse.wheel(0, 250 if round(passed) % 4 < 2 else -250)
            page.wait_for_timeout(60)
    return done / SECONDS


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1366, 768)])
def test_a_wall_screen_shows_twelve_and_tells_of_the_others(look: Visit, width: int, height: int) -> None:
    """Nothing to click on, nothing to scroll, nothing cut off."""
    with look(viewport={"width": width, "height": height}).page("/?kiosk=1&theme=dark") as page:
        expect(page.locator(".tile")).to_have_count(12)
        expect(page.locator(".hidden-tiles")).to_have_text(
            "38 more monitors not shown, none more urgent: 38 OK"
        )
        expect(page.locator(".tile .sparkline svg")).not_to_have_count(0)
        assert page.locator("nav:visible, button:visible").count() == 0
        scrolls = """() => [document.documentElement, document.body, document.getElementById("content")]
            .filter((one) => one.scrollHeight > one.clientHeight + 1 || one.scrollWidth > one.clientWidth + 1)
            .map((one) => one.tagName)"""
        assert page.evaluate(scrolls) == []
        beyond = """() => [...document.querySelectorAll(".tile")].filter((one) => {
            const { bottom, right } = one.getBoundingClientRect();
            return bottom > innerHeight || right > innerWidth || one.scrollHeight > one.clientHeight + 1;
        }).length"""
        assert page.evaluate(beyond) == 0
        assert page.locator(".tile .foot").last.is_visible()


@pytest.mark.timeout(120)
def test_fifty_monitors_stay_smooth(look: Visit, crowd: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """How soon there is something to read, and how long the page is ever busy while it is scrolled and all changes."""
    visitor = look()
    visitor.context.add_init_script(WATCH)
    with visitor.page("/") as page:
        expect(page.locator(".tile")).to_have_count(MONITORS)
        page.wait_for_timeout(1500)
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null")
        first = page.evaluate("globalThis.firstTile")
        loading = page.evaluate("tasks.splice(0)")
        rate = change(crowd, page)
        tasks = page.evaluate("tasks")
        turns = CHUNKS + 1 + (round(rate * SECONDS) - 1) // MONITORS
        expect(page.locator(".tile[data-monitor=monitor-00]")).to_contain_text(f"{turns} chunks")
        page.evaluate(
            "setTimeout(() => { const at = performance.now(); while (performance.now() < at + 80); })"
        )
        page.wait_for_timeout(500)
        assert page.evaluate("tasks.length") > len(tasks), "the watch sees what takes long"
    with capsys.disabled():
        print(
            f"\n{MONITORS} monitors: first paint {paint:.0f} ms, first tile {first:.0f} ms, longest task while loading "
            f"{max(loading, default=0):.0f} ms; {rate:.0f} changes/s while scrolling: {len(tasks)} tasks above 50 ms "
            f"in {SECONDS:.0f} s, longest {max(tasks, default=0):.0f} ms"
        )
    assert max(tasks, default=0.0) < LONGEST_TASK
