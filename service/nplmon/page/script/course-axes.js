/** Course axes: where the chunks of a course, and what happened between them, stand on the x axis. */

import { wallClock } from "./plot-ranges.js";

export class Axes {
  constructor(course, { clock }) {
    Object.assign(this, { course, clock, dates: clock !== "chunk" });
    this.x = this.dates ? course.applied_at.map((time) => this.time(time)) : course.sequence;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    this.title = {
      chunk: "chunk of the run",
      utc: "time at which the chunk was counted (UTC)",
      local: `time at which the chunk was counted (local, ${zone})`,
    }[clock];
    this.ticks = this.dates ? {} : { tickformat: ",d", ...(course.sequence.length < 12 ? { dtick: 1 } : {}) };
  }

  /** What the clock on the wall of the zone chosen shows, as text: plotly knows no zones, and moves numbers by its own. */
  time(unix) {
    const offset = this.clock === "local" ? new Date(unix * 1000).getTimezoneOffset() * 60_000 : 0;
    return wallClock(unix * 1000 - offset);
  }

  mark({ at, place }) {
    return this.dates ? this.time(at) : place;
  }

  pause({ from, to, after }) {
    return this.dates ? [this.time(from), this.time(to)] : [after + 0.25, after + 0.75];
  }

  /** As far as the points of a region count: half the way to the neighbours, in time until the next chunk. */
  span(first, last) {
    const { x } = this;
    if (this.dates) return [x[first], x[Math.min(last + 1, x.length - 1)]];
    const before = first > 0 ? (x[first] + x[first - 1]) / 2 : x[first] - 0.5;
    const after = last < x.length - 1 ? (x[last] + x[last + 1]) / 2 : x[last] + 0.5;
    return [before, after];
  }
}
