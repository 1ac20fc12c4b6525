/** Where: which features differ and how: their order, data against reference, a map of two, and the oddest events. */

import { of } from "./api.js";
import { Choice } from "./choice.js";
import { dataTable } from "./data-table.js";
import { h, put } from "./element.js";
import { number } from "./format.js";
import { isSteep, marginalOf } from "./marginal.js";
import { axisName, marginalFigure } from "./marginal-figure.js";
import { MonitorHead } from "./monitor-head.js";
import { Pace } from "./pace.js";
import { SHOWN, unforeseen } from "./pair.js";
import { pairFigure } from "./pair-figure.js";
import { Plot } from "./plot.js";
import { ranking, signed } from "./ranking.js";
import { href } from "./router.js";
import { leading, MARGINAL_LEGEND, marginalColumns, marginalSummary, pairColumns } from "./where-words.js";

const WHAT = [
  "Points are the data of the run with the central 68 % Poisson interval of their counts (Garwood; for large counts ± √N). The filled histogram is the reference, scaled to the run, with its own statistical uncertainty. The line is the reference times the density ratio that was learned.",
  "Below, both are divided by the reference: without a difference the points scatter about 1, and the line stays there. Arrows mark points beyond the frame. Values beyond the outer edges are counted in the outermost bins.",
];
const PAIR_WHAT = [
  "The two features that differ most together, in cells. The pull is (data − reference) / √(reference (1 + exposure)), which allows for the fluctuations of the data and of the scaled reference; with few expected events it is a guide only.",
];
const EVENTS_WHAT =
  "The events of the run where the learned density ratio is largest: most unlike the reference. They are candidates to look at, not a selection: in an ordinary run there are such events too.";

export function view(root, context) {
  const shown = new WhereView(root, context);
  return { update: (tile) => shown.update(tile), change: (query) => shown.change(query), close: () => shown.close() };
}

