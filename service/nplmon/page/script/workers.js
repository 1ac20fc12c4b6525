/** Workers: who is alive, on which device, and how fast. */

import { h, say } from "./element.js";
import { count, duration, moment, number } from "./format.js";
import { Table } from "./table.js";

export class Workers {
  constructor(live) {
    this.live = live;
    this.seen = [];
    this.table = new Table({
      id: "workers",
      title: "Workers",
      hint: "Those that gave a sign of life in the last seconds.",
      columns: [["Name"], ["Role"], ["Device"], ["Host"], ["Chunks per second", "number"], ["Chunks", "number"], ["Monitors", "number"], ["Up for", "number"], ["Seen", "number"]],
      none: "No worker is alive: nothing is fitted and no statistic moves. Start them with nplmon up, or nplmon trainer and nplmon aggregator.",
    });
    this.element = this.table.element;
  }

  show({ workers }) {
    const now = this.live.now();
    this.seen = [];
    const rows = workers.map((worker) => {
      const up = h("span", { title: moment(worker.started_at, now) });
      const seen = h("span");
      this.seen.push([up, worker.started_at, ""], [seen, worker.seen_at, " ago"]);
      const pace = worker.chunks_per_second;
      return [
        worker.name,
        worker.role,
        worker.device || "–",
        `${worker.host}, process ${worker.pid}`,
        pace === null || pace === undefined ? "–" : number(pace, 2),
        count(worker.chunks),
        worker.role === "aggregator" ? count(worker.monitor_count) : "–",
        up,
        seen,
      ];
    });
    this.table.show(rows);
    this.look(now);
  }

  look(now) {
    for (const [node, since, after] of this.seen) say(node, duration(now - since) + after);
  }
}
