/** Overview: one tile for each monitor, the most urgent first. */

import { h, mark, put, say } from "./element.js";
import { counted } from "./format.js";
import { badge } from "./icon.js";
import { noMonitors } from "./empty.js";
import { compare, STATES, tally } from "./state.js";
import { Tile } from "./tile.js";

/** On a wall screen: so many tiles can be read from three metres. */
const KIOSK_TILES = 12;
/** Columns and rows of a wall screen, by the number of tiles that they hold. */
const KIOSK_GRIDS = [
  [1, 1],
  [2, 1],
  [2, 2],
  [3, 2],
  [3, 3],
  [4, 3],
];

export function view(root, context) {
  const overview = new Overview(root, context);
  return { close: () => overview.close() };
}

class Overview {
  constructor(root, { live, query }) {
    this.live = live;
    this.kiosk = query.kiosk === "1";
    this.tiles = new Map();
    this.summary = h("ul", { class: "summary", "aria-label": "Monitors by state" });
    this.list = h("ol", { class: "tiles", "aria-label": "Monitors, the most urgent first" });
    this.list.addEventListener("keydown", (event) => this.#step(event));
    this.hidden = h("p", { class: "hidden-tiles", hidden: true });
    this.empty = h("div", { class: "empty", hidden: true });
    put(root, h("h1", { class: "unseen" }, "Overview"), this.summary, this.empty, this.list, this.hidden);
    this.stop = new AbortController();
    const { signal } = this.stop;
    live.addEventListener("tile", ({ detail }) => this.#take(detail), { signal });
    for (const name of ["gone", "tiles"]) live.addEventListener(name, () => this.#takeAll(), { signal });
    live.addEventListener("state", () => this.#look(), { signal });
    this.timer = setInterval(() => this.#look(), 1000);
    this.#takeAll();
  }

  close() {
    this.stop.abort();
    clearInterval(this.timer);
    for (const tile of this.tiles.values()) tile.close();
  }

  #take(data) {
    const present = this.tiles.get(data.monitor);
    if (present) present.update(data);
    else this.tiles.set(data.monitor, new Tile(data, this.live));
    this.arranging ??= requestAnimationFrame(() => this.#arrange());
  }

  #takeAll() {
    for (const [monitor, tile] of this.tiles) {
      if (this.live.tiles.has(monitor)) continue;
      tile.close();
      this.tiles.delete(monitor);
    }
    for (const data of this.live.tiles.values()) this.#take(data);
    this.#arrange();
  }

  #look() {
    for (const tile of this.tiles.values()) tile.look();
    this.#arrange();
  }

  /** Put the tiles in order; nothing is moved that stands where it should. */
  #arrange() {
    this.arranging = null;
    const now = this.live.now();
    const focused = document.activeElement;
    const ordered = [...this.tiles.values()].sort((one, other) => compare(one.data, other.data, now));
    const shown = this.kiosk ? ordered.slice(0, KIOSK_TILES) : ordered;
    shown.forEach((tile, place) => {
      const there = this.list.children[place];
      if (there !== tile.element) this.list.insertBefore(tile.element, there ?? null);
    });
    while (this.list.childElementCount > shown.length) this.list.lastElementChild.remove();
    if (focused !== document.activeElement && this.list.contains(focused)) focused.focus({ preventScroll: true });
    if (this.kiosk) this.#fit(shown.length, ordered.slice(shown.length), now);
    this.#summarise(now);
    this.#explain();
  }

  #fit(number, rest, now) {
    const [columns, rows] = KIOSK_GRIDS.find(([x, y]) => x * y >= number) ?? KIOSK_GRIDS.at(-1);
    mark(this.list, "data-columns", columns);
    mark(this.list, "data-rows", rows);
    const counts = Object.entries(tally(rest.map(({ data }) => data), now));
    this.hidden.hidden = !rest.length;
    const told = counts.map(([state, many]) => `${many} ${STATES[state].word}`).join(", ");
    say(this.hidden, rest.length ? `${counted(rest.length, "more monitor")} not shown, none more urgent: ${told}` : "");
  }

  #summarise(now) {
    const counts = tally(
      [...this.tiles.values()].map(({ data }) => data),
      now,
    );
    const text = JSON.stringify(counts);
    if (text === this.summarised) return;
    this.summarised = text;
    const entry = ([state, many]) => h("li", { "data-state": state }, h("strong", {}, String(many)), badge(state));
    put(this.summary, Object.entries(counts).map(entry));
  }

  #explain() {
    const empty = this.tiles.size === 0;
    this.empty.hidden = !empty;
    if (!empty) return;
    const why = this.live.loaded ? "none" : "waiting";
    if (why === this.why) return;
    this.why = why;
    put(this.empty, why === "none" ? noMonitors() : h("p", {}, "Waiting for the service …"));
  }

  /** Arrow keys move between tiles, up and down by rows. */
  #step(event) {
    const tiles = [...this.list.children];
    const place = tiles.indexOf(document.activeElement?.closest(".tile"));
    if (place < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const { offsetTop } = tiles[0];
    const columns = Math.max(1, tiles.filter((tile) => tile.offsetTop === offsetTop).length);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    const ends = { Home: 0, End: tiles.length - 1 };
    const target = event.key in ends ? ends[event.key] : place + (steps[event.key] ?? Number.NaN);
    if (Number.isNaN(target)) return;
    event.preventDefault();
    tiles[target]?.querySelector("a.name").focus();
  }
}
