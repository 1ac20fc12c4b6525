"""What the plots cost a browser: `python -m benchmarks.plots` measures it with a long run in a store of its own.

Chromium shows the course of the run. Processor times are those of the page's main thread, which a busy machine changes
little; other times are of the clock on the wall.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.dashboard import Api
from benchmarks.dashboard_store import entry, fill
from benchmarks.machine import machine
from playwright.sync_api import sync_playwright
from redis import Redis

from nplmon.broker.embedded import EmbeddedStore

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

COURSE = "/monitors/monitor-00?run=r"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
POINTS = (100, 1000, 2000)

PREPARE = """async (points) => {
  const from = (name) => import(`/page/script/${name}.js`);
  const { Plot } = await from("plot");
  const { courseFigure } = await from("course-figure");
  const { courseColumns, courseLegend, courseSummary } = await from("course-words");
  const { MARKS } = await from("marks");
  const course = await (await fetch(`/v1/monitors/monitor-00/course?kind=t_score&points=${points}`)).json();
  const options = { second: "p", clock: "chunk", logarithmic: false, sum: null, marks: [], pauses: [], selected: null };
  const plot = new Plot({ title: "course", name: "course", what: "" });
  document.querySelector("main").replaceChildren(plot.element);
  globalThis.measured = async (turn) => {
    const moved = { ...course, value: course.value.map((value) => value + turn) };
    plot.show({
      key: "one", file: "", summary: courseSummary(moved, []), columns: courseColumns(moved, null), x: moved.sequence,
      legend: courseLegend(moved, options, [], [], MARKS),
      build: (colours, more) => courseFigure(moved, options, colours, more),
    });
    while (plot.busy) await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  };
  await globalThis.measured(0);
  return course.sequence.length;
}"""


class Browser:
    """A page of chromium whose processor time is told."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.protocol: CDPSession = page.context.new_cdp_session(page)
        self.protocol.send("Performance.enable", {"timeDomain": "threadTicks"})

    def processor(self) -> float:
        """Give the processor time of the page's main thread, in s."""
        told: Any = self.protocol.send("Performance.getMetrics")
        return float(next(one["value"] for one in told["metrics"] if one["name"] == "TaskDuration"))


def updates(browser: Browser, repeats: int) -> list[float]:
    """Draw the prepared course again and again; give the processor times, in s."""
    found = []
    for turn in range(1, repeats + 1):
        before = browser.processor()
        browser.page.evaluate("(turn) => measured(turn)", turn)
        found.append(browser.processor() - before)
    return found


def live(browser: Browser, redis: Redis, chunks: int, seconds: int) -> float:
    """Let a chunk come every second and the page follow; give the processor's share of the page."""
    draw = random.Random(3)  # noqa: S311 (numbers to measure with)
    prefix = "nplmon:{monitor-00}"
    before, began = browser.processor(), time.perf_counter()
    for turn in range(1, seconds + 1):
        with redis.pipeline() as pipe:
            pipe.rpush(f"{prefix}:run:r:history", entry(chunks + turn, draw))
            pipe.hset(f"{prefix}:run:r", mapping={"accepted": chunks + turn, "applied": chunks + turn})
            pipe.publish(f"{prefix}:updates", "r")
            pipe.execute()
        browser.page.wait_for_timeout(max(0.0, 1e3 * (began + turn - time.perf_counter())))
    return (browser.processor() - before) / (time.perf_counter() - began)


def measured(api: Api, redis: Redis, options: argparse.Namespace) -> list[tuple[str, str]]:
    """Measure all; give rows of what and how much."""
    rows = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        page = chromium.new_page(viewport={"width": 1300, "height": 900})
        browser = Browser(page)
        for which in ("with plotly's script (4.8 MB) loaded anew", "with it kept by the browser"):
            began = time.perf_counter()
            page.goto(api.address + COURSE)
            page.wait_for_selector(".canvas[data-drawn]")
            took, used = time.perf_counter() - began, browser.processor()
            rows.append((f"from the address to the first plot, {which}", f"{1e3 * took:.0f} ms"))
            if not rows[1:]:
                rows.append(("of that, the page's processor", f"{1e3 * used:.0f} ms"))
        share = live(browser, redis, options.chunks, options.seconds)
        rows.append(("processor of the page while a chunk comes every second", f"{100 * share:.0f} %"))
        page.goto(api.address + "/system")
        for points in POINTS:
            drawn = page.evaluate(PREPARE, points)
            times = updates(browser, options.repeats)
            much = f"{1e3 * statistics.median(times):.0f} ms, at most {1e3 * max(times):.0f} ms"
            rows.append((f"processor, one update of a figure of {drawn:,} chunks", much))
        chromium.close()
    return rows


def main() -> None:
    """Measure, and print a table in markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=10_000, help="in the history of the run")
    parser.add_argument("--repeats", type=int, default=15, help="updates of each figure")
    parser.add_argument("--seconds", type=int, default=20, help="for which chunks come")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    options = parser.parse_args()
    about = machine()
    with tempfile.TemporaryDirectory() as directory:
        store = EmbeddedStore(Path(directory))
        store.start()
        redis = Redis(unix_socket_path=str(store.socket))
        try:
            redis.config_set("appendonly", "no")  # nothing that is measured here writes much
            fill(redis, 1, options.chunks)
            api = Api(store)
            try:
                rows = measured(api, redis, options)
            finally:
                api.stop()
        finally:
            redis.close()
            store.stop()
    print(
        f"{about['date']}, {about['cores']} cores of an {about['processor']}, load {about['load']}; "
        f"a run of {options.chunks:,} chunks.\n"
    )
    print("| what | measured |\n|---|---|")
    for what, much in rows:
        print(f"| {what} | {much} |")


if __name__ == "__main__":
    main()
