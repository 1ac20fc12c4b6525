/** Course figure: a run as one figure of three panels over the same chunks: statistic, p or Z, and each chunk's own. */

import { Axes } from "./course-axes.js";
import { moments, nullColumns, region, split } from "./course-columns.js";
import { kindName, KINDS } from "./kinds.js";
import { axis, faint, frame, logAxis } from "./palette.js";
import { laneTraces, shapes } from "./course-shapes.js";
import { hoverLabels } from "./course-words.js";
import { log10Tail, sigmaLines, significanceOf } from "./sigmas.js";

const MANY = 200;
const SMALLEST = 1e-300;

/**
 * Build the figure of a course. `options`: `{second: "p"|"z", clock: "chunk"|"local"|"utc", logarithmic, sum, marks,
 * pauses, selected, resolution}`; `sum` is the course of t_sum or null, `selected` a sequence number or null.
 */
export function courseFigure(course, options, colours, { width, ranges, picture }) {
  const compact = width < 560;
  const axes = new Axes(course, options);
  const dot = dotSize(course.sequence.length, width);
  const second = course.p.some((p) => p !== null);
  const rows = second ? { y: [0.5, 0.95], y2: [0.265, 0.445], y3: [0, 0.21] } : { y: [0.33, 0.95], y3: [0, 0.27] };
  const labels = hoverLabels(course, course.kind, options.resolution);
  const data = [
    ...nullTraces(course, axes, colours),
    ...statisticTraces(course, axes, options, labels, dot, colours),
    ...(second ? secondTraces(course, axes, options, labels, dot, colours) : []),
    ...chunkTraces(course, axes, dot, colours),
    ...laneTraces(axes, options, colours),
  ];
  const named = (text) => ({ text, standoff: 6, font: { size: compact ? 12 : 14 } });
  const { unit } = KINDS[course.kind] ?? {};
  const bare = { showticklabels: false, matches: "x" };
  const layout = frame(colours, {
    height: compact ? 620 : 760,
    margin: { l: compact ? 52 : 74, r: options.sum ? (compact ? 46 : 70) : compact ? 14 : 24, t: 8, b: 52 },
    xaxis: axis(colours, {
      anchor: "y3",
      type: axes.dates ? "date" : "linear",
      title: named(axes.title),
      ...axes.ticks,
    }),
    xaxis2: axis(colours, { anchor: "y", type: axes.dates ? "date" : "linear", ...bare }),
    yaxis: axis(colours, {
      anchor: "x2",
      domain: rows.y,
      title: named(unit && !compact ? `${kindName(course.kind)}  (${unit})` : kindName(course.kind)),
      ...scale(options.logarithmic, extent(course), ranges.yaxis, colours),
    }),
    yaxis3: axis(colours, {
      anchor: "x",
      domain: rows.y3,
      title: named("t_chunk"),
      rangemode: "tozero",
    }),
    yaxis4: { anchor: "x2", domain: [0.955, 1], range: [0, 1], visible: false, fixedrange: true },
    shapes: shapes(course, axes, options, colours),
    annotations: [],
  });
  if (second) {
    layout.xaxis3 = axis(colours, { anchor: "y2", type: axes.dates ? "date" : "linear", ...bare });
    layout.yaxis2 = axis(colours, {
      anchor: "x3",
      domain: rows.y2,
      title: named(options.second === "p" ? "p-value" : "Z [σ]"),
      ...secondScale(course, options, ranges.yaxis2, colours),
    });
    layout.annotations.push(...sigmaWords(course, options, colours));
  }
  if (options.sum) {
    layout.yaxis5 = axis(colours, {
      anchor: "x2",
      overlaying: "y",
      side: "right",
      tickmode: "auto",
      title: named(compact ? "" : "t_sum"),
      mirror: false,
      minor: {},
      tickfont: { size: 12, color: colours.sum },
    });
    layout.yaxis.mirror = true;
  }
  if (picture) layout.hovermode = false;
  return { data, layout };
}

