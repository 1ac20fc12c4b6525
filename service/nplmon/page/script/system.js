/** System: whether the service itself is well: queues, workers, dead letters, references, calibrations, store. */

import { h, put, say } from "./element.js";
import { DeadLetters } from "./dead-letters.js";
import { bytes, duration, moment } from "./format.js";
import { problemBox } from "./notice.js";
import { Queues } from "./queues.js";
import { References } from "./references.js";
import { Workers } from "./workers.js";

const APART = 5000;
const PATH = "/v1/system";

export function view(root, context) {
  const system = new System(root, context);
  return { close: () => system.close() };
}

class System {
  constructor(root, { api, live }) {
    Object.assign(this, { api, live, stop: new AbortController() });
    this.asked = h("p", { class: "asked" });
    this.trouble = h("div");
    this.store = h("dl", { class: "facts" });
    this.parts = [new Queues(live), new Workers(live), new DeadLetters({ api, live, changed: () => this.load() }), new References()];
    put(
      root,
      h("div", { class: "panel-head" }, h("h1", {}, "System"), this.asked),
      this.trouble,
      h(
        "div",
        { class: "system-body" },
        h("section", { class: "panel", "aria-labelledby": "store-title" }, h("h2", { id: "store-title" }, "Service"), this.store),
        this.parts.map(({ element }) => element),
      ),
    );
    this.timer = setInterval(() => this.#look(), 1000);
    this.asking = setInterval(() => document.hidden || this.load(), APART);
    this.load();
  }

  close() {
    this.stop.abort();
    clearInterval(this.timer);
    clearInterval(this.asking);
  }

  async load() {
    if (this.loading) return;
    this.loading = true;
    try {
      const told = await this.api.get(PATH, { signal: this.stop.signal });
      this.told = told;
      put(this.trouble);
      this.#store(told);
      for (const part of this.parts) part.show(told);
      this.#look();
    } catch (problem) {
      if (!this.stop.signal.aborted) put(this.trouble, problemBox(problem));
    } finally {
      this.loading = false;
    }
  }

  #look() {
    const now = this.live.now();
    if (!this.told) return;
    const old = now - this.told.now;
    say(this.asked, old > 2.5 * (APART / 1000) ? `Not live: as of ${moment(this.told.now, now)}, ${duration(old)} ago` : `as of ${duration(old)} ago`);
    this.asked.classList.toggle("old", old > 2.5 * (APART / 1000));
    for (const part of this.parts) part.look?.(now);
  }

  #store({ version, store, workers }) {
    const { kind, version: release, memory_bytes: used, memory_limit_bytes: limit, append_only: kept } = store;
    const trainers = workers.filter(({ role }) => role === "trainer").length;
    const aggregators = workers.filter(({ role }) => role === "aggregator").length;
    const facts = [
      ["nplmon", version, "build"],
      [kind, release, "store"],
      ["Memory of the store", bytes(used), limit ? `of ${bytes(limit)}` : "no limit but the machine's"],
      ["Written to disk", kept ? "yes" : "no", kept ? "each change is kept over a restart" : "a restart of the store loses everything"],
      ["Trainers", String(trainers), trainers ? "alive" : "no chunk is fitted"],
      ["Aggregators", String(aggregators), aggregators ? "alive" : "no statistic moves"],
    ];
    const bad = ([name, value]) => ["0", "no"].includes(value) && name !== "nplmon";
    put(
      this.store,
      facts.map(([name, value, more]) =>
        h("div", { "data-bad": bad([name, value]) }, h("dt", {}, name), h("dd", { class: "big" }, value), h("dd", {}, more)),
      ),
    );
  }
}
