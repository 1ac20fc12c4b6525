/** References: how far each monitor has used up its reference and its pool, and what its thresholds are from. */

import { h } from "./element.js";
import { count, number } from "./format.js";
import { href } from "./router.js";
import { Table } from "./table.js";

export class References {
  constructor() {
    this.table = new Table({
      id: "references",
      title: "References and calibrations",
      hint: "Exposure: expected events of the run over the effective events of the reference. Past its budget, what takes the reference for the truth itself is invalid.",
      columns: [["Monitor"], ["Reference"], ["Exposure"], ["Pool"], ["Calibration"]],
      none: "No monitor yet.",
    });
    this.element = this.table.element;
  }

  show({ monitors }) {
    this.table.show(
      monitors.map((one) => [
        h("a", { href: href(`/monitors/${one.monitor}`) }, one.monitor),
        [one.reference, h("div", { class: "muted" }, events(one))],
        exposure(one),
        pool(one),
        calibration(one.calibration),
      ]),
    );
  }
}

function events({ reference_events: all, effective_events: effective }) {
  if (all === null) return "the reference is gone";
  return all === Math.round(effective) ? `${count(all)} events` : `${count(all)} events (${count(effective)} effective)`;
}

function exposure({ exposure_ratio: ratio, exposure_budget: budget }) {
  if (ratio === null) return "no chunk yet";
  const over = ratio > budget;
  return [bar(ratio / budget, over), h("span", { class: over ? "bad" : null }, `${number(ratio, 2)} of ${number(budget, 2)}${over ? ": past its budget" : ""}`)];
}

function pool({ pool_events: all, pool_left: left }) {
  if (left === null) return "no pool";
  const empty = left === 0;
  return [bar(all ? left / all : 0, empty), h("span", { class: empty ? "bad" : null }, empty ? "empty" : `${count(left)} of ${count(all)} events left`)];
}

function calibration(told) {
  if (told === null) return "closed form; no toys were asked for";
  const { state, reason, toys, toys_done: done, disagreement, note } = told;
  const progress = state === "running" ? `${count(done)} of ${count(toys)} toys` : `${count(done)} toys`;
  const words = [`${state}, ${progress}`, reason, disagreement, note].filter(Boolean).join("; ");
  return h("span", { class: ["failed", "void"].includes(state) ? "bad" : null }, words);
}

/** How full; the words beside it say the same. */
function bar(share, bad) {
  const width = `${(100 * Math.min(1, Math.max(0, share))).toFixed(1)}%`;
  return h("span", { class: "level", "aria-hidden": "true", "data-bad": bad }, h("span", { style: { width } }));
}
