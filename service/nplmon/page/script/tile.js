/** Tile: one monitor at a glance. */

import { h, mark, put, say } from "./element.js";
import { age, compact, counted, duration, localTime, number, probability, significance, statistic } from "./format.js";
import { badge } from "./icon.js";
import { href } from "./router.js";
import { Sparkline } from "./sparkline.js";
import { FLAGS, flagsOf, hiddenAlarm, stateOf, testOf } from "./state.js";

/** Where the threshold stands on the gauge; what is beyond its end is drawn at the end, with an arrow. */
const THRESHOLD_PLACE = 2 / 3;

export class Tile {
  constructor(data, live) {
    this.live = live;
    this.badge = h("span");
    this.since = h("span", { class: "since" });
    this.test = h("strong", { class: "test", hidden: true });
    this.name = h("a", { class: "name" }, data.monitor);
    this.run = h("span", { class: "run" });
    this.value = h("span", { class: "value" });
    this.threshold = h("span", { class: "limit" });
    this.z = h("span", { class: "z" });
    this.p = h("span", { class: "p" });
    this.fill = h("span", { class: "fill" });
    this.warningLine = h("span", { class: "line warning" });
    this.thresholdLine = h("span", { class: "line threshold" });
    this.gauge = h("div", { class: "gauge", "aria-hidden": "true" }, this.fill, this.warningLine, this.thresholdLine);
    this.sparkline = new Sparkline();
    this.chunks = h("span");
    this.events = h("span");
    this.kind = h("span");
    this.kindState = h("span");
    this.ageLabel = h("span");
    this.age = h("strong", { class: "age" });
    this.worst = h("p", { class: "worst" });
    this.flags = h("ul", { class: "flags", "aria-label": "Also" });
    this.silence = h("p", { class: "silence", hidden: true });
    this.element = h(
      "li",
      { class: "tile", "data-monitor": data.monitor },
      h("p", { class: "head" }, this.badge, this.test, this.since),
      h("div", { class: "title" }, h("h2", {}, this.name), this.run),
      h("div", { class: "reading" }, h("p", {}, this.value, this.threshold), h("p", { class: "evidence" }, this.z, this.p)),
      this.gauge,
      this.sparkline.element,
      this.worst,
      this.flags,
      h("div", { class: "foot" }, pair(this.chunks, this.events), pair(this.kind, this.kindState), pair(this.ageLabel, this.age)),
      this.silence,
    );
    this.update(data);
  }

  update(data) {
    this.data = data;
    mark(this.run, "title", data.run);
    say(this.run, data.run ?? "no run yet");
    say(this.value, statistic(data.value));
    say(this.kind, data.deciding);
    say(this.kindState, data.statistic_state);
    say(this.z, data.z === null ? "" : significance(data.z, data.p, data.p_resolution));
    say(this.p, data.p === null ? "" : probability(data.p, data.p_resolution));
    this.#drawGauge();
    this.sparkline.update(data.sparkline, data.threshold);
    say(this.chunks, counted(data.chunks, "chunk"));
    say(this.events, `${compact(data.events)} ${data.events === 1 ? "event" : "events"}`);
    this.look();
  }

  /** Bring up to date what follows from the clock and the connection. */
  look() {
    const { data } = this;
    const now = this.live.now();
    const state = stateOf(data, now);
    if (this.state !== state) {
      this.state = state;
      mark(this.element, "data-state", state);
      put(this.badge, badge(state));
    }
    const path = `/monitors/${data.monitor}${data.alarm.level === "ok" || data.run_state === "closed" ? "" : "/alarm"}`;
    mark(this.name, "href", href(path));
    this.test.hidden = !testOf(data, now);
    // A raised alarm is real, also while a test is fired beside it.
    say(this.test, data.alarm.level === "ok" ? "Test alarm" : "and a test");
    say(this.since, this.#since(state, now));
    this.#drawFlags(state, now);
    const { worst_feature: worst } = data;
    const notable = worst && ["alarm", "warning", "acknowledged"].includes(state);
    say(this.worst, notable ? `${worst.name} shifted ${shift(worst)}` : (state === "uncalibrated" && data.note) || "");
    const updated = data.updated_at;
    say(this.ageLabel, updated ? "since last chunk" : "");
    say(this.age, updated ? age(now - updated) : "");
    mark(this.age, "title", updated ? `last chunk applied at ${localTime(updated)}` : null);
    const lost = this.live.status === "lost";
    this.silence.hidden = !lost;
    say(this.silence, lost ? `Not live since ${this.live.heardAt ? localTime(this.live.heardAt) : "the start"}` : "");
  }

  close() {
    this.sparkline.close();
    this.element.remove();
  }

  #since(state, now) {
    const { alarm, acknowledged, updated_at: updated, opened_at: opened, closed_at: closed } = this.data;
    if (state === "acknowledged" && acknowledged) return `by ${acknowledged.who}`;
    if (state === "alarm" || state === "warning") return alarm.since ? `for ${duration(now - alarm.since)}` : "";
    if (state === "stale") return `for ${duration(now - (updated ?? opened))}`;
    if (state === "closed" && closed) return `${duration(now - closed)} ago`;
    return "";
  }

  #drawFlags(state, now) {
    const { data } = this;
    const hidden = hiddenAlarm(data, state);
    const chips = flagsOf(data, now).map((flag) => [flag, flag === "dead-letters" ? counted(data.dead, "dead letter") : FLAGS[flag]]);
    const told = chips.filter(([flag]) => flag !== "test");
    if (hidden) told.unshift([data.acknowledged ? "acknowledged" : data.alarm.level, hidden]);
    if (data.pending) told.push(["pending", `${counted(data.pending, "chunk")} waiting`]);
    if (String(told) === this.told) return;
    this.told = String(told);
    put(this.flags, told.map(([flag, text]) => h("li", { "data-flag": flag }, text)));
  }

  #drawGauge() {
    const { value, threshold, warning_threshold: warning } = this.data;
    const known = threshold > 0 && value !== null;
    mark(this.gauge, "data-known", known);
    say(this.threshold, known ? `threshold ${statistic(threshold)}` : this.data.deciding === null ? "no chunk yet" : "no threshold");
    if (!known) return;
    const place = (one) => Math.min(1, Math.max(0, (one / threshold) * THRESHOLD_PLACE));
    const percent = (share) => `${(100 * share).toFixed(2)}%`;
    this.fill.style.setProperty("width", percent(place(value)));
    this.thresholdLine.style.setProperty("left", percent(THRESHOLD_PLACE));
    this.warningLine.hidden = warning === null;
    if (warning !== null) this.warningLine.style.setProperty("left", percent(place(warning)));
    const level = value >= threshold ? "over" : warning !== null && value >= warning ? "warning" : "below";
    mark(this.gauge, "data-level", level);
    mark(this.gauge, "data-beyond", (value / threshold) * THRESHOLD_PLACE > 1);
  }
}

function pair(above, below) {
  return h("p", {}, above, below);
}

function shift({ shift: value, shift_error: error }) {
  const sign = value > 0 ? "+" : "";
  return `${sign}${number(value, 2)}${error === null ? "" : ` ± ${number(error, 1)}`} sd`;
}
