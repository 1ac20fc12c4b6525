/** Where words: what differs, as sentences, as legends, and as columns of tables. */

import { count, statistic } from "./format.js";
import { cells } from "./pair.js";
import { aboveNoise, signed } from "./ranking.js";

/** Of a feature's figure. */
export const MARGINAL_LEGEND = [
  { mark: "bar", colour: "--data", text: "data of the run, 68 % Poisson interval" },
  { mark: "fill", colour: "--plot-reference-fill", text: "reference, scaled to the run" },
  { mark: "fill", colour: "--plot-reference-error", text: "its uncertainty" },
  { mark: "line", colour: "--learned", text: "learned ratio (above: times the reference)" },
];

/** Which feature adds most, and whether that is more than noise. */
export function leading(features, ranked) {
  const first = features.find((feature) => feature.name === ranked[0]);
  const above = first && aboveNoise(first);
  if (!first || above === null) return "";
  const told = `${first.name} adds most: ${statistic(first.contribution)}, where noise alone gives ${statistic(first.contribution_null_mean)} ± ${statistic(first.contribution_null_deviation)}.`;
  return above < 3 ? `${told} That is what noise can do: no feature stands out.` : told;
}

/** What is seen of a feature, in a sentence. */
export function marginalSummary(feature) {
  const events = feature.data.reduce((sum, value) => sum + value, 0);
  const interval =
    feature.shift_low === null ? "" : ` (95 % interval ${signed(feature.shift_low)} to ${signed(feature.shift_high)})`;
  return `Rank ${feature.rank}. ${count(events)} events; the mean is shifted by ${signed(feature.shift)} standard deviations of the reference${interval}.`;
}

/** Its bins as columns. */
export function marginalColumns(m) {
  return [
    { name: "from", unit: m.unit, values: m.edges.slice(0, -1) },
    { name: "to", unit: m.unit, values: m.edges.slice(1) },
    { name: "data", unit: "events", values: m.data },
    { name: "data error down", unit: "events", values: m.down },
    { name: "data error up", unit: "events", values: m.up },
    { name: "reference", unit: "events", values: m.reference },
    { name: "reference error", unit: "events", values: m.error },
    { name: "data / reference", values: m.ratio },
    { name: "learned ratio", values: m.learned },
  ];
}

/** The cells of a map as columns. */
export function pairColumns(pair, { exposure, units }) {
  const rows = pair.data.flatMap((row, i) => row.map((_, j) => [i, j]));
  const pick = (table) => rows.map(([i, j]) => table[i][j]);
  const edge = (name, edges, place, shift) => ({
    name: `${name} ${shift ? "to" : "from"}`,
    unit: units[name],
    values: rows.map((at) => edges[at[place] + shift]),
  });
  return [
    edge(pair.x, pair.x_edges, 0, 0),
    edge(pair.x, pair.x_edges, 0, 1),
    edge(pair.y, pair.y_edges, 1, 0),
    edge(pair.y, pair.y_edges, 1, 1),
    { name: "data", unit: "events", values: pick(pair.data) },
    { name: "reference", unit: "events", values: pick(pair.reference) },
    { name: "data / reference", values: pick(cells(pair, "ratio", exposure)) },
    { name: "pull", values: pick(cells(pair, "pull", exposure)) },
    { name: "learned ratio", values: pick(pair.learned) },
  ];
}
