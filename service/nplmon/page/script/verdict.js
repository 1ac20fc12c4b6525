/** Verdict: what fired, since when, by which rule; and who knows about it. */

import { of } from "./api.js";
import { h, mark, put, say } from "./element.js";
import { age, duration, moment, number, probability, significance, statistic } from "./format.js";
import { Form, who } from "./form.js";
import { shape } from "./icon.js";
import { href } from "./router.js";
import { stateOf, testOf } from "./state.js";

const WORDS = { alarm: "Alarm", warning: "Warning" };
/** What is said in place of an alarm; "no alarm" alone would promise that one could be raised. */
const CALM = {
  stale: "No alarm, and no new chunk",
  uncalibrated: "No alarm can be raised",
  ok: "No alarm",
  waiting: "No chunk yet",
  closed: "Closed without an alarm",
};

export class Verdict {
  constructor({ api, monitor, live }) {
    Object.assign(this, { api, monitor, live });
    this.symbol = h("span");
    this.word = h("span", { class: "word" });
    this.test = h("strong", { class: "test", hidden: true });
    this.lasting = h("span", { class: "lasting" });
    this.now = h("span");
    this.age = h("span", { class: "age" });
    this.thresholds = h("span");
    this.facts = h("dl", { class: "rows" });
    this.standing = h("p", { class: "standing" });
    this.known = h("div", { class: "known" });
    this.form = new Form({
      title: "Acknowledge",
      hint: "Tell the others that you have taken this on. The alarm stays raised.",
      fields: [who(), { name: "comment", label: "Comment", rows: 2, required: true, limit: 2000 }],
      action: "Acknowledge",
      primary: true,
      send: (values) => this.#acknowledge(values),
    });
    this.form.element.hidden = true;
    this.element = h(
      "section",
      { class: "panel verdict", "aria-labelledby": "verdict-title" },
      h("h2", { id: "verdict-title", class: "band" }, this.symbol, this.word, this.test, this.lasting),
      this.facts,
      this.standing,
      this.known,
      this.form.element,
    );
  }

  show(facts) {
    this.shown = facts;
    const { alarm, acknowledged } = facts;
    const raised = alarm.level !== "ok";
    const state = acknowledged ? "acknowledged" : raised ? alarm.level : stateOf(facts, this.live.now());
    mark(this.element, "data-state", state);
    const key = JSON.stringify([alarm, acknowledged, facts.run, facts.run_state, facts.deciding, facts.note, state]);
    if (key !== this.key) {
      this.key = key;
      put(this.symbol, shape(state));
      say(this.word, acknowledged ? `${WORDS[alarm.level]}, acknowledged` : (WORDS[alarm.level] ?? CALM[state]));
      put(this.standing, raised ? latch(facts) : calm(facts));
      put(this.known, acknowledged && known(acknowledged));
      put(this.facts, this.#rows(facts));
      this.form.element.hidden = !raised || Boolean(acknowledged);
    }
    if (facts.deciding) say(this.now, now(facts));
    if (facts.calibration) say(this.thresholds, calibrated(facts));
    this.look(this.live.now());
  }

  look(now) {
    if (!this.shown) return;
    const { alarm, updated_at: updated } = this.shown;
    this.test.hidden = !testOf(this.shown, now);
    // A raised alarm is real, also while a test is fired beside it.
    say(this.test, alarm.level === "ok" ? "Test alarm" : "and a test");
    say(this.lasting, alarm.since ? `for ${duration(now - alarm.since)}` : "");
    say(this.age, updated ? `${age(now - updated)} since the last chunk` : "");
  }

  #rows(facts) {
    const { alarm, run } = facts;
    const rows = [];
    if (alarm.level !== "ok") {
      rows.push(["Rule", h("strong", { class: "rule" }, alarm.rule)]);
      rows.push(["Since", h("time", { datetime: new Date(alarm.since * 1000).toISOString() }, moment(alarm.since, this.live.now()))]);
      const chunk = href(`/monitors/${this.monitor}`, { run, chunk: alarm.chunk });
      rows.push(["Chunk", h("span", {}, h("a", { href: chunk }, alarm.chunk ?? "–"), `, number ${alarm.sequence} of run ${run}`)]);
    } else if (run) {
      rows.push(["Run", run]);
    }
    if (facts.deciding) rows.push([facts.run_state === "closed" ? "At its end" : "Now", h("span", {}, this.now, this.age)]);
    if (facts.note) rows.push(["Note", facts.note]);
    if (facts.calibration) rows.push(["Thresholds", this.thresholds]);
    return rows.map(([term, told]) => h("div", {}, h("dt", {}, term), h("dd", {}, told)));
  }

  async #acknowledge(values) {
    const { alarm, run } = this.shown;
    await this.api.post(of(this.monitor, "runs", run, "acknowledge"), {
      ...values,
      level: alarm.level,
      sequence: alarm.sequence,
    });
    return "Acknowledged.";
  }
}

function now({ deciding, value, threshold, statistic_state: state, z, p, p_resolution: resolution }) {
  const against = threshold === null ? "without a threshold" : `threshold ${statistic(threshold)}`;
  const evidence = p === null ? "" : `, ${significance(z, p, resolution)}, ${probability(p, resolution)}`;
  return `${deciding} ${statistic(value)}, ${against} (${state})${evidence}. `;
}

function calibrated({ calibration }) {
  const { source, run_length: length, toys, disagreement, note } = calibration;
  const from = source === "toys" ? `from ${number(toys)} toys` : "in closed form";
  const told = [`${from}; a false alarm once in ${number(length, 6)} chunks on average`, disagreement, note];
  return `${told.filter(Boolean).join("; ")}.`;
}

function latch({ latest, run_state: state }) {
  const ends =
    state === "closed"
      ? "The run is closed; the next run begins without an alarm."
      : "It stays until the run is reset or a new run begins; nothing resets it by itself, and acknowledging does not either.";
  return latest ? ends : `${ends} This is not the run that was opened last.`;
}

function calm({ run, latest, run_state: state }) {
  if (!run) return "No run yet: the first chunk opens one.";
  const stays = state === "closed" ? "" : " An alarm would stay until the run is reset or a new run begins.";
  return `No warning and no alarm in this run.${stays}${latest ? "" : " This is not the run that was opened last."}`;
}

function known({ who: name, comment, at }) {
  return h(
    "figure",
    {},
    h("figcaption", {}, h("strong", {}, name), " acknowledged it ", h("time", {}, moment(at))),
    h("blockquote", {}, comment),
  );
}