class WhereView {
  constructor(root, context) {
    Object.assign(this, { context, query: context.query, found: null, plots: new Map(), turn: 0 });
    const { monitor, live } = context;
    this.head = new MonitorHead(monitor, "where", live);
    this.trouble = h("div", { class: "trouble", role: "status" });
    this.runs = new Choice("Run", (run) => this.#go({ run }));
    this.features = new Choice("Feature", (feature) => this.#go({ feature }));
    this.scale = new Choice("Scale of counts", (y) => this.#go({ y }), [
      ["auto", "by itself"],
      ["log", "logarithmic"],
      ["linear", "linear"],
    ]);
    this.shown = new Choice("Map shows", (pair) => this.#go({ pair }), Object.entries(SHOWN));
    this.summary = h("p", { class: "summary" });
    this.ranked = h("div");
    this.marginals = h("div", { class: "marginals" });
    this.map = new Plot({
      title: "Two features together",
      name: "pair",
      what: PAIR_WHAT,
      pictureWidth: 900,
      controls: [h("div", { class: "controls" }, this.shown.element)],
    });
    this.events = h("div");
    this.download = h("a", { class: "button small", download: "" }, "Events (CSV)");
    this.eventsHeading = h("h2", { id: "events-heading" }, "Most anomalous events");
    this.body = h(
      "div",
      { class: "where-body" },
      h("div", { class: "controls" }, this.runs.element, this.features.element, this.scale.element),
      h(
        "section",
        { class: "panel", "aria-labelledby": "ranked-heading" },
        h("h2", { id: "ranked-heading" }, "Features in order"),
        this.summary,
        this.ranked,
        h(
          "details",
          { class: "what" },
          h("summary", {}, "What is this?"),
          h(
            "p",
            {},
            "Contribution is what a feature's distribution alone adds to the difference, in the units of t; beside it what noise alone makes of it. The order is by how far a contribution exceeds that. Shift is data mean − reference mean in standard deviations of the reference.",
          ),
        ),
      ),
      this.marginals,
      this.map.element,
      h(
        "section",
        { class: "panel", "aria-labelledby": "events-heading" },
        this.eventsHeading,
        h("p", { class: "hint" }, EVENTS_WHAT),
        this.events,
        h("p", {}, this.download),
      ),
    );
    put(root, this.head.element, this.trouble, this.body);
    this.body.hidden = true;
    this.pace = new Pace(() => this.#fetch(), 2);
    this.pace.ask({ now: true });
  }

  update(tile) {
    this.head.update(tile);
    this.pace.ask();
  }

  change(query) {
    const other = query.run !== this.query.run;
    this.query = query;
    if (other) {
      this.turn += 1;
      this.pace.ask({ now: true });
    } else this.#draw();
  }

  close() {
    this.turn = -1;
    this.pace.close();
    this.head.close();
    this.map.close();
    for (const plot of this.plots.values()) plot.close();
  }

  #go(change) {
    this.context.navigate(`/monitors/${this.context.monitor}/where`, { ...this.query, ...change }, { replace: true });
  }

  async #fetch() {
    const mine = this.turn;
    const { api, monitor } = this.context;
    const parameters = this.query.run ? `?${new URLSearchParams({ run: this.query.run })}` : "";
    try {
      const { runs } = await api.get(of(monitor, "runs"));
      const get = (part) => api.get(of(monitor, part) + parameters);
      const [where, ratio, now] = runs.length
        ? await Promise.all([get("where"), get("density-ratio"), get("statistic")])
        : [];
      if (mine !== this.turn) return;
      put(this.trouble);
      this.found = runs.length
        ? { runs, where, ratio, exposure: now.snapshot?.exposure_ratio ?? 0, snapshot: now.snapshot }
        : null;
      if (!this.found) this.#empty("No run yet: the first chunk opens one.");
      this.#draw();
    } catch (problem) {
      if (mine !== this.turn) return;
      if (problem.slug === "no-statistic")
        this.#empty("No chunk of this run has been counted yet: there is nothing to compare.");
      else
        put(
          this.trouble,
          h(
            "p",
            { class: "empty" },
            `${problem.message} ${problem.remedy ?? ""} `,
            h(
              "button",
              { type: "button", class: "small", on: { click: () => this.pace.ask({ now: true }) } },
              "Try again",
            ),
          ),
        );
      this.body.hidden = !this.found;
    }
  }

  #empty(text) {
    const { monitor } = this.context;
    this.found = null;
    this.body.hidden = true;
    put(
      this.trouble,
      h(
        "p",
        { class: "empty" },
        `${text} Push events: `,
        h("code", {}, `nplmon push FILE --monitor ${monitor} --run RUN --chunk-size 2000`),
        ", or choose another run on ",
        h("a", { href: href(`/monitors/${monitor}`) }, "the page of the monitor"),
        ".",
      ),
    );
  }

