/** Tile: one monitor at a glance. */

import { h, mark, put, say } from "./element.js";
import { counted, duration, localTime, probability, significance, statistic } from "./format.js";
import { badge } from "./icon.js";
import { href } from "./router.js";
import { FLAGS, flagsOf, stateOf } from "./state.js";

export class Tile {
  constructor(data, now) {
    this.head = h("p", { class: "head" });
    this.name = h("a", { class: "name", href: href(`/monitors/${data.monitor}`) }, data.monitor);
    this.run = h("span", { class: "run" });
    this.value = h("span", { class: "value" });
    this.against = h("span", { class: "against" });
    this.evidence = h("p", { class: "evidence" });
    this.counts = h("p", { class: "counts" });
    this.age = h("p", { class: "age" });
    this.flags = h("ul", { class: "flags", "aria-label": "Also" });
    this.element = h(
      "li",
      { class: "tile", "data-monitor": data.monitor },
      this.head,
      h("h2", {}, this.name, this.run),
      h("p", { class: "statistic" }, this.value, this.against),
      this.evidence,
      this.counts,
      this.age,
      this.flags,
    );
    this.update(data, now);
  }

  update(data, now) {
    this.data = data;
    say(this.run, data.run ? `run ${data.run}` : "no run yet");
    say(this.value, statistic(data.value));
    say(this.against, data.threshold === null ? "no threshold" : `of ${statistic(data.threshold)}`);
    const significant = significance(data.z, data.p, data.p_resolution);
    say(this.evidence, `${data.deciding ?? ""} · ${significant} · ${probability(data.p, data.p_resolution)}`);
    say(this.counts, `${counted(data.chunks, "chunk")} · ${counted(data.events, "event")}`);
    this.look(now);
  }

  look(now) {
    const state = stateOf(this.data, now);
    if (this.state !== state) {
      this.state = state;
      mark(this.element, "data-state", state);
      put(this.head, badge(state));
    }
    const flags = flagsOf(this.data, now);
    if (String(flags) !== String(this.flagged)) {
      this.flagged = flags;
      put(this.flags, flags.map((flag) => h("li", { "data-flag": flag }, FLAGS[flag])));
    }
    const { updated_at: updated } = this.data;
    say(this.age, updated ? `${duration(now - updated)} since the last chunk (${localTime(updated)})` : "no chunk yet");
  }

  close() {
    this.element.remove();
  }
}
