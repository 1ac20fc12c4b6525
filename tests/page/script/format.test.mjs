import assert from "node:assert/strict";
import { test } from "node:test";

const { bytes, compact, count, counted, duration, moment, number, probability, significance, statistic } = await import(
  `${JSON.parse(process.env.PAGE)}/format.js`
);

test("a count has separators, a noun and a word for nothing", () => {
  assert.equal(count(40000), "40,000");
  assert.equal(counted(1, "chunk"), "1 chunk");
  assert.equal(counted(0, "chunk"), "0 chunks");
  assert.equal(count(null), "–");
  assert.equal(count(Number.NaN), "–");
});

test("numbers keep their significant digits", () => {
  assert.equal(number(0.012345), "0.0123");
  assert.equal(number(-1234.5), "−1,235");
  assert.equal(number(2.5e-7), "2.50 × 10⁻⁷");
  assert.equal(statistic(187.44), "187.4");
  assert.equal(statistic(-3.456), "−3.46");
});

test("a p-value is never smaller than its calibration can tell", () => {
  assert.equal(probability(0.0312), "p = 0.031");
  assert.equal(probability(3.1e-6), "p = 3.1 × 10⁻⁶");
  assert.equal(probability(0.0001, 0.0001), "p ≤ 1.0 × 10⁻⁴");
  assert.equal(probability(null), "no p");
  assert.equal(significance(3.719, 0.0001, 0.0001), "≥ 3.7 σ");
  assert.equal(significance(50.4, 9.9e-305, 5e-5), "≥ 50.4 σ");
  assert.equal(probability(9.9e-305, 5e-5), "p ≤ 9.9 × 10⁻³⁰⁵");
  assert.equal(significance(-0.42), "−0.4 σ");
});

test("long counts are told in three digits", () => {
  assert.deepEqual([99_999, 123_456, 999_600, 1_432_000, 2.5e9].map(compact), ["99,999", "123 k", "1 M", "1.43 M", "2.5 G"]);
});

test("spans of time have two units at most", () => {
  assert.deepEqual([0.4, 59, 185, 8040, 273600].map(duration), ["0 s", "59 s", "3 min 05 s", "2 h 14 min", "3 d 4 h"]);
  assert.equal(duration(-2), "0 s");
});

test("a moment is told in local time and in UTC, with the day where it differs", () => {
  const noon = Date.UTC(2026, 10, 26, 11, 0, 5) / 1000;
  assert.equal(moment(noon, noon), "26 Nov 12:00:05 CET (11:00:05 UTC)");
  const late = Date.UTC(2026, 10, 26, 23, 30, 0) / 1000;
  assert.equal(moment(late, late), "27 Nov 00:30:00 CET (26 Nov 23:30:00 UTC)");
  assert.equal(moment(noon, noon + 400 * 86400), "26 Nov 2026 12:00:05 CET (11:00:05 UTC)");
});

test("bytes are told in binary units", () => {
  assert.deepEqual([0, 1023, 1536, 3 * 2 ** 30].map(bytes), ["0 B", "1,023 B", "1.5 KiB", "3 GiB"]);
});
