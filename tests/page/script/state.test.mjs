import assert from "node:assert/strict";
import { test } from "node:test";

const { ORDER, STATES, change, compare, flagsOf, hiddenAlarm, stateOf, tally, testOf } = await import(
  `${JSON.parse(process.env.PAGE)}/state.js`
);

const tile = (monitor, state, more = {}) => ({
  monitor,
  state,
  flags: [],
  run_state: "open",
  opened_at: 1000,
  updated_at: 1000,
  stale_after: 600,
  ...more,
});

test("the order is that of urgency, and every state has a word, a meaning and a shape of its own", () => {
  assert.deepEqual(ORDER, ["alarm", "stale", "warning", "acknowledged", "uncalibrated", "ok", "waiting", "closed"]);
  assert.equal(new Set(Object.values(STATES).map(({ shape }) => shape)).size, ORDER.length);
  assert.ok(Object.values(STATES).every(({ word, meaning }) => word && meaning));
});

test("an open run becomes stale by itself, an alarm stays one and says so", () => {
  assert.equal(stateOf(tile("a", "ok"), 1599), "ok");
  assert.equal(stateOf(tile("a", "ok"), 1600), "stale");
  assert.equal(stateOf(tile("a", "waiting", { updated_at: null }), 1601), "stale");
  assert.equal(stateOf(tile("a", "closed", { run_state: "closed" }), 9999), "closed");
  assert.equal(stateOf(tile("a", "alarm"), 1601), "alarm");
  assert.deepEqual(flagsOf(tile("a", "alarm", { flags: ["test"] }), 1601), ["stale", "test"]);
  assert.deepEqual(flagsOf(tile("a", "stale", { flags: ["stale"] }), 1000), []);
});

test("an alarm is told of where another state hides it", () => {
  const raised = { alarm: { level: "alarm" }, acknowledged: null };
  assert.equal(hiddenAlarm(raised, "alarm"), null);
  assert.equal(hiddenAlarm(raised, "closed"), "alarm");
  assert.equal(hiddenAlarm({ ...raised, acknowledged: {} }, "stale"), "alarm acknowledged");
  assert.equal(hiddenAlarm({ alarm: { level: "ok" }, acknowledged: null }, "stale"), null);
});

test("a test alarm ends by itself", () => {
  const tested = tile("a", "ok", { test: { until: 1100 }, flags: ["test"] });
  assert.equal(testOf(tested, 1099), tested.test);
  assert.deepEqual(flagsOf(tested, 1099), ["test"]);
  assert.equal(testOf(tested, 1100), null);
  assert.deepEqual(flagsOf(tested, 1100), []);
});

test("tiles are sorted by urgency and then by name, whatever else changes", () => {
  const tiles = [tile("b", "ok"), tile("c", "alarm"), tile("a", "ok"), tile("d", "warning")];
  const names = (now) => [...tiles].sort((one, other) => compare(one, other, now)).map(({ monitor }) => monitor);
  assert.deepEqual(names(1000), ["c", "d", "a", "b"]);
  tiles[0].value = 1e9;
  assert.deepEqual(names(1100), ["c", "d", "a", "b"]);
  assert.equal(compare(tiles[0], tiles[0], 1000), 0);
});

test("what this page does not know comes first", () => {
  assert.ok(compare(tile("z", "broken"), tile("a", "alarm"), 1000) < 0);
});

test("states are counted and their changes told", () => {
  assert.deepEqual(Object.entries(tally([tile("a", "ok"), tile("b", "alarm"), tile("c", "ok")], 1000)), [
    ["alarm", 1],
    ["ok", 2],
  ]);
  assert.equal(change("a", "ok", "alarm"), "a: alarm, was ok.");
  assert.equal(change("a", null, "waiting"), "a: waiting.");
});
