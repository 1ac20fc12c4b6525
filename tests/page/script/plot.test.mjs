import assert from "node:assert/strict";
import { test } from "node:test";

const folder = JSON.parse(process.env.PAGE);
const { csv } = await import(`${folder}/csv.js`);
const { logTicks, power } = await import(`${folder}/ticks.js`);
const { log10Tail, sigmaLines, significanceOf } = await import(`${folder}/sigmas.js`);
const { sortedRows } = await import(`${folder}/data-table.js`);
const { numeric, wallClock } = await import(`${folder}/plot-ranges.js`);
const { Pace } = await import(`${folder}/pace.js`);
const { fileName } = await import(`${folder}/download.js`);

test("a file has units in its head, full numbers, and quotes where they are needed", () => {
  const columns = [
    { name: "pt", unit: "GeV", values: [0.1 + 0.2, null] },
    { name: "chunk", values: ['a "b", c', "d"] },
  ];
  assert.equal(csv(columns), 'pt [GeV],chunk\n0.30000000000000004,"a ""b"", c"\n,d\n');
});

test("logarithmic ticks are plain text", () => {
  assert.equal(power(-12), "10⁻¹²");
  assert.deepEqual(logTicks(0.5, 2000).ticktext, ["1", "10", "10²", "10³"]);
  assert.deepEqual(logTicks(1e-70, 2).ticktext, ["10⁻⁶⁰", "10⁻⁴⁰", "10⁻²⁰", "1"]);
  assert.deepEqual(logTicks(20, 70).ticktext, ["20", "30", "50", "70"]);
  assert.deepEqual(logTicks(8, 150).minor.tickvals, [8, 9, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
});

test("the tail is that of a Gaussian, however far", () => {
  const known = [
    [0, -0.30102999566398],
    [1, -0.79954554149197],
    [3, -2.86969903592937],
    [10, -23.118053405486],
    [30, -197.309209260661],
  ];
  for (const [z, wanted] of known) assert.ok(Math.abs(log10Tail(z) - wanted) < 1e-9 * Math.abs(wanted), `${z}`);
  for (const z of [-1.5, 0, 2.5, 12])
    assert.ok(Math.abs(significanceOf(z < 0 ? 1 - 10 ** log10Tail(-z) : 10 ** log10Tail(z)) - z) < 1e-9);
  assert.deepEqual(sigmaLines(2), [1, 2, 3]);
  assert.deepEqual(sigmaLines(18), [5, 10, 15]);
});

test("rows are sorted by a column, what is missing comes last", () => {
  assert.deepEqual(sortedRows([2, null, 3, 1], false), [3, 0, 2, 1]);
  assert.deepEqual(sortedRows([2, null, 3, 1], true), [2, 0, 3, 1]);
});

test("dates of an axis are numbers and back, whatever the zone", () => {
  assert.equal(numeric("2026-11-26 07:45:41.25"), Date.UTC(2026, 10, 26, 7, 45, 41, 250));
  assert.equal(wallClock(Date.UTC(2026, 10, 26, 7, 45, 41, 250)), "2026-11-26 07:45:41.250");
  assert.equal(numeric(3), 3);
});

test("names of files hold nothing that a file system refuses", () => {
  assert.equal(fileName("feature", "dimuon night/1", ""), "feature_dimuon-night-1");
});

test("what is asked for often is done at the pace, never twice at once, and the last time of all", async () => {
  let running = 0;
  let most = 0;
  let times = 0;
  const pace = new Pace(async () => {
    running += 1;
    times += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setTimeout(resolve, 10));
    running -= 1;
  }, 0.05);
  const until = Date.now() + 220;
  while (Date.now() < until) {
    pace.ask();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await new Promise((resolve) => setTimeout(resolve, 120));
  pace.close();
  assert.equal(most, 1);
  // 220 ms and a last time at a pace of 50 ms; fewer where the machine is busy.
  assert.ok(times >= 2 && times <= 6, `${times}`);
});

test("what takes long is done less often", async () => {
  let times = 0;
  const pace = new Pace(async () => {
    times += 1;
    await new Promise((resolve) => setTimeout(resolve, 60));
  }, 0.001);
  const until = Date.now() + 300;
  while (Date.now() < until) {
    pace.ask();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  pace.close();
  assert.ok(times <= 2, `${times}`);
});

test("what is asked for now, while it is being done, is done again at once", async () => {
  let times = 0;
  const pace = new Pace(async () => {
    times += 1;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }, 60);
  pace.ask();
  await new Promise((resolve) => setTimeout(resolve, 5));
  pace.ask({ now: true });
  await new Promise((resolve) => setTimeout(resolve, 80));
  pace.close();
  assert.equal(times, 2);
});
