/** Alarm: what fired, what to do and whom to call; taking note of it, testing it, ending its run, and its history. */

import { of } from "./api.js";
import { h, put } from "./element.js";
import { Handling } from "./handling.js";
import { Journal } from "./journal.js";
import { MonitorHead } from "./monitor-head.js";
import { problemBox } from "./notice.js";
import { href } from "./router.js";
import { RunActions } from "./run-actions.js";
import { TestAlarm } from "./test-alarm.js";
import { Verdict } from "./verdict.js";

export function view(root, context) {
  const alarm = new Alarm(root, context);
  return {
    update: (tile) => alarm.update(tile),
    change: (query) => alarm.change(query),
    close: () => alarm.close(),
  };
}

class Alarm {
  constructor(root, context) {
    this.context = context;
    const { monitor, live } = context;
    this.head = new MonitorHead(monitor, "alarm", live);
    this.trouble = h("div");
    this.verdict = new Verdict(context);
    this.handling = new Handling(context);
    this.test = new TestAlarm(context);
    this.actions = new RunActions(context);
    this.journal = new Journal(context);
    this.body = h(
      "div",
      { class: "alarm-body" },
      h("div", { class: "column" }, this.verdict.element, this.handling.element),
      h("div", { class: "column" }, this.test.element, this.actions.element),
      this.journal.element,
    );
    put(root, this.head.element, this.trouble, this.body);
    this.parts = [this.verdict, this.test, this.actions];
    this.timer = setInterval(() => this.#look(), 1000);
    this.change(context.query);
    this.handling.load();
    this.journal.load();
  }

  /** Another run, or another filter of the history. */
  change(query) {
    this.query = query;
    this.head.follow(query.run ?? null);
    this.journal.filter(query.kinds);
    this.#loadRun();
    this.update(this.tile ?? null);
  }

  update(tile) {
    this.tile = tile;
    this.head.update(tile);
    const { live, monitor } = this.context;
    const missing = live.loaded && !tile;
    this.body.hidden = missing;
    put(this.trouble, missing && this.#nothing(monitor));
    if (!tile) return;
    const { run } = this.query;
    if (!run || run === tile.run) this.#show(ofTile(tile));
    else if (this.other?.run === run) this.#show({ ...this.other, test: tile.test });
    this.journal.news();
  }

  #nothing(monitor) {
    const overview = h("a", { href: href("/") }, "The overview has all that there are.");
    return h("p", { class: "empty" }, `There is no monitor ${monitor}. It may have been deleted. `, overview);
  }

  close() {
    clearInterval(this.timer);
    this.head.close();
    this.journal.close();
  }

  #show(facts) {
    for (const part of this.parts) part.show(facts);
    this.#look();
  }

  #look() {
    for (const part of this.parts) part.look(this.context.live.now());
  }

  /** A run that is not the one opened last has no tile: its own statistic tells of it. */
  async #loadRun() {
    const { run } = this.query;
    if (!run || run === this.tile?.run) return;
    const { api, monitor } = this.context;
    try {
      this.other = ofStatistic(await api.get(`${of(monitor, "statistic")}?run=${encodeURIComponent(run)}`));
      this.update(this.tile);
    } catch (problem) {
      put(this.trouble, problemBox(problem));
    }
  }
}

/** What the panels tell of: the alarm of a run, with the statistic as it is now. */
function ofTile(tile) {
  return { ...tile, latest: true };
}

function ofStatistic({ run, snapshot }) {
  const deciding = snapshot?.statistics?.[snapshot.deciding] ?? {};
  const alarm = snapshot?.alarm ?? { level: "ok" };
  const given = run.acknowledged;
  return {
    run: run.name,
    run_state: run.state,
    state: run.state === "closed" ? "closed" : "ok",
    latest: false,
    alarm,
    acknowledged: given && given.level === alarm.level && given.sequence === alarm.sequence ? given : null,
    test: null,
    deciding: snapshot?.deciding ?? null,
    value: deciding.value ?? null,
    threshold: deciding.threshold ?? null,
    p: deciding.p ?? null,
    p_resolution: deciding.p_resolution ?? null,
    z: deciding.z ?? null,
    statistic_state: deciding.state ?? null,
    updated_at: snapshot?.updated_at ?? null,
    calibration: snapshot?.calibration ?? null,
  };
}
