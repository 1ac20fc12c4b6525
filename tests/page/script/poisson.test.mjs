import assert from "node:assert/strict";
import { test } from "node:test";

const { errors, interval } = await import(`${JSON.parse(process.env.PAGE)}/poisson.js`);

const close = (found, wanted, tolerance) =>
  assert.ok(Math.abs(found - wanted) <= tolerance, `${found} is not ${wanted}`);

test("the intervals are Garwood's, as scipy.special.gammaincinv gives them", () => {
  const known = [
    [0, 0, 1.841021645009264],
    [1, 0.17275377902344998, 3.2995265591158448],
    [3, 1.3672953138904334, 5.918185832883395],
    [10, 6.8913055606383, 14.266949761009354],
    [400, 380.0083524004755, 421.0166794034528],
    [5000, 4929.291680397712, 5071.715393515044],
  ];
  for (const [n, low, high] of known) {
    const found = interval(n);
    close(found[0], low, 1e-8 * Math.max(1, n));
    close(found[1], high, 1e-7 * Math.max(1, n));
  }
});

test("large counts have errors of the square root, and the two ways of computing them meet", () => {
  const [down, up] = errors(1e6);
  close(down, 1000, 1.5);
  close(up, 1000, 1.5);
  for (const n of [4998, 4999, 5000, 5001]) {
    const [low, high] = interval(n);
    const [nextLow, nextHigh] = interval(n + 1);
    close(nextLow - low, 0.99293, 1e-3);
    close(nextHigh - high, 1.00708, 1e-3);
  }
});

test("no event excludes nothing below, and gives no negative error", () => {
  const [down, up] = errors(0);
  assert.equal(down, 0);
  close(up, 1.841, 1e-3);
});
