/** Marks: what happened in a run, as marks on the plot and words beside it. */

import { placeOf } from "./course-columns.js";

/** By kind of a journal entry; `symbol` is plotly's name of the shape, `path` the same shape for the legend. */
export const MARKS = {
  "run-opened": {
    word: "run opened",
    symbol: "triangle-right",
    colour: "muted",
    token: "--muted",
    path: "M-4 -5 L5 0 L-4 5 Z",
  },
  "run-closed": { word: "run closed", symbol: "square", colour: "muted", token: "--muted", path: "M-4 -4 H4 V4 H-4 Z" },
  "run-reset": {
    word: "run reset",
    symbol: "x",
    colour: "ink",
    token: "--ink",
    path: "M-5 -3 L-3 -5 L0 -2 L3 -5 L5 -3 L2 0 L5 3 L3 5 L0 2 L-3 5 L-5 3 L-2 0 Z",
  },
  warning: {
    word: "warning",
    symbol: "diamond",
    colour: "warning",
    token: "--warning-tint",
    path: "M0 -6 L6 0 L0 6 L-6 0 Z",
  },
  alarm: { word: "alarm", symbol: "triangle-up", colour: "alarm", token: "--alarm-tint", path: "M0 -6 L6 5 H-6 Z" },
  acknowledged: {
    word: "acknowledged",
    symbol: "star",
    colour: "acknowledged",
    token: "--acknowledged-tint",
    path: "M0 -6 L1.6 -2 L6 -2 L2.5 1 L4 5.5 L0 2.8 L-4 5.5 L-2.5 1 L-6 -2 L-1.6 -2 Z",
  },
  "test-begun": {
    word: "test alarm",
    symbol: "hexagon",
    colour: "muted",
    token: "--muted",
    path: "M-5 0 L-2.5 -4.5 H2.5 L5 0 L2.5 4.5 H-2.5 Z",
  },
  "dead-replayed": {
    word: "chunk replayed",
    symbol: "circle-open",
    colour: "muted",
    token: "--muted",
    path: "M0 -4 A4 4 0 1 0 0.1 -4 Z M0 -2.5 A2.5 2.5 0 1 1 -0.1 -2.5 Z",
  },
};

/**
 * The marks of a run from the journal's entries: `[{kind, word, at, sequence, place, text}]`, oldest first; `place` is
 * on the axis of chunks. What a chunk raised stands at that chunk, all else between the chunks of its time.
 */
export function marksOf(entries, course) {
  const mine = entries.filter(
    (entry) => entry.kind in MARKS && (entry.run === course.run || entry.kind === "test-begun"),
  );
  // What was before a reset belongs to chunks that are not shown.
  const begun = Math.max(0, ...mine.filter((entry) => entry.kind === "run-reset").map((entry) => entry.at));
  return mine
    .filter((entry) => entry.at >= begun)
    .map((entry) => {
      const raised = (entry.kind === "alarm" || entry.kind === "warning") && entry.sequence > 0;
      const place = raised ? entry.sequence : placeOf(entry.at, course);
      return {
        kind: entry.kind,
        word: MARKS[entry.kind].word,
        at: entry.at,
        sequence: entry.sequence,
        place,
        who: entry.who,
        text: entry.text,
      };
    })
    .sort(byTime);
}

/** The marks that the course itself tells, for a service whose journal begins later: where a level was reached first. */
export function risings(course) {
  const found = [];
  let level = "ok";
  course.alarm?.forEach((now, index) => {
    if (now !== level && now !== "ok") {
      found.push({
        kind: now,
        word: MARKS[now].word,
        at: course.applied_at[index],
        sequence: course.sequence[index],
        place: course.sequence[index],
        who: "",
        text: "",
      });
    }
    level = now;
  });
  return found;
}

/** The journal's marks, and of the course's own those that it lacks. */
export function allMarks(entries, course) {
  const told = marksOf(entries, course);
  const kinds = new Set(told.map((mark) => mark.kind));
  return [...told, ...risings(course).filter((mark) => !kinds.has(mark.kind))].sort(byTime);
}

/** Chunks that are counted together have one time. */
function byTime(one, other) {
  return one.at - other.at || (one.sequence ?? 0) - (other.sequence ?? 0);
}
