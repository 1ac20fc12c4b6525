import assert from "node:assert/strict";
import { test } from "node:test";

const folder = JSON.parse(process.env.PAGE);
const { broken, halted, journalPauses, moments, nearest, nullColumns, pauses, placeOf, region, split, stretches } =
  await import(`${folder}/course-columns.js`);
const { allMarks, marksOf } = await import(`${folder}/marks.js`);

const course = {
  run: "night-1",
  sequence: [1, 2, 3, 4],
  chunk: ["a", "b", "c", "d"],
  state: ["applied", "applied", "dead", "applied"],
  applied_at: [100, 110, 120, 1000],
  value: [10, 12, null, 12],
  statistic_state: ["closed form", "closed form", null, "frozen"],
  alarm: ["ok", "warning", "warning", "alarm"],
  downsampled: false,
};

test("stretches join equal neighbours", () => {
  assert.deepEqual(stretches(["a", "a", "b", "a"]), [
    { key: "a", first: 0, last: 1 },
    { key: "b", first: 2, last: 2 },
    { key: "a", first: 3, last: 3 },
  ]);
  assert.deepEqual(stretches([]), []);
});

test("what is not judged is told by its state, a dead chunk as dead", () => {
  assert.deepEqual(halted(course), [
    { key: "dead", first: 2, last: 2 },
    { key: "frozen", first: 3, last: 3 },
  ]);
});

test("an e-process that stopped is told, and a row between two chunks is none", () => {
  const stopped = { ...course, kind: "log_e", statistic_state: ["exact", null, null, null] };
  assert.deepEqual(
    halted(stopped).map(({ key }) => key),
    ["stopped", "dead", "stopped"],
  );
  assert.deepEqual(
    halted(broken({ ...stopped, kind: "t_agg" }, [{ from: 100, to: 110 }])).map(({ key }) => key),
    ["missing", "dead", "missing"],
  );
});

test("judged and other values are apart, and none is lost", () => {
  const { judged, others } = split({ value: [1, 2, 2, 2], statistic_state: ["exact", "exact", "frozen", "frozen"] });
  assert.deepEqual(judged, [1, 2, null, null]);
  assert.deepEqual(others, [null, 2, 2, 2]);
});

test("a region is closed, and broken where a value is missing", () => {
  const { x, y } = region([1, 2, 3, 4, 5], [0, 0, null, 0, 0], [1, 2, 3, 4, 5]);
  assert.deepEqual(x, [1, 2, 2, 1, null, 4, 5, 5, 4]);
  assert.deepEqual(y, [0, 0, 2, 1, null, 0, 0, 5, 4]);
});

test("the null is its quantiles, else its moments, else nothing", () => {
  const quantiles = [[1, 2, 3, 4, 5, 6, 7], null];
  const found = nullColumns({ quantiles, null_mean: [4, null], null_deviation: [1, null] });
  assert.equal(found.shape, "quantiles");
  assert.deepEqual(found.columns[6], [7, null]);
  const other = nullColumns({ quantiles: [null, null], null_mean: [4, null], null_deviation: [1, null] });
  assert.equal(other.shape, "moments");
  assert.deepEqual(other.columns[0], [1, null]);
  assert.equal(nullColumns({ quantiles: [null], null_mean: [null], null_deviation: [null] }).shape, null);
  assert.deepEqual(moments([10], [2], [-1, 1]), [[8], [12]]);
});

test("a moment stands between the chunks of its time", () => {
  assert.equal(placeOf(50, course), 0.5);
  assert.equal(placeOf(105, course), 1.5);
  assert.equal(placeOf(2000, course), 4.5);
  const thin = { sequence: [1, 101], applied_at: [0, 100] };
  assert.equal(placeOf(50, thin), 50.5);
});

test("a pause is longer than the patience, and a thinned course tells none", () => {
  assert.deepEqual(pauses(course, 600), [{ from: 120, to: 1000, after: 3 }]);
  assert.deepEqual(pauses({ ...course, downsampled: true }, 600), []);
});

test("the journal's pauses last until it is fresh, or until now", () => {
  const entries = [
    { kind: "stale", at: 115 },
    { kind: "fresh", at: 130 },
    { kind: "stale", at: 1100 },
  ];
  const found = journalPauses(entries.toReversed(), course, 1200);
  assert.deepEqual(
    found.map(({ from, to }) => [from, to]),
    [
      [115, 130],
      [1100, 1200],
    ],
  );
});

test("the nearest chunk that is shown", () => {
  assert.equal(nearest({ sequence: [1, 10, 20] }, 13), 1);
  assert.equal(nearest({ sequence: [] }, 13), -1);
});

test("marks stand at the chunk that raised them, and those before a reset are gone", () => {
  const entry = { run: "night-1", sequence: null, who: "", text: "" };
  const entries = [
    { ...entry, kind: "acknowledged", at: 1005, who: "Ada", sequence: 4 },
    { ...entry, kind: "alarm", at: 1000, sequence: 4 },
    { ...entry, kind: "alarm", at: 20, sequence: 9 },
    { ...entry, kind: "run-reset", at: 90 },
    { ...entry, kind: "alarm", at: 1000, sequence: 2, run: "another" },
  ];
  const found = marksOf(entries, course);
  assert.deepEqual(
    found.map(({ kind, place }) => [kind, place]),
    [
      ["run-reset", 0.5],
      ["alarm", 4],
      ["acknowledged", 4.5],
    ],
  );
  // The warning is told by the course alone; the alarm, which the journal has, is not told twice.
  const all = allMarks(entries, course).filter((mark) => mark.kind === "alarm" || mark.kind === "warning");
  assert.deepEqual(
    all.map(({ kind, sequence }) => [kind, sequence]),
    [
      ["warning", 2],
      ["alarm", 4],
    ],
  );
});

test("a pause is a row of nothing, and no chunk is lost", () => {
  const found = broken({ ...course, quantile_levels: [1, 2, 3, 4] }, [{ from: 120, to: 1000 }]);
  assert.deepEqual(found.sequence, [1, 2, 3, null, 4]);
  assert.deepEqual(found.applied_at, [100, 110, 120, 120.001, 1000]);
  assert.deepEqual(found.value, [10, 12, null, null, 12]);
  assert.deepEqual(found.quantile_levels, [1, 2, 3, 4]);
  assert.deepEqual(broken(course, []), course);
});
