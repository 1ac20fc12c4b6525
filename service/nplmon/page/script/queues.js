/** Queues: the chunks of each monitor on their way, and how long the oldest waits. */

import { h, say } from "./element.js";
import { count, counted, duration, moment } from "./format.js";
import { href } from "./router.js";
import { Table } from "./table.js";

export class Queues {
  constructor(live) {
    this.live = live;
    this.ages = [];
    this.table = new Table({
      id: "queues",
      title: "Queues",
      hint: "Chunks that were accepted and are not yet in a statistic. The age of the oldest says more than their number.",
      columns: [["Monitor"], ["Oldest waits", "number"], ["Waiting", "number"], ["In work", "number"], ["Not applied", "number"], ["Dead", "number"]],
      none: "Nothing waits.",
    });
    this.idle = h("p", { class: "hint" });
    this.table.element.append(this.idle);
    this.element = this.table.element;
  }

  show({ queues }) {
    const now = this.live.now();
    const busy = queues.filter((one) => one.waiting || one.leased || one.unapplied || one.dead);
    const idle = queues.length - busy.length;
    say(this.idle, idle && busy.length ? `${counted(idle, "more monitor")} with nothing on the way.` : "");
    const sorted = busy.sort((one, other) => (one.oldest_accepted_at ?? Infinity) - (other.oldest_accepted_at ?? Infinity));
    this.ages = [];
    const rows = sorted.map(({ monitor, waiting, leased, oldest_accepted_at: oldest, unapplied, dead }) => {
      const age = h("span", { title: oldest ? moment(oldest, now) : null }, oldest ? "" : "–");
      if (oldest) this.ages.push([age, oldest]);
      const link = h("a", { href: href(`/monitors/${monitor}`) }, monitor);
      return [link, age, count(waiting), count(leased), count(unapplied), h("span", { class: dead ? "bad" : null }, count(dead))];
    });
    this.table.show(rows);
    this.look(now);
  }

  look(now) {
    for (const [age, oldest] of this.ages) say(age, duration(now - oldest));
  }
}
