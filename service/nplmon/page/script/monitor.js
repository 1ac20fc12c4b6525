/** Monitor: the course of a run: its numbers now, the statistic over its chunks, and each chunk by itself. */

import { ChunkPanel } from "./chunk.js";
import { Axes } from "./course-axes.js";
import { broken, journalPauses, pauses } from "./course-columns.js";
import { courseFigure } from "./course-figure.js";
import { CourseSource } from "./course-source.js";
import { courseColumns, courseLegend, courseSummary } from "./course-words.js";
import { Choice } from "./choice.js";
import { h, put } from "./element.js";
import { moment } from "./format.js";
import { choices, kindName, KINDS } from "./kinds.js";
import { allMarks, MARKS } from "./marks.js";
import { MonitorHead } from "./monitor-head.js";
import { numbers } from "./numbers.js";
import { Plot } from "./plot.js";
import { renew } from "./renew.js";

const WHAT = [
  "Above: the statistic of all chunks of the run so far. Without an anomaly it stays in the band; an alarm is raised where it reaches the threshold, which is set so that false alarms come as rarely as the monitor asks.",
  "In the middle: the probability p of such a value or a larger one without anomaly, or the same as Z in Gaussian standard deviations. One look at p is not an alarm: somebody who looks after every chunk sees small values sooner or later, which the threshold accounts for.",
  "Below: t_chunk, each chunk compared with the reference by itself. A single high point is a bad chunk; a small difference in every chunk shows only above.",
  "Drag over a stretch to look closer; a double click shows the whole run.",
];

export function view(root, context) {
  const shown = new MonitorView(root, context);
  return { update: (tile) => shown.update(tile), change: (query) => shown.change(query), close: () => shown.close() };
}

class MonitorView {
  constructor(root, context) {
    Object.assign(this, { context, query: {}, found: null, tile: null });
    const { monitor, live } = context;
    this.head = new MonitorHead(monitor, "monitor", live);
    this.trouble = h("div", { class: "trouble", role: "status" });
    this.now = h("div", { class: "now" });
    this.chunk = new ChunkPanel(
      context,
      (chunk) => this.#go({ chunk }),
      () => this.#draw(),
    );
    const choose = (name) => (value) => this.#go({ [name]: value });
    this.runs = new Choice("Run", (run) => this.#go({ run, chunk: null }));
    this.kinds = new Choice("Statistic", choose("kind"));
    this.second = new Choice("Middle panel", choose("panel"), [
      ["p", "p-value"],
      ["z", "Z"],
    ]);
    this.clock = new Choice("Along", choose("axis"), [
      ["chunk", "chunk number"],
      ["local", "local time"],
      ["utc", "UTC"],
    ]);
    this.scale = new Choice("Scale", choose("y"), [
      ["linear", "linear"],
      ["log", "logarithmic"],
    ]);
    this.sum = h("input", { type: "checkbox", on: { change: () => this.#go({ sum: this.sum.checked ? "1" : null }) } });
    this.controls = h(
      "div",
      { class: "controls" },
      [this.runs, this.kinds, this.second, this.clock, this.scale].map((choice) => choice.element),
      h("label", { class: "check" }, this.sum, "compare with t_sum"),
    );
    this.plot = new Plot({
      title: "Course of the run",
      name: "course",
      what: WHAT,
      onPoint: (point) => this.#clicked(point),
    });
    this.kindWords = h("p", { class: "kind-words" });
    this.complete = h("a", { class: "button small", download: "" }, "All chunks (CSV)");
    this.plot.files.append(this.complete);
    this.events = h("section", { class: "happened", "aria-labelledby": "happened-heading" });
    this.body = h(
      "div",
      { class: "monitor-body" },
      this.now,
      this.controls,
      this.kindWords,
      this.plot.element,
      this.chunk.element,
      this.events,
    );
    put(root, this.head.element, this.trouble, this.body);
    this.source = new CourseSource(context, {
      changed: (found) => this.#take(found),
      failed: (problem) => this.#fail(problem),
    });
    this.timer = setInterval(() => this.#numbers(), 1000);
    this.change(context.query);
  }

  /** The tile of the monitor changed: its course may have too. */
  update(tile) {
    this.tile = tile;
    this.head.update(tile);
    this.source.refresh();
  }

  /** The address names another run, kind or chunk. */
  change(query) {
    const before = this.query;
    this.query = query;
    const first = this.found === null;
    if (first || ["run", "kind", "sum"].some((name) => query[name] !== before[name])) {
      this.source.choose({ run: query.run ?? null, kind: query.kind ?? null, sum: query.sum === "1" });
    }
    this.#draw();
  }

  close() {
    clearInterval(this.timer);
    this.source.close();
    this.head.close();
    this.plot.close();
  }

  #go(change) {
    const { navigate, monitor } = this.context;
    navigate(`/monitors/${monitor}`, { ...this.query, ...change }, { replace: true });
  }

  /** What is drawn for a chunk carries its number and its id. */
  #clicked({ customdata }) {
    if (customdata?.[1]) this.#go({ chunk: customdata[1] });
  }

  #take(found) {
    this.found = found;
    put(this.trouble);
    const { course, runs, statistic } = found;
    this.body.hidden = !course;
    if (!course) {
      put(
        this.trouble,
        h(
          "p",
          { class: "empty" },
          `No run of ${this.context.monitor} yet. The first chunk opens one: `,
          h("code", {}, `nplmon push FILE --monitor ${this.context.monitor} --run RUN --chunk-size 2000`),
        ),
      );
      return;
    }
    const run = course.run;
    this.head.follow(this.query.run ?? null);
    this.runs.show(
      runs.map((one) => [one.name, `${one.name} (${one.state}, ${one.accepted} chunks)`]),
      run,
    );
    const present = choices(Object.keys(statistic.snapshot?.statistics ?? { [course.kind]: null }));
    this.kinds.show(
      present.map((kind) => [kind, kind === course.deciding ? `${kindName(kind)} (decides)` : kindName(kind)]),
      course.kind,
    );
    const query = new URLSearchParams({ run, kind: course.kind, points: "10000" });
    this.complete.setAttribute("href", `/v1/monitors/${this.context.monitor}/course.csv?${query}`);
    put(this.kindWords, KINDS[course.kind]?.what ?? "");
    this.#draw();
    this.#numbers();
  }

  #fail(problem) {
    put(
      this.trouble,
      h(
        "p",
        { class: "empty" },
        `${problem.message} ${problem.remedy ?? ""} `,
        h("button", { type: "button", class: "small", on: { click: () => this.source.refresh() } }, "Try again"),
      ),
    );
    if (!this.found) this.body.hidden = true;
  }

  #numbers() {
    const { course, statistic } = this.found ?? {};
    if (course) numbers(this.now, statistic, course.kind, this.context.live.now());
  }

