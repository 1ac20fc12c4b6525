import assert from "node:assert/strict";
import { test } from "node:test";

const folder = JSON.parse(process.env.PAGE);
const { between, binWidth, countRange, isSteep, marginalOf, placed, ratioRange, steps } = await import(
  `${folder}/marginal.js`
);
const { cells, colourScale, unforeseen } = await import(`${folder}/pair.js`);

const feature = {
  name: "pt",
  unit: "GeV",
  edges: [0, 1, 2, 3],
  data: [100, 4, 0],
  reference: [100, 1, 0],
  reference_error: [5, 0.5, 0],
  learned: [1, 2, 1],
};

test("ratios are to the reference, and there is none where it has nothing", () => {
  const m = marginalOf(feature);
  assert.deepEqual(m.ratio, [1, 4, null]);
  assert.deepEqual(m.model, [100, 2, null]);
  assert.deepEqual(m.learned, [1, 2, null]);
  assert.deepEqual(m.band, [0.05, 0.5, null]);
  assert.ok(Math.abs(m.ratioUp[1] - 3.1628) < 1e-3);
  assert.deepEqual(m.centres, [0.5, 1.5, 2.5]);
});

test("bins of one width are told by it", () => {
  assert.ok(Math.abs(binWidth([0, 0.1, 0.2, 0.30000000000000004]) - 0.1) < 1e-12);
  assert.equal(binWidth([0, 1, 3]), null);
});

test("the frames hold what is known, and what lies beyond is at their edge", () => {
  const m = marginalOf(feature);
  assert.equal(isSteep(m), false);
  assert.equal(isSteep({ reference: [1, 101] }), true);
  assert.ok(countRange(m, false)[1] > 110);
  assert.equal(countRange(m, true)[0], 0.5);
  const window = ratioRange(m);
  // What was learned, 2, is inside; the point at 4, known to 60 %, is not.
  assert.ok(window[1] > 2 && window[1] < 3);
  assert.deepEqual(placed(m, window), { inside: [0], above: [1], below: [] });
});

test("steps and regions follow the edges", () => {
  assert.deepEqual(steps([0, 1, 2], [5, 6]), { x: [0, 1, 1, 2], y: [5, 5, 6, 6] });
  const { x, y } = between([0, 1, 2], [0, 0], [5, null]);
  assert.deepEqual(x, [0, 1, 1, 0, 0]);
  assert.deepEqual(y, [5, 5, 0, 0, 5]);
});

const pair = {
  data: [
    [4, 0],
    [3, 9],
  ],
  reference: [
    [1, 0],
    [0, 4],
  ],
  learned: [
    [2, 1],
    [1, null],
  ],
};

test("cells without a reference have no value; those with events are told", () => {
  assert.deepEqual(cells(pair, "ratio", 0), [
    [4, null],
    [null, 2.25],
  ]);
  assert.deepEqual(cells(pair, "pull", 0.5625), [
    [2.4, null],
    [null, 2],
  ]);
  assert.deepEqual(cells(pair, "learned", 0), [
    [2, null],
    [null, null],
  ]);
  assert.deepEqual(unforeseen(pair), [[1, 0]]);
});

test("the colours are even about no difference", () => {
  const pull = colourScale([[2.4, null, -7.2]], "pull");
  assert.equal(pull.limit, 8);
  assert.equal(pull.of(-20), -8);
  assert.deepEqual(
    pull.ticks.map(([place]) => place),
    [-5, 0, 5],
  );
  const ratio = colourScale([[4, 0]], "ratio");
  assert.ok(Math.abs(ratio.limit - Math.log10(4)) < 1e-12);
  assert.ok(Math.abs(ratio.of(2) + ratio.of(0.5)) < 1e-12);
  assert.equal(ratio.of(0), -ratio.limit);
});