/** The size of a point, so that neighbours can be told apart, in CSS pixels. */
function dotSize(chunks, width) {
  return Math.max(2, Math.min(5, Math.round((1.2 * width) / Math.max(1, chunks))));
}

/** What belongs to each chunk, and may jump where another kernel width wins, is drawn in steps. */
const line = (x, y, colour, more) => ({
  type: "scatter",
  mode: "lines",
  x,
  y,
  line: { color: colour, width: 1.6, shape: "hvh", ...more.line },
  hoverinfo: "skip",
  ...without(more),
});
const without = ({ line: _, ...rest }) => rest;

function filled(x, low, high, colour, more) {
  return {
    type: "scatter",
    mode: "lines",
    ...region(x, low, high),
    fill: "toself",
    fillcolor: colour,
    line: { width: 0, color: colour, shape: "hvh" },
    hoverinfo: "skip",
    ...more,
  };
}

function nullTraces(course, axes, colours) {
  const { shape, columns } = nullColumns(course);
  if (!shape) return [];
  const told =
    shape === "quantiles"
      ? ["null, 99.7 %", "95 %", "68 %", "median"]
      : ["null mean ± 3 sd", "± 2 sd", "± 1 sd", "mean"];
  const on = (name) => ({ xaxis: "x2", yaxis: "y", name, showlegend: true });
  return [
    filled(axes.x, columns[0], columns[6], colours.band997, on(told[0])),
    filled(axes.x, columns[1], columns[5], colours.band95, on(told[1])),
    filled(axes.x, columns[2], columns[4], colours.band68, on(told[2])),
    line(axes.x, columns[3], colours.median, on(told[3])),
  ];
}

function statisticTraces(course, axes, options, labels, dot, colours) {
  const on = { xaxis: "x2", yaxis: "y" };
  const { judged, others } = split(course);
  const mode = axes.x.length > MANY ? "lines" : "lines+markers";
  const name = kindName(course.kind);
  const traces = [
    line(axes.x, course.warning, colours.warning, {
      ...on,
      line: { dash: "dot", width: 1.8 },
      name: "warning threshold",
      showlegend: true,
    }),
    line(axes.x, course.threshold, colours.alarm, {
      ...on,
      line: { dash: "dash", width: 1.8 },
      name: "alarm threshold",
      showlegend: true,
    }),
  ];
  if (others.some((value) => value !== null)) {
    traces.push(
      line(axes.x, others, colours.halted, {
        ...on,
        line: { dash: "dot", width: 2.2, shape: "linear" },
        name: `${name}, not judged`,
        showlegend: true,
        ...labels,
      }),
    );
  }
  traces.push({
    type: "scatter",
    mode,
    ...on,
    x: axes.x,
    y: judged,
    name,
    showlegend: true,
    line: { color: colours.data, width: 1.8 },
    marker: { color: colours.data, size: dot },
    ...labels,
  });
  if (options.sum) {
    const sum = new Axes(options.sum, options);
    const value = options.sum.value;
    traces.push(
      line(sum.x, options.sum.null_mean, faint(colours.sum, 0.6), {
        xaxis: "x2",
        yaxis: "y5",
        line: { dash: "dot" },
        name: "null mean of t_sum",
        showlegend: true,
      }),
    );
    traces.push(
      line(sum.x, value, colours.sum, {
        xaxis: "x2",
        yaxis: "y5",
        line: { shape: "linear" },
        name: "t_sum, right axis",
        showlegend: true,
      }),
    );
  }
  return traces;
}

