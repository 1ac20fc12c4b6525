/** Marginal: one feature in bins: data with Poisson errors, reference and learned ratio; no DOM, no plotting library. */

import { errors } from "./poisson.js";

/** Ratio of the largest to the smallest expected content of a bin above which counts are shown on a logarithmic scale. */
const LOG_SPAN = 100;
/** Relative error up to which a point of the ratio must be inside the frame. */
const WELL_KNOWN = 0.5;

/** A feature of the interface's density ratio as columns, one row for each bin. */
export function marginalOf(feature) {
  const { edges, data, reference, reference_error: error, learned } = feature;
  const bars = data.map(errors);
  const ratio = (values) =>
    values.map((value, bin) => (value === null || !(reference[bin] > 0) ? null : value / reference[bin]));
  return {
    name: feature.name,
    unit: feature.unit,
    edges,
    centres: data.map((_, bin) => (edges[bin] + edges[bin + 1]) / 2),
    data,
    down: bars.map(([down]) => down),
    up: bars.map(([, up]) => up),
    reference,
    error,
    // Where the reference has nothing, nothing was learned either.
    learned: learned.map((value, bin) => (reference[bin] > 0 ? value : null)),
    model: reference.map((expected, bin) =>
      learned[bin] === null || !(expected > 0) ? null : expected * learned[bin],
    ),
    ratio: ratio(data),
    ratioDown: ratio(bars.map(([down]) => down)),
    ratioUp: ratio(bars.map(([, up]) => up)),
    band: ratio(error),
  };
}

/** The width of the bins where all have the same, else null. */
export function binWidth(edges) {
  const widths = edges.slice(1).map((edge, bin) => edge - edges[bin]);
  return widths.every((width) => Math.abs(width - widths[0]) < 1e-6 * Math.abs(widths[0])) ? widths[0] : null;
}

/** Whether the counts are better seen on a logarithmic scale. */
export function isSteep(marginal) {
  const there = marginal.reference.filter((value) => value > 0);
  return there.length > 0 && Math.max(...there) > LOG_SPAN * Math.min(...there);
}

/** The frame of the counts: [low, high], with room above. */
export function countRange(marginal, logarithmic) {
  const tops = [
    ...marginal.data.map((value, bin) => value + marginal.up[bin]),
    ...marginal.reference,
    ...marginal.model,
  ];
  const top = Math.max(...tops.filter((value) => value !== null && Number.isFinite(value)), 1);
  if (!logarithmic) return [0, 1.12 * top];
  const there = marginal.reference.filter((value) => value > 0);
  const bottom = Math.max(0.5 * Math.min(...there, 1e9), 0.1);
  return [bottom, bottom * (top / bottom) ** 1.08];
}

/**
 * The frame of the ratio: [low, high], all that is well measured and all that was learned, at least 0.8 to 1.2 and at
 * most 0 to 5.
 */
export function ratioRange(marginal) {
  let span = 0;
  marginal.ratio.forEach((value, bin) => {
    if (value === null) return;
    const error = (marginal.ratioDown[bin] + marginal.ratioUp[bin]) / 2;
    if (error <= WELL_KNOWN * Math.max(value, 1e-9)) span = Math.max(span, value + error - 1, 1 - value + error);
    const { learned } = marginal;
    if (learned[bin] !== null) span = Math.max(span, Math.abs(learned[bin] - 1));
  });
  span = Math.min(Math.max(1.15 * span, 0.2), 4);
  return [Math.max(0, 1 - span), 1 + span];
}

/**
 * The points of the ratio inside the frame, and those beyond it, which are shown as arrows at its edge:
 * `{inside: [bin], above: [bin], below: [bin]}`. A bin without an event where fewer than that was to come tells nothing.
 */
export function placed(marginal, [low, high]) {
  const found = { inside: [], above: [], below: [] };
  marginal.ratio.forEach((value, bin) => {
    if (value === null || (marginal.data[bin] === 0 && marginal.ratioUp[bin] > high)) return;
    if (value > high) found.above.push(bin);
    else if (value < low) found.below.push(bin);
    else found.inside.push(bin);
  });
  return found;
}

/** The outline of a histogram as steps: `{x, y}`; a bin without a value is a gap. */
export function steps(edges, values) {
  const outline = { x: [], y: [] };
  values.forEach((value, bin) => {
    outline.x.push(edges[bin], edges[bin + 1]);
    outline.y.push(value, value);
  });
  return outline;
}

/** The region between two histograms as polygons, one for each stretch of bins that have both. */
export function between(edges, low, high) {
  const outline = { x: [], y: [] };
  let open = [];
  const close = () => {
    if (!open.length) return;
    if (outline.x.length) {
      outline.x.push(null);
      outline.y.push(null);
    }
    for (const bin of open) add(outline, [edges[bin], high[bin]], [edges[bin + 1], high[bin]]);
    for (const bin of open.toReversed()) add(outline, [edges[bin + 1], low[bin]], [edges[bin], low[bin]]);
    add(outline, [edges[open[0]], high[open[0]]]);
    open = [];
  };
  high.forEach((value, bin) => {
    if (value === null || low[bin] === null) close();
    else open.push(bin);
  });
  close();
  return outline;
}

function add(outline, ...points) {
  for (const [x, y] of points) {
    outline.x.push(x);
    outline.y.push(y);
  }
}
