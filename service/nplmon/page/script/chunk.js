/** Chunk: one chunk of a run by itself, chosen on the plot or with the arrow keys. */

import { of } from "./api.js";
import { dataTable } from "./data-table.js";
import { h, mark, put } from "./element.js";
import { count, duration, moment, number, probability, significance, statistic } from "./format.js";
import { nearest } from "./course-columns.js";
import { KINDS, kindName } from "./kinds.js";

export class ChunkPanel {
  /** `choose(chunk)` is called with the id of a chunk, or null for none; `loaded` once its numbers are there. */
  constructor({ api, monitor }, choose, loaded) {
    Object.assign(this, { api, monitor, choose, loaded, course: null, chunk: null, entry: null, turn: 0 });
    this.slider = h("input", {
      type: "range",
      min: 0,
      max: 0,
      step: 1,
      id: "chunk-slider",
      on: { input: () => this.#slid(), change: () => this.#slid() },
    });
    this.label = h("label", { for: "chunk-slider" }, "Chunk");
    this.body = h("div", { class: "chunk-body" });
    const step = (label, text, by) =>
      h(
        "button",
        { type: "button", class: "small", "aria-label": label, title: label, on: { click: () => this.step(by) } },
        text,
      );
    this.clear = h("button", { type: "button", class: "small", on: { click: () => this.choose(null) } }, "No chunk");
    this.element = h(
      "section",
      { class: "chunk-panel", "aria-labelledby": "chunk-heading" },
      h("h2", { id: "chunk-heading" }, "One chunk"),
      h(
        "div",
        { class: "scrubber" },
        this.label,
        step("Chunk before", "◀", -1),
        this.slider,
        step("Next chunk", "▶", 1),
        this.clear,
      ),
      this.body,
    );
  }

  /** Take a new state of the course, and the chunk that is chosen (its id, or null). */
  update(course, chunk) {
    const other =
      chunk !== this.chunk || course?.run !== this.course?.run || course?.run_epoch !== this.course?.run_epoch;
    Object.assign(this, { course, chunk });
    const last = Math.max(0, (course?.sequence.length ?? 0) - 1);
    mark(this.slider, "max", last);
    this.slider.disabled = !course?.sequence.length;
    const index = this.index();
    this.slider.value = String(index < 0 ? last : index);
    mark(
      this.slider,
      "aria-valuetext",
      index < 0
        ? "none chosen"
        : `chunk ${course.sequence[index]}, ${kindName(course.kind)} ${statistic(course.value[index])}, ${course.alarm[index]}`,
    );
    this.clear.disabled = chunk === null;
    if (other) this.#load();
  }

  /** The point of the course that is the chosen chunk, or lies nearest to it; -1 where none is chosen. */
  index() {
    if (!this.course || this.chunk === null) return -1;
    const exact = this.course.chunk.indexOf(this.chunk);
    if (exact >= 0) return exact;
    return this.entry && this.entry.chunk === this.chunk ? nearest(this.course, this.entry.sequence) : -1;
  }

  /** The number of the chosen chunk in its run; null where none is chosen or it is not known yet. */
  sequence() {
    const exact = this.course?.chunk.indexOf(this.chunk) ?? -1;
    if (this.chunk !== null && exact >= 0) return this.course.sequence[exact];
    return this.chunk !== null && this.entry?.chunk === this.chunk ? this.entry.sequence : null;
  }

  /** Choose the next chunk, or the one before. */
  step(by) {
    const length = this.course?.sequence.length ?? 0;
    if (!length) return;
    const index = this.index();
    const next = index < 0 ? (by > 0 ? 0 : length - 1) : Math.min(length - 1, Math.max(0, index + by));
    this.choose(this.course.chunk[next]);
  }

  #slid() {
    const chunk = this.course?.chunk[Number(this.slider.value)];
    if (chunk !== undefined && chunk !== this.chunk) this.choose(chunk);
  }

  async #load() {
    this.turn += 1;
    const mine = this.turn;
    if (this.chunk === null || !this.course) {
      this.entry = null;
      put(
        this.body,
        h(
          "p",
          { class: "hint" },
          "Click a chunk in the plot, or move along the chunks with the arrow keys, for its own numbers.",
        ),
      );
      return;
    }
    const address = `${of(this.monitor, "chunks", this.chunk)}?${new URLSearchParams({ run: this.course.run })}`;
    try {
      const found = await this.api.get(address);
      if (mine !== this.turn) return;
      this.entry = found.entry;
      put(this.body, told(found, address));
      this.loaded();
    } catch (problem) {
      if (mine === this.turn) put(this.body, h("p", { class: "hint" }, `${problem.message} ${problem.remedy ?? ""}`));
    }
  }
}

function told({ chunk, state, entry, receipt }, address) {
  const json = h("a", { href: address, target: "_blank", rel: "noopener" }, "its JSON");
  if (!entry) return [h("p", {}, `${chunk}: ${state}, not counted yet; `, json)];
  const item = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  const kinds = Object.keys(KINDS).filter((kind) => kind in entry.statistics);
  const found = kinds.map((kind) => entry.statistics[kind]);
  const column = (name, values, show, unit) => ({ name, unit, values, show });
  return [
    h(
      "p",
      { class: "chunk-title" },
      `Chunk ${count(entry.sequence)}: `,
      h("code", {}, chunk),
      ` (${entry.state}; `,
      json,
      ")",
    ),
    h(
      "dl",
      { class: "numbers small" },
      item("Events", count(entry.events)),
      item("Exposure", entry.exposure === null ? "not given" : number(entry.exposure, 4)),
      item("Accepted", moment(entry.accepted_at)),
      item(
        "Counted",
        moment(entry.applied_at),
        h("span", { class: "muted" }, ` after ${span(entry.applied_at - entry.accepted_at)}`),
      ),
      item("Source time", receipt?.source_time ? moment(receipt.source_time) : "not given"),
      item("Fit", entry.fit_seconds === null ? "none" : `${number(entry.fit_seconds, 3)} s`),
      item("Worker", entry.trainer ?? "none"),
      item("Alarm after it", entry.alarm),
    ),
    entry.error ? h("p", { class: "error" }, entry.error) : null,
    kinds.length
      ? dataTable(
          [
            column("statistic", kinds, kindName),
            column(
              "value",
              found.map((one) => one.value),
              statistic,
            ),
            column(
              "state",
              found.map((one) => one.state),
            ),
            column(
              "p",
              found.map((one) => one.p),
              (p) => (p === null ? "–" : probability(p).replace(/^p = /, "")),
            ),
            column(
              "Z",
              found.map((one) => one.z),
              (z) => (z === null ? "–" : significance(z)),
            ),
            column(
              "null mean",
              found.map((one) => one.null_mean),
              statistic,
            ),
            column(
              "null sd",
              found.map((one) => one.null_deviation),
              statistic,
            ),
            column(
              "threshold",
              found.map((one) => one.threshold),
              statistic,
            ),
            column(
              "kernel width",
              found.map((one) => one.width),
              (width) => number(width, 3),
              "sd",
            ),
          ],
          { caption: `Statistics after chunk ${entry.sequence}` },
        )
      : null,
  ];
}

function span(seconds) {
  return seconds < 10 ? `${number(seconds, 2)} s` : duration(seconds);
}
