/** Numbers: the state of a run now, each number with its unit and what it rests on. */

import { h } from "./element.js";
import { count, duration, moment, number, percent, probability, significance, statistic } from "./format.js";
import { kindName, KINDS } from "./kinds.js";
import { renew } from "./renew.js";

/** Fill `root` with the numbers of a run for one kind of statistic. */
export function numbers(root, { run, snapshot, pending }, kind, now) {
  if (!snapshot) {
    renew(
      root,
      h("p", { class: "empty" }, `No chunk of the run ${run.name} has been counted yet; ${count(pending)} wait.`),
    );
    return;
  }
  const chosen = snapshot.statistics[kind] ?? null;
  const notes = [
    chosen?.note,
    snapshot.effect_size?.note,
    snapshot.tolerance?.withheld ? `alarm withheld: ${snapshot.tolerance.reason}` : "",
  ];
  renew(
    root,
    h(
      "dl",
      { class: "numbers" },
      ...(chosen
        ? judged(chosen, kind === snapshot.deciding)
        : [item(kindName(kind), "–", "this monitor has no such statistic")]),
      ...effect(snapshot.effect_size),
      item(
        "Exposure",
        number(snapshot.exposure_ratio, 2),
        `expected events over those of the reference, budget ${number(snapshot.exposure_budget, 2)}`,
        snapshot.exposure_ratio > snapshot.exposure_budget
          ? "past the budget: the reference is used up"
          : "within the budget",
      ),
      item(
        "Run",
        run.name,
        `${run.state}, opened ${moment(run.opened_at, now)}`,
        run.closed_at ? `closed ${moment(run.closed_at, now)}` : null,
      ),
      item(
        "Chunks",
        count(snapshot.chunks),
        pending ? `${count(pending)} wait` : "none waits",
        snapshot.dead ? `${count(snapshot.dead)} given up` : null,
      ),
      item("Events", count(snapshot.events), `last chunk counted ${duration(now - snapshot.updated_at)} ago`),
      calibration(snapshot.calibration, snapshot.statistics[snapshot.deciding]),
      ...pool(snapshot),
      ...rate(snapshot.rate),
    ),
    notes.filter(Boolean).map((text) => h("p", { class: "note" }, `Note: ${text}.`)),
  );
}

function judged(found, deciding) {
  const { unit, evidence } = KINDS[found.kind] ?? {};
  const role = deciding ? "decides on the alarm" : "does not decide";
  const items = [
    item(kindName(found.kind), statistic(found.value), `${unit ?? ""}, ${found.state}`, role),
    item(
      "Alarm threshold",
      statistic(found.threshold),
      found.threshold === null ? "none" : unit,
      against(found, evidence),
    ),
    item("Warning threshold", statistic(found.warning_threshold), found.warning_threshold === null ? "none" : unit),
  ];
  if (evidence) return items;
  return [
    ...items,
    item(
      "p-value",
      probability(found.p, found.p_resolution).replace(/^p (= )?/, ""),
      found.p_threshold == null ? null : `an alarm is due at ${probability(found.p_threshold).replace(/^p = /, "")}`,
      resolution(found),
      found.state,
    ),
    item("Z", significance(found.z, found.p, found.p_resolution), "Gaussian standard deviations, one-sided", found.state),
    item(
      "Without anomaly",
      found.null_mean === null ? "–" : `${statistic(found.null_mean)} ± ${statistic(found.null_deviation)}`,
      "mean ± standard deviation of the null",
      unit,
    ),
    ...(found.width
      ? [
          item(
            "Kernel width",
            number(found.width, 3),
            "standard deviations of the reference",
            "the width with the smallest p",
          ),
        ]
      : []),
  ];
}

function against({ value, threshold }, evidence) {
  if (value === null || threshold === null) return null;
  if (value >= threshold) return "reached";
  return evidence ? `${statistic(threshold - value)} more are needed` : `${percent(value / threshold)} of it`;
}

function resolution({ p, p_resolution: limit }) {
  if (limit === null || limit === undefined) return "no limit of resolution";
  const told = `resolved down to ${probability(limit).replace(/^p = /, "")}`;
  return p !== null && p < limit ? `${told}; below, an upper bound` : told;
}

function effect(found) {
  if (!found) return [];
  const noise = `noise alone gives ${percent(found.null_mean)} ± ${percent(found.null_deviation)}`;
  return [item("Effect size", percent(found.value), `mean |ratio − 1|; ${noise}`)];
}

function calibration(used, deciding) {
  if (!used) return item("Calibration", "–", "none yet");
  const source = used.source === "toys" ? `${count(used.toys)} toys, up to chunk ${count(used.chunks)}` : "closed form";
  return item(
    "Calibration",
    source,
    `a false alarm every ${count(used.run_length)} chunks, a false warning every ${count(used.warning_run_length)}`,
    [deciding?.state, used.disagreement, used.note].filter(Boolean).join("; "),
  );
}

function pool({ pool_left: left, pool_used: used }) {
  if (left === null || left === undefined) return [];
  return [item("Pool", count(left), "events left for the exact e-process", `${count(used)} used by this run`)];
}

function rate(found) {
  if (!found) return [];
  if (found.state !== "exact") return [item("Rate", "unknown", found.note || "a chunk brought no exposure")];
  return [
    item(
      "Rate",
      `${count(found.observed)} of ${count(found.expected)}`,
      "events observed of expected",
      `${probability(found.p)}, Z = ${significance(found.z)}`,
    ),
  ];
}

function item(name, value, ...told) {
  return h(
    "div",
    {},
    h("dt", {}, name),
    h("dd", { class: "value" }, value),
    told.filter(Boolean).map((text) => h("dd", {}, text)),
  );
}
