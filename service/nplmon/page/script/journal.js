/** Journal: what happened to a monitor and what was done about it, the newest first. */

import { of } from "./api.js";
import { h, put, say } from "./element.js";
import { moment } from "./format.js";
import { problemBox } from "./notice.js";

const WORDS = {
  "run-opened": "Run opened",
  "run-closed": "Run closed",
  "run-reset": "Run reset",
  warning: "Warning",
  alarm: "Alarm",
  acknowledged: "Acknowledged",
  "test-begun": "Test begun",
  "test-ended": "Test ended",
  stale: "Stale",
  fresh: "Fresh again",
  "monitor-changed": "Monitor changed",
  "dead-replayed": "Dead letter replayed",
  "dead-deleted": "Dead letter deleted",
  notified: "Notified",
  "notification-failed": "Notification failed",
};

const GROUPS = {
  "": ["everything", Object.keys(WORDS)],
  alarms: ["alarms and acknowledgements", ["warning", "alarm", "acknowledged", "test-begun", "test-ended"]],
  runs: ["runs and monitor", ["run-opened", "run-closed", "run-reset", "monitor-changed", "stale", "fresh"]],
  notifications: ["notifications", ["notified", "notification-failed"]],
  dead: ["dead letters", ["dead-replayed", "dead-deleted"]],
};

/** Which state's colour marks a line. */
const STATE = { alarm: "alarm", warning: "warning", acknowledged: "acknowledged", stale: "stale", "notification-failed": "warning" };
const FIRST = 100;
const MOST = 10_000;
const APART = 1500;

export class Journal {
  constructor({ api, monitor, live, navigate, query }) {
    Object.assign(this, { api, monitor, live, limit: FIRST, entries: null, group: "" });
    const choose = () => navigate(location.pathname, { ...query, kinds: this.select.value }, { replace: true });
    const options = Object.entries(GROUPS).map(([value, [word]]) => h("option", { value }, word));
    this.select = h("select", { id: "journal-kinds", on: { change: choose } }, options);
    this.body = h("tbody");
    this.none = h("p", { class: "hint", role: "status" });
    this.older = h("button", { type: "button", hidden: true, on: { click: () => this.#more() } }, "Show older");
    const column = (word) => h("th", { scope: "col" }, word);
    this.element = h(
      "section",
      { class: "panel journal", "aria-labelledby": "journal-title" },
      h(
        "div",
        { class: "panel-head" },
        h("h2", { id: "journal-title" }, "History"),
        h("p", { class: "field inline" }, h("label", { for: "journal-kinds" }, "Show"), this.select),
      ),
      h(
        "div",
        { class: "table-scroll", tabindex: "0", role: "group", "aria-label": "Table of the history" },
        h("table", {}, h("thead", {}, h("tr", {}, ["When", "What", "Run", "Chunk", "Who", "Text"].map(column))), this.body),
      ),
      this.none,
      h("p", { class: "actions" }, this.older),
    );
  }

  filter(group) {
    this.group = group && group in GROUPS ? group : "";
    this.select.value = this.group;
    this.#draw();
  }

  /** Something changed: look again, but not more often than is of use. */
  news() {
    this.due ??= setTimeout(() => {
      this.due = null;
      this.load();
    }, APART);
  }

  async load() {
    if (this.closed || this.loading) return;
    this.loading = true;
    try {
      this.entries = (await this.api.get(`${of(this.monitor, "journal")}?limit=${this.limit}`)).entries;
      this.#draw();
    } catch (problem) {
      put(this.none, problemBox(problem));
    } finally {
      this.loading = false;
    }
  }

  close() {
    this.closed = true;
    clearTimeout(this.due);
  }

  #more() {
    this.limit = Math.min(MOST, this.limit * 5);
    this.load();
  }

  #draw() {
    if (!this.entries) return;
    const [, kinds] = GROUPS[this.group];
    const shown = this.entries.filter(({ kind }) => kinds.includes(kind) || !(kind in WORDS));
    const key = `${this.group} ${shown.length} ${shown[0]?.id} ${this.limit}`;
    this.older.hidden = this.entries.length < this.limit || this.limit >= MOST;
    if (key === this.drawn) return;
    this.drawn = key;
    put(this.body, shown.map((entry) => this.#row(entry)));
    say(this.none, shown.length ? "" : this.entries.length ? "Nothing of this kind." : "Nothing has happened yet.");
  }

  #row({ at, kind, run, level, sequence, chunk, who, text }) {
    const what = kind === "acknowledged" && level ? `${WORDS[kind]} (${level})` : (WORDS[kind] ?? kind);
    const place = chunk ? (sequence ? `${chunk} (${sequence})` : chunk) : sequence ? `number ${sequence}` : "";
    return h(
      "tr",
      { "data-state": STATE[kind], "data-kind": kind },
      h("td", {}, h("time", { datetime: new Date(at * 1000).toISOString() }, moment(at, this.live.now()))),
      h("td", { class: "what" }, what),
      h("td", { class: "run" }, run ?? ""),
      h("td", { class: "chunk" }, place),
      h("td", { class: "who" }, who || "nplmon"),
      h("td", { class: "text" }, text),
    );
  }
}
