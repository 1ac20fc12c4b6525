/** Pair figure: the map of two features; blue where events are missing, orange where there are too many. */

import { number } from "./format.js";
import { axisName } from "./marginal-figure.js";
import { cells, colourScale, SHOWN, unforeseen } from "./pair.js";
import { axis, frame } from "./palette.js";

const SHADES = 64;

/** Build the figure of a map; `units` are by the features' names. */
export function pairFigure(pair, { shown, exposure, units }, colours, { width, picture }) {
  const compact = width < 480;
  const values = cells(pair, shown, exposure);
  const scale = colourScale(values, shown);
  const named = (text) => ({ text, standoff: 6, font: { size: compact ? 12 : 14 } });
  const colorscale = [
    [0, colours.low],
    [0.5, colours.middle],
    [1, colours.high],
  ];
  const heat = {
    type: "heatmap",
    zmin: -scale.limit,
    zmax: scale.limit,
    colorscale,
    showscale: false,
    xgap: 1,
    ygap: 1,
    hoverongaps: false,
  };
  const centre = (edges, at) => (edges[at] + edges[at + 1]) / 2;
  const lost = unforeseen(pair);
  const shades = Array.from({ length: SHADES + 1 }, (_, step) => -scale.limit + (2 * scale.limit * step) / SHADES);
  const data = [
    {
      ...heat,
      x: pair.x_edges,
      y: pair.y_edges,
      xaxis: "x",
      yaxis: "y",
      z: transposed(values).map((row) => row.map((value) => (value === null ? null : scale.of(value)))),
      text: transposed(values.map((row, i) => row.map((value, j) => words(pair, units, value, shown, i, j)))),
      hoverinfo: "text",
    },
    {
      type: "scatter",
      mode: "markers",
      xaxis: "x",
      yaxis: "y",
      name: "data, no reference",
      showlegend: lost.length > 0,
      x: lost.map(([i]) => centre(pair.x_edges, i)),
      y: lost.map(([, j]) => centre(pair.y_edges, j)),
      marker: { symbol: "x", size: 7, color: colours.ink },
      text: lost.map(([i, j]) => words(pair, units, null, shown, i, j)),
      hoverinfo: "text",
    },
    // The scale is a map of its own: plotly's colour bars need styles that the policy refuses.
    {
      ...heat,
      xgap: 0.01,
      ygap: 0,
      x: [0, 1],
      y: shades,
      z: shades.slice(1).map((upper, step) => [(upper + shades[step]) / 2]),
      xaxis: "x2",
      yaxis: "y2",
      hoverinfo: "skip",
    },
  ];
  const layout = frame(colours, {
    height: compact ? 400 : 520,
    margin: { l: compact ? 54 : 68, r: compact ? 56 : 76, t: 10, b: 48 },
    xaxis: axis(colours, {
      domain: [0, 0.92],
      range: ends(pair.x_edges),
      title: named(axisName({ name: pair.x, unit: units[pair.x] })),
    }),
    yaxis: axis(colours, { range: ends(pair.y_edges), title: named(axisName({ name: pair.y, unit: units[pair.y] })) }),
    xaxis2: { domain: [0.95, 0.985], anchor: "y2", visible: false, fixedrange: true, range: [0, 1] },
    yaxis2: axis(colours, {
      anchor: "x2",
      side: "right",
      fixedrange: true,
      range: [-scale.limit, scale.limit],
      minor: {},
      mirror: true,
      title: named(SHOWN[shown]),
      tickvals: scale.ticks.map(([place]) => place),
      ticktext: scale.ticks.map(([, text]) => text),
    }),
    hovermode: picture ? false : "closest",
  });
  return { data, layout };
}

const ends = (edges) => [edges[0], edges.at(-1)];
const transposed = (rows) => rows[0].map((_, column) => rows.map((row) => row[column]));

function words(pair, units, value, shown, i, j) {
  const range = (name, edges, at) =>
    `${name} ${number(edges[at], 4)} to ${number(edges[at + 1], 4)}${units[name] ? ` ${units[name]}` : ""}`;
  return [
    range(pair.x, pair.x_edges, i),
    range(pair.y, pair.y_edges, j),
    `data ${number(pair.data[i][j], 6)}, reference ${number(pair.reference[i][j], 4)}`,
    value === null ? "the reference has nothing here" : `${SHOWN[shown]} ${number(value, 3)}`,
  ].join("<br>");
}
