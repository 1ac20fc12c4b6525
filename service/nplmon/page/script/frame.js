/** Frame: what stands around every view: names, ways, clock, connection, the title of the tab, what is announced. */

import { h, mark, put, say } from "./element.js";
import { localTime, moment, utcTime, zone } from "./format.js";
import { favicon } from "./icon.js";
import { href } from "./router.js";
import { STATES, change, compare, stateOf, tally, testOf } from "./state.js";

function banner(kind, monitor, text) {
  const link = monitor && h("a", { href: href(`/monitors/${monitor}/alarm`) }, monitor);
  const mark_ = kind === "test" && h("strong", { class: "test" }, "Test");
  return h("p", { class: "banner", "data-kind": kind }, mark_, mark_ && " Test alarm of ", link, link && " ", text);
}

const CONNECTION = { connecting: "Connecting", live: "Live", silent: "Reconnecting", lost: "Not live" };

/** Stands around the views; looks at `live` once a second and whenever it tells something. */
export class Frame {
  constructor(live, { help }) {
    this.live = live;
    this.states = new Map();
    this.view = "";
    this.connection = h("span", { class: "connection" }, h("span", { class: "lamp", "aria-hidden": "true" }));
    this.connection.append((this.connectionWord = h("span")));
    this.local = h("time", { class: "clock" });
    this.utc = h("time", { class: "clock utc" });
    this.links = [
      ["/", "Overview", "overview"],
      ["/system", "System", "system"],
    ].map(([path, word, name]) => h("a", { href: href(path), "data-view": name }, word));
    put(
      document.getElementById("frame"),
      h("a", { class: "brand", href: href("/"), "aria-label": "nplmon, overview" }, "nplmon"),
      h("nav", { "aria-label": "Views" }, this.links),
      h(
        "div",
        { class: "instruments" },
        this.connection,
        h("span", { class: "clocks" }, this.local, this.utc),
        h("button", { type: "button", class: "quiet", on: { click: () => this.#turnTheme() } }, "Theme"),
        h("button", { type: "button", class: "quiet", "aria-keyshortcuts": "?", on: { click: help } }, "Shortcuts"),
      ),
    );
    this.banners = document.getElementById("banners");
    this.announcements = document.getElementById("announcements");
    this.icon = document.querySelector("link[rel=icon]");
    for (const name of ["tile", "gone", "tiles", "state"]) live.addEventListener(name, () => this.#soon());
    setInterval(() => this.look(), 1000);
    this.look();
  }

  /** Say which view is shown: `title` for the tab, `name` for the way that is marked. */
  showing(name, title) {
    this.view = title;
    for (const link of this.links) {
      mark(link, "aria-current", link.dataset.view === name ? "page" : null);
      link.setAttribute("href", href(new URL(link.href).pathname));
    }
    this.look();
  }

  /** Bring everything up to date. */
  look() {
    const now = this.live.now();
    const { status } = this.live;
    say(this.local, `${localTime(now)} ${zone(now)}`);
    // Twice the same clock would say that there are two.
    say(this.utc, zone(now) === "UTC" ? "" : `${utcTime(now)} UTC`);
    say(this.connectionWord, CONNECTION[status]);
    mark(this.connection, "data-status", status);
    mark(document.documentElement, "data-live", status);
    this.#banner(now, status);
    const tiles = [...this.live.tiles.values()];
    this.#title(tiles, now, status);
    this.#announce(tiles, now);
  }

  #soon() {
    this.due ??= setTimeout(() => {
      this.due = null;
      this.look();
    }, 50);
  }

  #banner(now, status) {
    const since = this.live.heardAt;
    const last = since ? ` Nothing here is live: last heard ${moment(since, now)}.` : "";
    const why = this.live.storeless ? "The service cannot reach its store." : "Connection lost.";
    const remedy = "Look whether the service runs and whether this machine reaches it. The page tries again by itself.";
    const tests = [...this.live.tiles.values()].filter((tile) => testOf(tile, now));
    // A page outlives its service: the new one may speak otherwise. A wall screen has nobody to reload it.
    this.version ||= this.live.version;
    const newer = this.live.version && this.live.version !== this.version;
    if (newer && document.documentElement.dataset.kiosk) location.reload();
    const banners = [
      status === "lost" && ["lost", "", `${why}${last} ${remedy}`],
      newer && ["newer", "", `The service is now nplmon ${this.live.version}; this page is of ${this.version}. Reload it.`],
      ...tests.map(({ monitor, test }) => ["test", monitor, `by ${test.who} until ${moment(test.until, now)}. No real alarm.`]),
    ].filter(Boolean);
    if (JSON.stringify(banners) === this.told) return;
    this.told = JSON.stringify(banners);
    put(this.banners, banners.map((one) => banner(...one)));
  }

  #title(tiles, now, status) {
    const counts = tally(tiles, now);
    const [worst] = Object.keys(counts);
    const test = tiles.some((tile) => testOf(tile, now)) ? "TEST " : "";
    const urgent = worst && !["ok", "waiting", "closed"].includes(worst);
    const word = urgent ? `${counts[worst]} ${STATES[worst].word}` : worst ? STATES[worst].word : "";
    const state = status === "lost" ? "Not live" : word;
    const title = [`${test}${state}`.trim(), this.view, "nplmon"].filter(Boolean).join(" · ");
    if (document.title !== title) document.title = title;
    const icon = status === "lost" ? "lost" : (worst ?? "waiting");
    if (icon !== this.shown) this.icon.setAttribute("href", favicon(icon));
    this.shown = icon;
  }

  #announce(tiles, now) {
    const first = !this.states.size && this.live.loaded;
    for (const tile of tiles.sort((one, other) => compare(one, other, now))) {
      const before = this.states.get(tile.monitor) ?? null;
      const after = stateOf(tile, now);
      this.states.set(tile.monitor, after);
      if (before !== after && !first && this.live.loaded) this.#tell(change(tile.monitor, before, after));
    }
    for (const monitor of this.states.keys()) if (!this.live.tiles.has(monitor)) this.states.delete(monitor);
  }

  #tell(text) {
    this.announcements.append(h("p", {}, text));
    while (this.announcements.childElementCount > 20) this.announcements.firstElementChild.remove();
  }

  #turnTheme() {
    const theme = document.documentElement.dataset.theme === "light" ? "dark" : "light";
    try {
      localStorage.setItem("nplmon.theme", theme);
    } catch {
      // Storage is forbidden: the choice lasts as long as the page.
    }
    document.dispatchEvent(new CustomEvent("theme-chosen", { detail: theme }));
  }
}
