/** Run actions: close and reset, each after a question. */

import { of } from "./api.js";
import { confirmed } from "./confirm.js";
import { h, put, say } from "./element.js";
import { count } from "./format.js";
import { problemBox } from "./notice.js";

export class RunActions {
  constructor({ api, monitor }) {
    Object.assign(this, { api, monitor });
    this.told = h("div", { role: "status" });
    this.text = h("p", { class: "hint" });
    this.close = h("button", { type: "button", on: { click: () => this.#close() } }, "Close the run …");
    this.reset = h("button", { type: "button", class: "danger", on: { click: () => this.#reset() } }, "Reset the run …");
    // Until the run is known there is nothing to close.
    this.close.hidden = this.reset.hidden = true;
    this.element = h(
      "section",
      { class: "panel", "aria-labelledby": "run-title" },
      h("h2", { id: "run-title" }, "Run"),
      this.text,
      h("p", { class: "actions" }, this.close, this.reset),
      this.told,
    );
  }

  show(facts) {
    this.facts = facts;
    const { run, run_state: state } = facts;
    this.close.hidden = state !== "open";
    this.reset.hidden = !run;
    const told = {
      open: `Run ${run} is open. Closing ends it: the next chunk under another name opens the next run. Resetting begins it anew: its statistics, its history and its alarm are dropped.`,
      closed: `Run ${run} is closed. The next chunk under another name opens the next run.`,
    };
    say(this.text, told[state] ?? "No run yet: the first chunk opens one.");
  }

  look() {}

  async #close() {
    const { run } = this.facts;
    const text = [
      `Run ${run} of ${this.monitor} takes no more chunks. Those that were accepted are still applied.`,
      "Its statistics and its alarm stay to be read. The next run begins at zero, without an alarm.",
    ];
    await this.#act({ title: `Close run ${run}?`, text, action: "Close the run" }, "close", "Closed.");
  }

  async #reset() {
    const { run, alarm, chunks } = this.facts;
    const lost = chunks ? `The statistics of ${count(chunks)} chunks are dropped` : "Its statistics are dropped";
    const text = [
      `${lost}, and the run begins at zero, open.`,
      alarm.level === "ok" ? "" : `Its ${alarm.level} is cleared: ${alarm.rule}`,
      "This cannot be taken back; the journal keeps that it was done.",
    ].filter(Boolean);
    await this.#act({ title: `Reset run ${run}?`, text, action: "Reset the run" }, "reset", "Reset.");
  }

  async #act(question, verb, done) {
    const { run } = this.facts;
    if (!(await confirmed(question))) return;
    try {
      await this.api.post(of(this.monitor, "runs", run, verb));
      put(this.told, done);
    } catch (problem) {
      put(this.told, problemBox(problem));
    }
  }
}
