/** Monitor head: which monitor is looked at, its state, and the ways to its other views. */

import { h, mark, put, say } from "./element.js";
import { badge } from "./icon.js";
import { href } from "./router.js";
import { FLAGS, STATES, flagsOf, hiddenAlarm, stateOf } from "./state.js";

const VIEWS = [
  ["monitor", "", "Course"],
  ["where", "/where", "Where"],
  ["alarm", "/alarm", "Alarm"],
];

export class MonitorHead {
  /** `view` is the name of the one that is shown. */
  constructor(monitor, view, live) {
    Object.assign(this, { monitor, live, tile: null, run: null });
    this.state = h("span", { class: "state" });
    this.flags = h("ul", { class: "flags", "aria-label": "Also" });
    this.description = h("p", { class: "description" });
    this.links = VIEWS.map(([name, path, word]) => {
      const link = h(
        "a",
        { href: href(`/monitors/${monitor}${path}`), "aria-current": name === view ? "page" : null },
        word,
      );
      return { link, path };
    });
    this.element = h(
      "header",
      { class: "monitor-head" },
      h("div", { class: "line" }, h("h1", {}, monitor), this.state, this.flags),
      this.description,
      h(
        "nav",
        { "aria-label": `Views of ${monitor}` },
        this.links.map(({ link }) => link),
      ),
    );
    this.timer = setInterval(() => this.look(), 1000);
  }

  update(tile) {
    this.tile = tile;
    say(this.description, tile?.description ?? "");
    this.look();
  }

  /** The links lead to the same run. */
  follow(run) {
    for (const { link, path } of this.links)
      link.setAttribute("href", href(`/monitors/${this.monitor}${path}`, { run }));
  }

  look() {
    const { tile } = this;
    const now = this.live.now();
    const state = tile ? stateOf(tile, now) : null;
    if (state !== this.shown) {
      this.shown = state;
      mark(this.element, "data-state", state);
      put(this.state, state ? badge(state) : null);
      mark(this.state, "title", state ? STATES[state]?.meaning : null);
    }
    const flags = tile ? flagsOf(tile, now).map((flag) => [flag, FLAGS[flag]]) : [];
    const hidden = tile && hiddenAlarm(tile, state);
    if (hidden) flags.unshift(["alarm", hidden]);
    if (String(flags) === this.flagged) return;
    this.flagged = String(flags);
    put(
      this.flags,
      flags.map(([flag, text]) => h("li", { "data-flag": flag }, text)),
    );
  }

  close() {
    clearInterval(this.timer);
  }
}
