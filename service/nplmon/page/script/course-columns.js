/** Course columns: a course's columns as the pieces of a drawing; no DOM, no plotting library. */

/** States in which a statistic has a number that is judged; in the others it stands still or says nothing. */
const JUDGED = new Set(["calibrated", "closed form", "exact"]);

/** What the other states mean, for a person. */
export const HALTED = {
  frozen: "frozen: the value stands still, newer chunks are not in it",
  stopped: "stopped: no value, events to bet with are missing",
  uncalibrated: "uncalibrated: a value without a p and without a threshold",
  invalid: "invalid: no value can be given",
  missing: "missing: it was not computed",
  dead: "given up: the chunk could not be fitted",
};

/**
 * Divide indices into stretches of equal keys: `[{key, first, last}]`.
 *
 * stretches(["a", "a", "b"]) is [{key: "a", first: 0, last: 1}, {key: "b", first: 2, last: 2}].
 */
export function stretches(keys) {
  const found = [];
  keys.forEach((key, index) => {
    const open = found.at(-1);
    if (open && open.key === key) open.last = index;
    else found.push({ key, first: index, last: index });
  });
  return found;
}

/**
 * The state of the statistic after a chunk, "dead" where that has none. An e-process that has stopped leaves no trace in
 * the history of its chunks.
 */
export function stateAt(course, index) {
  if (course.state[index] === "dead") return "dead";
  return course.statistic_state[index] ?? (course.kind?.startsWith("log_") ? "stopped" : "missing");
}

/** The stretches in which the statistic is not judged, with their state; a dead chunk is one of its own. */
export function halted(course) {
  const keys = course.sequence.map((sequence, index) => (sequence === null ? "" : stateAt(course, index)));
  return stretches(keys).filter(({ key }) => key !== "" && !JUDGED.has(key));
}

/** The values where the statistic is judged, null elsewhere; and the others, tied to their neighbours before. */
export function split(course) {
  const judged = course.value.map((value, index) => (JUDGED.has(course.statistic_state[index]) ? value : null));
  const others = course.value.map((value, index) => {
    if (!JUDGED.has(course.statistic_state[index])) return value;
    const next = course.statistic_state[index + 1];
    return next !== undefined && next !== null && !JUDGED.has(next) ? value : null;
  });
  return { judged, others };
}

/**
 * The outline of the region between two columns, as one polygon for each stretch without a gap, nulls between them.
 * A gap is where either is null. A stretch of one point has no region.
 */
export function region(x, low, high) {
  const outline = { x: [], y: [] };
  const there = x.map((_, index) => known(low[index]) && known(high[index]));
  for (const { key, first, last } of stretches(there)) {
    if (!key || first === last) continue;
    if (outline.x.length) {
      outline.x.push(null);
      outline.y.push(null);
    }
    for (let index = first; index <= last; index += 1) add(outline, x[index], low[index]);
    for (let index = last; index >= first; index -= 1) add(outline, x[index], high[index]);
  }
  return outline;
}

/**
 * The null of the value that is shown: `{levels, columns, shape}`. `shape` is "quantiles", or "moments" where only mean
 * and deviation are known (then the columns are the mean and 1, 2 and 3 deviations), or null: no null is given.
 */
export function nullColumns(course) {
  const sigma = [-3, -2, -1, 0, 1, 2, 3];
  if (course.quantiles?.some((row) => row?.length === 7)) {
    const columns = sigma.map((_, place) => course.quantiles.map((row) => row?.[place] ?? null));
    return { shape: "quantiles", columns };
  }
  if (course.null_mean?.some(known)) {
    return { shape: "moments", columns: moments(course.null_mean, course.null_deviation, sigma) };
  }
  return { shape: null, columns: [] };
}

/** Mean + s x deviation for each s. */
export function moments(mean, deviation, sigmas) {
  return sigmas.map((s) =>
    mean.map((value, index) => (known(value) && known(deviation[index]) ? value + s * deviation[index] : null)),
  );
}

/**
 * Where something that happened at `time` stands among the chunks: the number of the last chunk applied by then, plus a
 * half, so that it lies between two chunks; between two chunks that are shown, in proportion.
 */
export function placeOf(time, course) {
  const { applied_at: applied, sequence } = course;
  if (!sequence.length || time < applied[0]) return (sequence[0] ?? 1) - 0.5;
  let low = 0;
  let high = sequence.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (applied[middle] <= time) low = middle;
    else high = middle - 1;
  }
  if (low === sequence.length - 1) return sequence[low] + 0.5;
  const share = (time - applied[low]) / (applied[low + 1] - applied[low]);
  return sequence[low] + Math.max(0.5, share * (sequence[low + 1] - sequence[low]) - 0.5);
}

/**
 * The stretches of time in which nothing was applied for longer than `patience` seconds: `[{from, to, after}]` in Unix
 * seconds, `after` the chunk before. Of a thinned course nothing can be said, for chunks are left out.
 */
export function pauses(course, patience) {
  if (course.downsampled || !patience) return [];
  const found = [];
  for (let index = 1; index < course.sequence.length; index += 1) {
    const from = course.applied_at[index - 1];
    const to = course.applied_at[index];
    if (to - from > patience) found.push({ from, to, after: course.sequence[index - 1] });
  }
  return found;
}

/** The same from the journal, which is complete also where the course is thinned: pairs of `stale` and `fresh`. */
export function journalPauses(entries, course, now) {
  const found = [];
  let from = null;
  for (const entry of [...entries].sort((one, other) => one.at - other.at)) {
    if (entry.kind === "stale") from ??= entry.at;
    if (entry.kind === "fresh" && from !== null) {
      found.push({ from, to: entry.at, after: Math.floor(placeOf(from, course)) });
      from = null;
    }
  }
  if (from !== null) found.push({ from, to: now, after: Math.floor(placeOf(from, course)) });
  return found;
}

/**
 * The course with a row of nothing in each pause, so that no curve is drawn through a time in which nothing came. Only for
 * drawing: such a row has a time and no chunk.
 */
export function broken(course, found) {
  const after = new Set(found.map(({ from }) => course.applied_at.findLastIndex((time) => time <= from)));
  const length = course.sequence.length;
  const columns = Object.entries(course).filter(
    ([name, values]) => name !== "quantile_levels" && Array.isArray(values) && values.length === length,
  );
  const kept = columns.map(([name, values]) => [
    name,
    values.flatMap((value, row) => (after.has(row) ? [value, name === "applied_at" ? value + 0.001 : null] : [value])),
  ]);
  return { ...course, ...Object.fromEntries(kept) };
}

/** The index of the point nearest to a sequence number; -1 without points. */
export function nearest(course, sequence) {
  let best = -1;
  course.sequence.forEach((one, index) => {
    if (best < 0 || Math.abs(one - sequence) < Math.abs(course.sequence[best] - sequence)) best = index;
  });
  return best;
}

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

function add(outline, x, y) {
  outline.x.push(x);
  outline.y.push(y);
}
