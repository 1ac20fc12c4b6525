/** Marginal figure: one feature as physicists print it: counts above, ratios to the reference below. */

import { number } from "./format.js";
import { between, binWidth, countRange, placed, ratioRange, steps } from "./marginal.js";
import { axis, faint, frame, logAxis } from "./palette.js";

/** Build the figure of one marginal; `logarithmic` is the scale of the counts. */
export function marginalFigure(m, { logarithmic }, colours, { width, ranges, picture }) {
  const compact = width < 480;
  const counts = countRange(m, logarithmic);
  const window = ratioRange(m);
  const title = (text) => ({ text, standoff: 6, font: { size: compact ? 12 : 14 } });
  const bin = binWidth(m.edges);
  const perBin = bin === null ? "events / bin" : `events / ${[number(bin, 2), m.unit].filter(Boolean).join(" ")}`;
  const seen = ranges.yaxis?.map((power) => 10 ** power) ?? counts;
  const layout = frame(colours, {
    height: compact ? 420 : 500,
    margin: { l: compact ? 54 : 68, r: 14, t: 10, b: 48 },
    xaxis: axis(colours, { anchor: "y2", range: [m.edges[0], m.edges.at(-1)], title: title(axisName(m)) }),
    xaxis2: axis(colours, { anchor: "y", matches: "x", showticklabels: false }),
    yaxis: axis(colours, {
      anchor: "x2",
      domain: [0.36, 1],
      title: title(perBin),
      ...(logarithmic ? { range: counts.map(Math.log10), ...logAxis(colours, seen) } : { range: counts }),
    }),
    yaxis2: axis(colours, {
      anchor: "x",
      domain: [0, 0.32],
      range: window,
      title: title(compact ? "ratio" : "ratio to ref."),
      nticks: 5,
    }),
    hovermode: picture ? false : "closest",
  });
  return {
    data: [...countTraces(m, logarithmic ? counts[0] : 0, colours), ...ratioTraces(m, window, colours)],
    layout,
  };
}

/** Name and unit of a feature. */
export function axisName({ name, unit }) {
  return unit ? `${name} [${unit}]` : name;
}

function countTraces(m, bottom, colours) {
  const on = { xaxis: "x2", yaxis: "y", hoverinfo: "skip", type: "scatter", mode: "lines" };
  const floor = m.reference.map(() => bottom);
  const raised = m.reference.map((value) => Math.max(value, bottom));
  const low = m.reference.map((value, bin) => Math.max(value - m.error[bin], bottom));
  const high = m.reference.map((value, bin) => Math.max(value + m.error[bin], bottom));
  const shown = m.data.map((value, bin) => (value > 0 ? bin : -1)).filter((bin) => bin >= 0);
  return [
    {
      ...on,
      ...between(m.edges, floor, raised),
      fill: "toself",
      fillcolor: faint(colours.reference, 0.28),
      line: { width: 0 },
      name: "reference",
      showlegend: true,
    },
    {
      ...on,
      ...between(m.edges, low, high),
      fill: "toself",
      fillcolor: faint(colours.reference, 0.5),
      line: { width: 0 },
      name: "its uncertainty",
      showlegend: true,
    },
    { ...on, ...steps(m.edges, raised), line: { color: colours.reference, width: 1.2 } },
    {
      ...on,
      ...steps(m.edges, m.model),
      line: { color: colours.learned, width: 2.2 },
      name: "reference × learned ratio",
      showlegend: true,
    },
    points(
      m,
      shown,
      shown.map((bin) => m.data[bin]),
      m.down,
      m.up,
      colours,
      { xaxis: "x2", yaxis: "y", name: "data", showlegend: true },
    ),
  ];
}

function ratioTraces(m, window, colours) {
  const on = { xaxis: "x", yaxis: "y2", hoverinfo: "skip", type: "scatter", mode: "lines" };
  const low = m.band.map((band) => (band === null ? null : 1 - band));
  const high = m.band.map((band) => (band === null ? null : 1 + band));
  const { inside, above, below } = placed(m, window);
  const arrows = (bins, y, symbol) => ({
    type: "scatter",
    mode: "markers",
    xaxis: "x",
    yaxis: "y2",
    x: bins.map((bin) => m.centres[bin]),
    y: bins.map(() => y),
    marker: { symbol, size: 9, color: colours.data },
    cliponaxis: false,
    text: bins.map((bin) => words(m, bin)),
    hoverinfo: "text",
  });
  return [
    {
      ...on,
      ...between(m.edges, low, high),
      fill: "toself",
      fillcolor: faint(colours.reference, 0.35),
      line: { width: 0 },
    },
    { ...on, x: [m.edges[0], m.edges.at(-1)], y: [1, 1], line: { color: colours.muted, width: 1, dash: "dot" } },
    { ...on, ...steps(m.edges, m.learned), line: { color: colours.learned, width: 2.2 } },
    points(
      m,
      inside,
      inside.map((bin) => m.ratio[bin]),
      m.ratioDown,
      m.ratioUp,
      colours,
      { xaxis: "x", yaxis: "y2" },
    ),
    arrows(above, window[1], "triangle-up"),
    arrows(below, window[0], "triangle-down"),
  ];
}

function points(m, bins, y, down, up, colours, more) {
  const bars = {
    type: "data",
    symmetric: false,
    array: bins.map((bin) => up[bin]),
    arrayminus: bins.map((bin) => down[bin]),
    color: colours.data,
    thickness: 1.4,
    width: 0,
  };
  return {
    type: "scatter",
    mode: "markers",
    x: bins.map((bin) => m.centres[bin]),
    y,
    error_y: bars,
    marker: { color: colours.data, size: 6 },
    text: bins.map((bin) => words(m, bin)),
    hoverinfo: "text",
    ...more,
  };
}

function words(m, bin) {
  const unit = m.unit ? ` ${m.unit}` : "";
  return [
    `${m.name} ${number(m.edges[bin], 4)} to ${number(m.edges[bin + 1], 4)}${unit}`,
    `data ${number(m.data[bin], 6)} +${number(m.up[bin], 2)} −${number(m.down[bin], 2)}`,
    `reference ${number(m.reference[bin], 4)} ± ${number(m.error[bin], 2)}`,
    m.ratio[bin] === null ? "no reference here" : `data / reference ${number(m.ratio[bin], 3)}`,
    m.learned[bin] === null ? "learned ratio: none" : `learned ratio ${number(m.learned[bin], 3)}`,
  ].join("<br>");
}