function secondTraces(course, axes, options, labels, dot, colours) {
  const on = { xaxis: "x3", yaxis: "y2" };
  const shown = (source) =>
    options.second === "p" ? source.p.map((p) => (p === null ? null : Math.max(p, SMALLEST))) : source.z;
  const [first, last] = [axes.x[0], axes.x.at(-1)];
  const lines = sigmasOf(course).map((z) => {
    const height = options.second === "p" ? 10 ** log10Tail(z) : z;
    return line([first, last], [height, height], colours.line, { ...on, line: { width: 0.7 } });
  });
  const traces = [...lines];
  if (course.p.some((p) => p !== null && p <= options.resolution)) {
    const height = options.second === "p" ? options.resolution : significanceOf(options.resolution);
    traces.push(line([first, last], [height, height], colours.muted, { ...on, line: { width: 1.2, dash: "dot" } }));
  }
  const limit = limits(course, options);
  if (limit) traces.push(line(axes.x, limit, colours.alarm, { ...on, line: { dash: "dash", width: 1.8 } }));
  if (options.sum)
    traces.push(
      line(new Axes(options.sum, options).x, shown(options.sum), colours.sum, { ...on, line: { shape: "linear" } }),
    );
  traces.push({
    type: "scatter",
    mode: axes.x.length > MANY ? "lines" : "lines+markers",
    ...on,
    x: axes.x,
    y: shown(course),
    line: { color: colours.data, width: 1.6 },
    marker: { color: colours.data, size: dot - 1 },
    ...labels,
  });
  return traces;
}

/** The p, or Z, at which an alarm is due after each chunk; null where the service tells none. */
function limits(course, { second }) {
  const due = course.p_threshold;
  if (!due?.some((p) => p !== null)) return null;
  if (second === "p") return due;
  const known = new Map();
  return due.map((p) => {
    if (p === null) return null;
    if (!known.has(p)) known.set(p, significanceOf(p));
    return known.get(p);
  });
}

function chunkTraces(course, axes, dot, colours) {
  const on = { xaxis: "x", yaxis: "y3" };
  const bands = moments(course.t_chunk_null_mean, course.t_chunk_null_deviation, [-2, -1, 0, 1, 2]);
  return [
    filled(axes.x, bands[0], bands[4], colours.band95, on),
    filled(axes.x, bands[1], bands[3], colours.band68, on),
    line(axes.x, bands[2], colours.median, on),
    {
      type: "scatter",
      mode: "markers",
      ...on,
      x: axes.x,
      y: course.t_chunk,
      name: "t_chunk (null ± 1, 2 sd)",
      showlegend: true,
      marker: { color: colours.data, size: dot + 1 },
      ...hoverLabels(course, "t_chunk"),
    },
  ];
}

function scale(logarithmic, [low, high], range, colours) {
  if (!logarithmic) return { type: "linear" };
  const seen = range ? range.map((power) => 10 ** power) : [low, high];
  return logAxis(colours, seen);
}

/** The smallest and largest positive number of the statistic's panel. */
function extent(course) {
  const all = [...course.value, ...course.threshold, ...(course.quantiles ?? []).flatMap((row) => row ?? [])].filter(
    (value) => value > 0,
  );
  return all.length ? [Math.min(...all), Math.max(...all)] : [0.1, 10];
}

function secondScale(course, { second }, range, colours) {
  if (second === "z") return {};
  const low = Math.max(Math.min(...course.p.filter((p) => p !== null), 0.001), SMALLEST);
  const seen = range ? range.map((exponent) => 10 ** exponent).sort((a, b) => a - b) : [low / 3, 2];
  return {
    range: range ?? [Math.log10(low) - Math.max(0.3, -Math.log10(low) / 15), 0.25],
    ...logAxis(colours, seen, 4),
  };
}

function sigmasOf(course) {
  return sigmaLines(Math.max(...course.z.filter((z) => z !== null), 0));
}

function sigmaWords(course, { second }, colours) {
  return sigmasOf(course).map((z) => ({
    xref: "x3 domain",
    yref: "y2",
    x: 0.995,
    y: second === "p" ? log10Tail(z) : z,
    text: `${z} σ`,
    showarrow: false,
    xanchor: "right",
    yanchor: "bottom",
    yshift: -2,
    font: { size: 11, color: colours.muted },
  }));
}
