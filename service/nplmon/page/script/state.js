/** State: what a monitor's states are called, which shape and colour they have, and which comes first. */

/** Shapes differ in outline, not only in colour; each is drawn in a square of 24. */
export const STATES = {
  alarm: {
    word: "Alarm",
    meaning: "An alarm was raised and nobody has acknowledged it.",
    shape: "M12 1.5 L23.5 22 H0.5 Z M10.8 8.5 H13.2 L12.9 15.5 H11.1 Z M10.8 17 H13.2 V19.4 H10.8 Z",
  },
  stale: {
    word: "Stale",
    meaning: "The run is open and no chunk was applied for longer than the monitor allows.",
    shape:
      "M12 1 A11 11 0 1 1 12 23 A11 11 0 1 1 12 1 Z M12 3.6 A8.4 8.4 0 1 0 12 20.4 A8.4 8.4 0 1 0 12 3.6 Z " +
      "M10.8 6 H13.2 V11.5 L17.4 14.6 L16 16.5 L10.8 12.7 Z",
  },
  warning: {
    word: "Warning",
    meaning: "The statistic is over the threshold of warnings.",
    shape: "M12 0.5 L23.5 12 L12 23.5 L0.5 12 Z M10.8 6 H13.2 L12.9 13.5 H11.1 Z M10.8 15 H13.2 V17.4 H10.8 Z",
  },
  acknowledged: {
    word: "Acknowledged",
    meaning: "The alarm, or the warning, still stands; somebody has taken it on.",
    shape:
      "M12 1.5 L23.5 22 H0.5 Z M12 6.2 L4.6 19.6 H19.4 Z M10.9 17.6 L7.9 14.7 L9.3 13.3 L10.9 14.9 L14.8 11 L16.2 12.4 Z",
  },
  uncalibrated: {
    word: "Uncalibrated",
    meaning: "The statistic that decides has no valid threshold: no alarm can be raised.",
    shape:
      "M1.5 1.5 H22.5 V22.5 H1.5 Z M10.8 16.6 V19 H13.2 V16.6 Z M7.6 9.4 H10 C10 7.2 14 7.2 14 9.4 C14 11 10.8 11.3 " +
      "10.8 15 H13.2 C13.2 12.4 16.4 12.4 16.4 9.2 C16.4 4.2 7.6 4.2 7.6 9.4 Z",
  },
  ok: {
    word: "OK",
    meaning: "The statistic is below its thresholds.",
    shape: "M12 1 A11 11 0 1 1 12 23 A11 11 0 1 1 12 1 Z M10.3 17.3 L4.9 12 L6.8 10.1 L10.3 13.5 L17.2 6.7 L19.1 8.6 Z",
  },
  waiting: {
    word: "Waiting",
    meaning: "No chunk has been applied yet.",
    shape: "M3 1 H21 V4 L14.5 12 L21 20 V23 H3 V20 L9.5 12 L3 4 Z M6.4 4 H17.6 L12 10.6 Z",
  },
  closed: {
    word: "Closed",
    meaning: "The run is closed; the next one opens with its first chunk.",
    shape: "M2 2 H22 V22 H2 Z M5 5 V19 H19 V5 Z M8 8 H16 V16 H8 Z",
  },
};

/** What may hold beside the state. */
export const FLAGS = {
  stale: "stale",
  uncalibrated: "uncalibrated",
  test: "test alarm",
  "pool-empty": "pool empty",
  exposure: "reference used up",
  "dead-letters": "dead letters",
  withheld: "alarm withheld",
};

/** The most urgent first. */
export const ORDER = Object.keys(STATES);

/** The place of a state in the order; what is unknown comes first, for it must be seen. */
export function rank(state) {
  return ORDER.indexOf(state);
}

/**
 * Give the state of a tile at `now` (Unix seconds of the service): between two messages a run can only become stale.
 * What is more urgent than stale keeps its state and has the flag.
 */
export function stateOf(tile, now) {
  if (!isStale(tile, now)) return tile.state;
  return rank(tile.state) < rank("stale") ? tile.state : "stale";
}

/** Tell whether an open run has had nothing applied for longer than its monitor allows. */
export function isStale(tile, now) {
  if (tile.state === "stale" || (tile.flags ?? []).includes("stale")) return true;
  if (tile.run_state !== "open" || !tile.stale_after) return false;
  const last = tile.updated_at ?? tile.opened_at;
  return typeof last === "number" && now - last >= tile.stale_after;
}

/** The flags of a tile at `now`, without what its state says already. */
export function flagsOf(tile, now) {
  const flags = new Set(tile.flags ?? []);
  if (isStale(tile, now)) flags.add("stale");
  if (tile.test && !testOf(tile, now)) flags.delete("test");
  flags.delete(stateOf(tile, now));
  return Object.keys(FLAGS).filter((flag) => flags.has(flag));
}

/**
 * What a tile's state hides of its alarm, which stays raised while the run is stale or closed: "alarm", "warning",
 * "alarm acknowledged"; null where the state says it, or where there is none.
 */
export function hiddenAlarm({ alarm, acknowledged }, state) {
  if (alarm.level === "ok" || ["alarm", "warning", "acknowledged"].includes(state)) return null;
  return acknowledged ? `${alarm.level} acknowledged` : alarm.level;
}

/** The test alarm of a tile, null once its time is over, whether the service has said so or not. */
export function testOf({ test }, now) {
  return test && test.until > now ? test : null;
}

/** Compare two tiles for sorting: by urgency, then by name, so that nothing moves while the states stay. */
export function compare(one, other, now) {
  const difference = rank(stateOf(one, now)) - rank(stateOf(other, now));
  return difference || (one.monitor < other.monitor ? -1 : Number(one.monitor > other.monitor));
}

/** Count the states of tiles: `{alarm: 1, ok: 12}`, in the order of urgency. */
export function tally(tiles, now) {
  const counts = {};
  for (const state of ORDER) {
    const number = tiles.filter((tile) => stateOf(tile, now) === state).length;
    if (number) counts[state] = number;
  }
  return counts;
}

/** Tell what changed in a monitor's state, in a sentence for a screen reader. */
export function change(monitor, before, after) {
  const told = (state) => (STATES[state]?.word ?? state).toLowerCase();
  return before === null ? `${monitor}: ${told(after)}.` : `${monitor}: ${told(after)}, was ${told(before)}.`;
}
