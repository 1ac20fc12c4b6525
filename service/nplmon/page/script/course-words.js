/** Course words: a course as sentences, as labels of its points, and as columns of a table. */

import { halted, HALTED, nullColumns, stateAt } from "./course-columns.js";
import { count, counted, probability, significance, statistic, utcTime } from "./format.js";
import { kindName, KINDS } from "./kinds.js";

const QUANTILES = ["0.135 %", "2.5 %", "16 %", "50 %", "84 %", "97.5 %", "99.865 %"];

/**
 * The labels of the points, for plotly, which fills them in for the one that is pointed at: `{hovertemplate, customdata}`.
 * A point has one of a few templates, by what is known of it. `kind` "t_chunk" tells the chunk's own statistic.
 * Where p is not above `resolution` it is an upper bound.
 */
export function hoverLabels(course, kind = course.kind, resolution = null) {
  const own = kind === "t_chunk";
  const [value, p, z] = own ? [course.t_chunk, course.t_chunk_p, course.t_chunk_z] : [course.value, course.p, course.z];
  const line = (text, there) => (there ? `<br>${text}` : "");
  const exactly = "p = %{customdata[3]:.2g}, Z = %{customdata[4]:.1f} σ";
  const bounded = (one) => known(resolution) && known(one) && one <= resolution;
  const template = (index) => {
    if (course.state[index] === "dead") return `chunk %{customdata[0]:,}<br>${HALTED.dead}<extra></extra>`;
    return (
      `chunk %{customdata[0]:,} (%{customdata[1]})<br>${kindName(kind)} = %{customdata[2]:,.1f}` +
      (own ? "" : `, ${course.statistic_state[index]}`) +
      line(bounded(p[index]) ? "p ≤ %{customdata[3]:.2g}, Z ≥ %{customdata[4]:.1f} σ" : exactly, known(p[index])) +
      line("threshold %{customdata[5]:,.1f}", !own && known(course.threshold[index])) +
      "<br>%{customdata[6]:,} events, %{customdata[7]} UTC<extra></extra>"
    );
  };
  return {
    hovertemplate: course.sequence.map((_, index) => template(index)),
    customdata: course.sequence.map((sequence, index) => [
      sequence,
      course.chunk[index],
      value[index],
      p[index],
      z[index],
      course.threshold[index],
      course.events[index],
      utcTime(course.applied_at[index]),
    ]),
  };
}

const known = (value) => value !== null && value !== undefined;

/** What is seen, in a sentence or two; p is an upper bound where it is not above `resolution`. */
export function courseSummary(course, marks, resolution = null) {
  const last = course.sequence.length - 1;
  if (last < 0) return `No chunk of the run ${course.run} has been counted yet.`;
  const value = course.value[last];
  const told = value === null ? withoutValue(course, last) : withValue(course, last, resolution);
  const raised = marks.find((mark) => mark.kind === "alarm") ?? marks.find((mark) => mark.kind === "warning");
  const since = raised ? ` The ${raised.word} was raised at chunk ${count(raised.sequence)}.` : " No alarm was raised.";
  const thinned = course.downsampled
    ? ` Of ${count(course.total)} chunks ${count(course.sequence.length)} are drawn, the extremes among them.`
    : "";
  return told + since + thinned;
}

function withoutValue(course, index) {
  const state = stateAt(course, index);
  const number = count(course.sequence[index]);
  if (state === "dead") return `Chunk ${number}, the last one, was ${HALTED.dead}.`;
  return `After chunk ${number} ${kindName(course.kind)} is ${HALTED[state] ?? "without a value"}.`;
}

function withValue(course, index, resolution) {
  const [value, p, z] = [course.value[index], course.p[index], course.z[index]];
  const told = `After chunk ${count(course.sequence[index])} ${kindName(course.kind)} is ${statistic(value)}`;
  const chance = known(p) ? `, ${probability(p, resolution)}` : "";
  const evidence = KINDS[course.kind]?.evidence;
  const sigmas = known(p) && !evidence ? `, Z ${equal(significance(z, p, resolution))}` : "";
  return `${told}${against(value, course.threshold[index])}${chance}${sigmas}.`;
}

const equal = (text) => (text.startsWith("≥") ? text : `= ${text}`);

function against(value, limit) {
  if (limit === null || limit === undefined) return ", without a threshold";
  return value >= limit
    ? `, over its threshold of ${statistic(limit)}`
    : `, below its threshold of ${statistic(limit)}`;
}