  #draw() {
    const { course, sum, entries, statistic } = this.found ?? {};
    if (!course) return;
    const now = this.context.live.now();
    const { query } = this;
    const marks = allMarks(entries, course);
    const mine = entries.filter((entry) => entry.run === course.run);
    const written = mine.some((entry) => entry.kind === "stale");
    const silent = written ? journalPauses(mine, course, now) : pauses(course, this.tile?.stale_after ?? 600);
    this.chunk.update(course, query.chunk ?? null);
    this.second.value = query.panel === "z" ? "z" : "p";
    this.clock.value = ["local", "utc"].includes(query.axis) ? query.axis : "chunk";
    this.scale.value = query.y === "log" ? "log" : "linear";
    this.sum.checked = query.sum === "1";
    const drawn = (one) => (one && this.clock.value !== "chunk" ? broken(one, silent) : one);
    const options = {
      second: this.second.value,
      clock: this.clock.value,
      logarithmic: query.y === "log",
      sum: drawn(sum),
      marks,
      pauses: silent,
      selected: this.chunk.sequence(),
      resolution: statistic.snapshot?.statistics[course.kind]?.p_resolution ?? null,
    };
    this.plot.show({
      key: [course.run, course.run_epoch, course.kind, options.clock, options.second, options.logarithmic].join(" "),
      file: `${this.context.monitor} ${course.run} ${course.kind}`,
      summary: courseSummary(course, marks, options.resolution),
      columns: courseColumns(course, sum),
      x: new Axes(course, options).x,
      legend: courseLegend(course, options, marks, silent, MARKS),
      build: (colours, more) => courseFigure(drawn(course), options, colours, more),
    });
    this.#happened(marks, statistic, now);
  }

  #happened(marks, statistic, now) {
    const { rule } = statistic.snapshot?.alarm ?? {};
    renew(
      this.events,
      h("h2", { id: "happened-heading" }, "What happened"),
      rule ? h("p", {}, `The rule that fired: ${rule}.`) : null,
      marks.length
        ? h(
            "ol",
            { class: "marks" },
            marks.map((mark) =>
              h(
                "li",
                {},
                h("time", {}, moment(mark.at, now)),
                h("strong", {}, mark.word),
                mark.sequence ? ` at chunk ${mark.sequence}` : "",
                mark.who ? ` by ${mark.who}` : "",
                mark.text ? `: ${mark.text}` : "",
              ),
            ),
          )
        : h("p", {}, "Nothing but chunks so far."),
    );
  }
}
