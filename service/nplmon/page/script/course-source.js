/** Course source: what the service knows of one run of a monitor, fetched anew when it changes, once a second at most. */

import { of } from "./api.js";
import { Pace } from "./pace.js";

const POINTS = 1000;

export class CourseSource {
  /** `changed(found)` gets `{statistic, course, sum, entries, runs}`, `failed(problem)` what went wrong. */
  constructor({ api, monitor }, { changed, failed }) {
    Object.assign(this, { api, monitor, changed, failed, want: null, turn: 0 });
    this.pace = new Pace(() => this.#fetch(), 1);
  }

  /** Show this run (null: the one opened last), this kind (null: the one that decides), with t_sum or without. */
  choose({ run, kind, sum }) {
    this.want = { run, kind, sum };
    this.turn += 1;
    this.pace.ask({ now: true });
  }

  /** Something of the monitor has changed. */
  refresh() {
    if (this.want) this.pace.ask();
  }

  close() {
    this.turn = -1;
    this.pace.close();
  }

  async #fetch() {
    const mine = this.turn;
    const { run, kind, sum } = this.want;
    const ask = (part, query = {}) => this.api.get(`${of(this.monitor, part)}?${new URLSearchParams(given(query))}`);
    try {
      const { runs } = await ask("runs");
      if (!runs.length) {
        if (mine === this.turn) this.changed({ runs, statistic: null, course: null, sum: null, entries: [] });
        return;
      }
      const statistic = await ask("statistic", { run });
      const shown = kind ?? statistic.snapshot?.deciding ?? "t_score";
      const [course, summed, journal] = await Promise.all([
        ask("course", { run, kind: shown, points: POINTS }),
        sum ? ask("course", { run, kind: "t_sum", points: POINTS }) : null,
        ask("journal", { limit: 1000 }),
      ]);
      if (mine !== this.turn) return;
      this.changed({ runs, statistic, course, sum: summed, entries: journal.entries });
    } catch (problem) {
      if (mine === this.turn) this.failed(problem);
    }
  }
}

function given(query) {
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== null && value !== undefined));
}
