/** Plot ranges: what part of a figure is seen, and buttons that change it without a mouse. */

import { h } from "./element.js";

const AXIS = /^([xy]axis\d*)\.(range|autorange)/;

export class Ranges {
  /** `changed` is called after each change of what is seen. */
  constructor(canvas, changed) {
    Object.assign(this, { canvas, changed, chosen: new Set(), revision: 0 });
    const button = (label, text, click) =>
      h("button", { type: "button", class: "small", "aria-label": label, title: label, on: { click } }, text);
    this.all = h("button", { type: "button", class: "small", on: { click: () => this.#whole() } }, "Whole range");
    this.all.disabled = true;
    this.element = h(
      "div",
      { class: "ranges", role: "group", "aria-label": "Range that is shown" },
      button("Zoom in", "+", () => this.#zoom(0.5, 0)),
      button("Zoom out", "−", () => this.#zoom(2, 0)),
      button("Move to the left", "◀", () => this.#zoom(1, -0.4)),
      button("Move to the right", "▶", () => this.#zoom(1, 0.4)),
      this.all,
    );
  }

  listen() {
    this.canvas.on("plotly_relayout", (change) => {
      const before = this.chosen.size;
      let any = false;
      for (const [name, value] of Object.entries(change)) {
        const found = AXIS.exec(name);
        if (!found) continue;
        any = true;
        if (found[2] === "autorange" && value) this.chosen.delete(found[1]);
        else this.chosen.add(found[1]);
      }
      if (!any) return;
      this.all.disabled = !this.chosen.size;
      // Back to the whole: what the figure chose itself is asked for anew.
      if (before && !this.chosen.size) this.revision += 1;
      this.changed();
    });
  }

  /** The ranges that are seen, by axis, in the axis' own numbers (logarithms on a logarithmic axis). */
  seen() {
    const found = {};
    for (const name of this.chosen) {
      const range = this.canvas.layout?.[name]?.range;
      if (range) found[name] = range.map(numeric);
    }
    return found;
  }

  /** The range of the x axis that was chosen; null for all. */
  x() {
    return this.seen().xaxis ?? null;
  }

  /** Another figure is shown: its ranges are its own. */
  forget() {
    this.chosen.clear();
    this.all.disabled = true;
    this.revision += 1;
  }

  #zoom(factor, move) {
    const { range: seen, type } = this.canvas.layout?.xaxis ?? {};
    if (!seen) return;
    const range = seen.map(numeric);
    const half = (range[1] - range[0]) / 2;
    const centre = (range[0] + range[1]) / 2 + move * 2 * half;
    const wanted = [centre - factor * half, centre + factor * half];
    globalThis.Plotly.relayout(this.canvas, {
      "xaxis.range": type === "date" ? wanted.map(wallClock) : wanted,
      "xaxis.autorange": false,
    });
  }

  #whole() {
    this.forget();
    this.changed();
  }
}

/** A place on an axis as a number; dates, which plotly writes without a zone, as milliseconds. */
export function numeric(value) {
  if (typeof value === "number") return value;
  const asNumber = Number(value);
  return Number.isFinite(asNumber) ? asNumber : Date.parse(`${value.replace(" ", "T")}Z`);
}

/** Milliseconds as plotly writes dates: "2026-11-26 07:45:41.250". */
export function wallClock(milliseconds) {
  return new Date(milliseconds).toISOString().slice(0, 23).replace("T", " ");
}