/** The columns of the table and of the CSV file; `sum` is the course of t_sum where it is shown. */
export function courseColumns(course, sum) {
  const { unit } = KINDS[course.kind] ?? {};
  const name = course.kind;
  const nulls = nullColumns(course);
  const iso = (times) => times.map((time) => (time === null ? null : new Date(time * 1000).toISOString()));
  const columns = [
    { name: "chunk number", values: course.sequence },
    { name: "chunk", values: course.chunk },
    { name: "accepted (UTC)", values: iso(course.accepted_at) },
    { name: "counted (UTC)", values: iso(course.applied_at) },
    { name: "events", values: course.events },
    ...(course.exposure.some((one) => one !== null) ? [{ name: "exposure", values: course.exposure }] : []),
    { name, unit, values: course.value },
    {
      name: `state of ${name}`,
      values: course.sequence.map((_, index) => stateAt(course, index)),
    },
    { name: `p of ${name}`, values: course.p },
    { name: `Z of ${name}`, unit: "sigma", values: course.z },
    { name: "alarm threshold", unit, values: course.threshold },
    { name: "warning threshold", unit, values: course.warning },
    { name: `p of ${name} at which an alarm is due`, values: course.p_threshold ?? [] },
    ...nulls.columns.map((values, place) => ({
      name:
        nulls.shape === "quantiles"
          ? `null quantile ${QUANTILES[place]}`
          : `null mean${place === 3 ? "" : ` ${place < 3 ? "-" : "+"} ${Math.abs(place - 3)} sd`}`,
      unit,
      values,
    })),
    { name: "t_chunk", unit: KINDS.t_chunk.unit, values: course.t_chunk },
    { name: "p of t_chunk", values: course.t_chunk_p },
    { name: "Z of t_chunk", unit: "sigma", values: course.t_chunk_z },
    { name: "null mean of t_chunk", unit: KINDS.t_chunk.unit, values: course.t_chunk_null_mean },
    { name: "null deviation of t_chunk", unit: KINDS.t_chunk.unit, values: course.t_chunk_null_deviation },
    { name: "kernel width", unit: "sd of the reference", values: course.width },
    { name: "fit", unit: "s", values: course.fit_seconds },
    { name: "trainer", values: course.trainer },
    { name: "alarm", values: course.alarm },
  ];
  if (sum) {
    const at = new Map(sum.sequence.map((sequence, index) => [sequence, index]));
    const pick = (values) => course.sequence.map((sequence) => values[at.get(sequence)] ?? null);
    columns.push(
      { name: "t_sum", unit: KINDS.t_sum.unit, values: pick(sum.value) },
      { name: "p of t_sum", values: pick(sum.p) },
    );
  }
  return columns.filter((column) => column.values.some((value) => value !== null && value !== undefined));
}

/** What stands in the legend of a course. */
export function courseLegend(course, { second, sum, resolution }, marks, pauses, looks) {
  const { shape } = nullColumns(course);
  const name = kindName(course.kind);
  const bands =
    shape === "moments"
      ? ["null mean ± 1", "± 2", "± 3 standard deviations", "null mean"]
      : ["where 68 %", "95 %", "99.7 % of ordinary runs lie", "their median"];
  const has = (values) => values?.some((value) => value !== null && value !== undefined);
  const stops = new Set(halted(course).map(({ key }) => key));
  return [
    { mark: "line-point", colour: "--data", text: `${name} of all chunks so far` },
    ...(shape
      ? [
          { mark: "fill", colour: "--band-68", text: bands[0] },
          { mark: "fill", colour: "--band-95", text: bands[1] },
          { mark: "fill", colour: "--band-997", text: bands[2] },
          { mark: "line", colour: "--reference", text: bands[3] },
        ]
      : []),
    ...(has(course.threshold) ? [{ mark: "dash", colour: "--alarm-tint", text: "alarm threshold" }] : []),
    ...(has(course.warning) ? [{ mark: "dot", colour: "--warning-tint", text: "warning threshold" }] : []),
    ...(sum ? [{ mark: "line", colour: "--plot-sum", text: "t_sum, right axis (dotted: its null mean)" }] : []),
    {
      mark: "point",
      colour: "--data",
      text: "t_chunk of each chunk by itself, with its null mean ± 1 and 2 standard deviations",
    },
    ...[...stops]
      .filter((state) => state in HALTED)
      .map((state) => ({ mark: "fill", colour: "--plot-halted-faint", text: HALTED[state] })),
    ...(pauses.length ? [{ mark: "fill", colour: "--plot-stale-faint", text: "stale: no chunk came" }] : []),
    ...Object.entries(looks)
      .filter(([kind]) => marks.some((mark) => mark.kind === kind))
      .map(([, look]) => ({ mark: look.path, colour: look.token, text: look.word })),
    ...(second && has(course.p) ? [{ mark: "line", colour: "--edge", text: "whole σ of p" }] : []),
    ...(second && course.p.some((p) => known(p) && known(resolution) && p <= resolution)
      ? [{ mark: "dot", colour: "--muted", text: "below it p is an upper bound" }]
      : []),
  ];
}
