/** Test alarm: fired to see that it arrives; marked as a test everywhere, and ending by itself. */

import { of } from "./api.js";
import { h, mark, put, say } from "./element.js";
import { Form, who } from "./form.js";
import { duration, moment } from "./format.js";
import { problemBox } from "./notice.js";
import { testOf } from "./state.js";

const DURATIONS = [
  ["60", "1 minute"],
  ["300", "5 minutes"],
  ["900", "15 minutes"],
  ["3600", "1 hour"],
];

export class TestAlarm {
  constructor({ api, monitor, live }) {
    Object.assign(this, { api, monitor, live });
    this.left = h("strong");
    this.told = h("p");
    this.trouble = h("div");
    this.running = h(
      "div",
      { class: "running", hidden: true },
      h("p", { class: "test-band" }, h("strong", { class: "test" }, "Test"), " A test alarm is fired; ", this.left, " left."),
      this.told,
      h("p", { class: "actions" }, h("button", { type: "button", on: { click: () => this.#end() } }, "End the test")),
      this.trouble,
    );
    this.form = new Form({
      title: "Fire a test alarm",
      hint: "It goes the way of an alarm, so that you see whether it arrives: tile, metrics, notifications. It is marked as a test everywhere, touches no statistic and ends by itself.",
      fields: [
        who(),
        { name: "comment", label: "Comment", limit: 2000 },
        { name: "seconds", label: "Duration", options: DURATIONS },
      ],
      action: "Fire the test",
      send: (values) => this.#begin(values),
    });
    this.form.element.elements.seconds.value = "300";
    this.element = h(
      "section",
      { class: "panel", "aria-labelledby": "test-title" },
      h("h2", { id: "test-title" }, "Test"),
      this.running,
      this.form.element,
    );
  }

  show(facts) {
    this.facts = facts;
    const { test } = facts;
    if (test) say(this.told, `Fired by ${test.who}, ${moment(test.since)}${test.comment ? `: ${test.comment}` : "."}`);
    this.look(this.live.now());
  }

  look(now) {
    if (!this.facts) return;
    const test = testOf(this.facts, now);
    this.running.hidden = !test;
    this.form.element.hidden = Boolean(test);
    mark(this.element, "data-test", Boolean(test));
    if (test) say(this.left, duration(test.until - now));
  }

  async #begin({ who: name, comment, seconds }) {
    await this.api.post(of(this.monitor, "test-alarm"), { who: name, comment, seconds: Number(seconds) });
    return "";
  }

  async #end() {
    put(this.trouble);
    try {
      const name = this.form.element.elements.who.value.trim();
      await this.api.remove(`${of(this.monitor, "test-alarm")}?who=${encodeURIComponent(name)}`);
    } catch (problem) {
      put(this.trouble, problemBox(problem));
    }
  }
}
