/** Overview: one tile for each monitor, the most urgent first. */

import { h, put } from "./element.js";
import { compare } from "./state.js";
import { Tile } from "./tile.js";

export function view(root, context) {
  const overview = new Overview(root, context);
  return { close: () => overview.close() };
}

class Overview {
  constructor(root, { live }) {
    this.live = live;
    this.tiles = new Map();
    this.list = h("ol", { class: "tiles", "aria-label": "Monitors, the most urgent first" });
    this.empty = h("div", { class: "empty", hidden: true });
    put(root, h("h1", { class: "unseen" }, "Overview"), this.empty, this.list);
    this.stop = new AbortController();
    const { signal } = this.stop;
    live.addEventListener("tile", ({ detail }) => this.take(detail), { signal });
    live.addEventListener("gone", () => this.takeAll(), { signal });
    live.addEventListener("tiles", () => this.takeAll(), { signal });
    live.addEventListener("state", () => this.tick(), { signal });
    this.timer = setInterval(() => this.tick(), 1000);
    this.takeAll();
  }

  close() {
    this.stop.abort();
    clearInterval(this.timer);
    for (const tile of this.tiles.values()) tile.close();
  }

  take(data) {
    const present = this.tiles.get(data.monitor);
    if (present) present.update(data, this.live.now());
    else this.tiles.set(data.monitor, new Tile(data, this.live.now()));
    this.arrange();
  }

  takeAll() {
    for (const [monitor, tile] of this.tiles) {
      if (this.live.tiles.has(monitor)) continue;
      tile.close();
      this.tiles.delete(monitor);
    }
    for (const data of this.live.tiles.values()) this.take(data);
    this.arrange();
  }

  tick() {
    const now = this.live.now();
    for (const tile of this.tiles.values()) tile.look(now);
    this.arrange();
  }

  /** Put the tiles in order; nothing is moved that stands where it should. */
  arrange() {
    const now = this.live.now();
    const focused = document.activeElement;
    const ordered = [...this.tiles.values()].sort((one, other) => compare(one.data, other.data, now));
    ordered.forEach((tile, place) => {
      const there = this.list.children[place];
      if (there !== tile.element) this.list.insertBefore(tile.element, there ?? null);
    });
    if (focused !== document.activeElement && this.list.contains(focused)) focused.focus({ preventScroll: true });
    this.empty.hidden = this.tiles.size > 0;
  }
}
