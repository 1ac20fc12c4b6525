/** Course shapes: what happened in a run, drawn through its panels: marks, pauses, stretches that are not judged. */

import { halted, HALTED } from "./course-columns.js";
import { MARKS } from "./marks.js";
import { faint } from "./palette.js";

/** All lines and regions behind the curves. */
export function shapes(course, axes, options, colours) {
  return [
    ...pauseShapes(axes, options, colours),
    ...haltedShapes(course, axes, colours),
    ...markShapes(axes, options, colours),
    ...selection(course, axes, options, colours),
  ];
}

/** The lane above the panels: a mark with a label for each thing that happened. */
export function laneTraces(axes, { marks }, colours) {
  return Object.entries(MARKS)
    .map(([kind, look]) => [look, marks.filter((mark) => mark.kind === kind)])
    .filter(([, mine]) => mine.length)
    .map(([look, mine]) => ({
      type: "scatter",
      mode: "markers",
      xaxis: "x2",
      yaxis: "y4",
      cliponaxis: false,
      x: mine.map((mark) => axes.mark(mark)),
      y: mine.map(() => 0.5),
      marker: {
        symbol: look.symbol,
        size: 11,
        color: colours[look.colour],
        line: { width: 1, color: colours.surface },
      },
      text: mine.map((mark) => [mark.word, mark.who && `by ${mark.who}`, mark.text].filter(Boolean).join("<br>")),
      hoverinfo: "text",
      name: look.word,
      showlegend: true,
    }));
}

function markShapes(axes, { marks }, colours) {
  const strong = new Set(["alarm", "warning", "acknowledged", "run-reset"]);
  return marks
    .filter((mark) => strong.has(mark.kind))
    .map((mark) => {
      const x = axes.mark(mark);
      return {
        type: "line",
        xref: "x",
        yref: "paper",
        x0: x,
        x1: x,
        y0: 0,
        y1: 0.95,
        line: {
          color: colours[MARKS[mark.kind].colour],
          width: mark.kind === "alarm" ? 1.6 : 1,
          dash: mark.kind === "alarm" ? "solid" : "dot",
        },
        layer: "below",
      };
    });
}

function pauseShapes(axes, { pauses }, colours) {
  return pauses.map((pause) => {
    const [x0, x1] = axes.pause(pause);
    return {
      type: "rect",
      xref: "x",
      yref: "paper",
      x0,
      x1,
      y0: 0,
      y1: 0.95,
      fillcolor: faint(colours.stale, 0.22),
      line: { width: 0 },
      layer: "below",
    };
  });
}

function haltedShapes(course, axes, colours) {
  return halted(course).map(({ key, first, last }) => {
    const [x0, x1] = axes.span(first, last);
    const text = key in HALTED && last - first > 0 ? key : "";
    return {
      type: "rect",
      xref: "x2",
      yref: "y domain",
      x0,
      x1,
      y0: 0,
      y1: 1,
      fillcolor: faint(colours.halted, 0.16),
      line: { width: 0 },
      layer: "below",
      label: { text, textposition: "bottom left", font: { size: 12, color: colours.muted } },
    };
  });
}

function selection(course, axes, { selected }, colours) {
  if (selected === null) return [];
  const index = course.sequence.indexOf(selected);
  const x = index >= 0 ? axes.x[index] : axes.dates ? null : selected;
  if (x === null) return [];
  return [
    {
      type: "line",
      xref: "x",
      yref: "paper",
      x0: x,
      x1: x,
      y0: 0,
      y1: 0.95,
      line: { color: colours.ink, width: 1.5, dash: "dashdot" },
    },
  ];
}