  #draw() {
    if (!this.found) return;
    this.body.hidden = false;
    const { runs, where, ratio } = this.found;
    const { features } = ratio;
    this.head.follow(this.query.run ?? null);
    this.runs.show(
      runs.map((one) => [one.name, `${one.name} (${one.state}, ${one.accepted} chunks)`]),
      where.run,
    );
    const names = features.map((feature) => feature.name);
    const chosen =
      this.query.feature === "all" || names.includes(this.query.feature) ? this.query.feature : where.ranked[0];
    this.features.show([...where.ranked.map((name) => [name, name]), ["all", "all features"]], chosen);
    this.scale.value = ["log", "linear"].includes(this.query.y) ? this.query.y : "auto";
    put(this.summary, leading(features, where.ranked));
    ranking(this.ranked, features, chosen, (feature) => this.#go({ feature }));
    this.#drawMarginals(
      where.ranked
        .filter((name) => chosen === "all" || name === chosen)
        .map((name) => features.find((one) => one.name === name)),
    );
    this.#drawPair(Object.fromEntries(features.map(({ name, unit }) => [name, unit])));
    this.#drawEvents(features);
  }

  #drawMarginals(features) {
    const wanted = new Set(features.map((feature) => feature.name));
    for (const [name, plot] of this.plots) {
      if (wanted.has(name)) continue;
      plot.close();
      plot.element.remove();
      this.plots.delete(name);
    }
    this.marginals.classList.toggle("many", features.length > 1);
    features.forEach((feature, place) => {
      if (!this.plots.has(feature.name))
        this.plots.set(
          feature.name,
          new Plot({ title: axisName(feature), name: `feature-${feature.name}`, what: WHAT, pictureWidth: 900 }),
        );
      const plot = this.plots.get(feature.name);
      if (this.marginals.children[place] !== plot.element)
        this.marginals.insertBefore(plot.element, this.marginals.children[place] ?? null);
      const m = marginalOf(feature);
      const logarithmic = this.query.y === "log" || (this.query.y !== "linear" && isSteep(m));
      const { run } = this.found.where;
      plot.show({
        key: `${run} ${feature.name} ${logarithmic}`,
        file: `${this.context.monitor} ${run}`,
        summary: marginalSummary(feature),
        columns: marginalColumns(m),
        x: m.centres,
        legend: MARGINAL_LEGEND,
        build: (colours, more) => marginalFigure(m, { logarithmic }, colours, more),
      });
    });
  }

  #drawPair(units) {
    const { pair, run } = this.found.where;
    this.map.element.hidden = !pair;
    if (!pair) return;
    const shown = this.query.pair in SHOWN ? this.query.pair : "pull";
    this.shown.value = shown;
    const options = { shown, exposure: this.found.exposure, units };
    this.map.show({
      key: `${run} ${pair.x} ${pair.y} ${shown}`,
      file: `${this.context.monitor} ${run} ${pair.x} ${pair.y} ${shown}`,
      summary: `${pair.x} and ${pair.y} differ most together: χ² of data and reference in the cells exceeds its mean by ${number(pair.excess, 3)} of its standard deviations.`,
      columns: pairColumns(pair, options),
      legend: [
        {
          mark: "fill",
          colour: "--map-high",
          text: shown === "learned" ? "ratio above 1" : "more events than expected",
        },
        { mark: "fill", colour: "--map-low", text: shown === "learned" ? "ratio below 1" : "fewer" },
        ...(unforeseen(pair).length
          ? [
              {
                mark: "M-4 -2.5 L-2.5 -4 L0 -1.5 L2.5 -4 L4 -2.5 L1.5 0 L4 2.5 L2.5 4 L0 1.5 L-2.5 4 L-4 2.5 L-1.5 0 Z",
                colour: "--ink",
                text: "events where the reference has none",
              },
            ]
          : []),
      ],
      build: (colours, more) => pairFigure(pair, options, colours, more),
    });
  }

  #drawEvents(features) {
    const { anomalous, run, sequence } = this.found.where;
    const { monitor } = this.context;
    this.download.setAttribute("href", `${of(monitor, "where.csv")}?${new URLSearchParams({ run })}`);
    // A table that somebody has sorted, or is reading, is left alone while it is the same.
    const key = `${run} ${sequence} ${anomalous[0]?.chunk} ${anomalous.length}`;
    if (key === this.eventsShown) return;
    this.eventsShown = key;
    if (!anomalous.length) {
      put(this.events, h("p", { class: "hint" }, "None yet: they are chosen as chunks are counted."));
      return;
    }
    const link = (chunk) => h("a", { href: href(`/monitors/${monitor}`, { run, chunk }) }, chunk);
    put(
      this.events,
      dataTable(
        [
          { name: "log ratio", values: anomalous.map((event) => event.log_ratio), show: (value) => signed(value, 3) },
          ...features.map((feature, place) => ({
            name: feature.name,
            unit: feature.unit,
            values: anomalous.map((event) => event.values[place]),
            show: (value) => number(value, 4),
          })),
          { name: "chunk", values: anomalous.map((event) => event.chunk), show: link },
          { name: "chunk number", values: anomalous.map((event) => event.sequence) },
          { name: "row in the chunk", values: anomalous.map((event) => event.row) },
        ],
        { caption: "Most anomalous events", sortable: true },
      ),
    );
  }
}
