/**
 * Plot: a figure with what belongs beside it: a sentence that says what is seen, a legend, the data as a table, and
 * files of picture and data. Plotly draws; it is loaded with the first plot.
 */

import { csv } from "./csv.js";
import { dataTable } from "./data-table.js";
import { fileName, save } from "./download.js";
import { h, mark, put, say } from "./element.js";
import { palette, watchPalette } from "./palette.js";
import { plotly } from "./plotly.js";
import { legend } from "./plot-legend.js";
import { Ranges, numeric } from "./plot-ranges.js";

const CONFIG = {
  displayModeBar: false,
  displaylogo: false,
  showLink: false,
  plotlyServerURL: "",
  showTips: false,
  scrollZoom: false,
  doubleClick: "reset+autosize",
};
/** Of the exported picture: the place of title and legend, and the room of an entry, in CSS pixels. */
const TITLE = { x: 0.01, xanchor: "left", y: 1, yref: "container", yanchor: "top", pad: { t: 12 } };
const LEGEND = { orientation: "h", x: 0, xanchor: "left", y: 1.005, yanchor: "bottom", font: { size: 12 } };
const ENTRY = 205;
let made = 0;

export class Plot {
  /**
   * `title` heads the figure, `name` its files, `what` explains it to a newcomer. `onPoint(x, event)` is called with the
   * place of a click. `controls` are elements that stand above the drawing. `pictureWidth` is that of the exported
   * picture in CSS pixels, of two dots each.
   */
  constructor({ title, name, what, onPoint = null, controls = [], pictureWidth = 1200 }) {
    made += 1;
    const id = `plot-${made}`;
    Object.assign(this, {
      title,
      name,
      pictureWidth,
      onPoint,
      shown: null,
      drawn: false,
      busy: false,
      dirty: false,
      closed: false,
    });
    this.heading = h("h2", { id: `${id}-title` }, title);
    this.summary = h("p", { class: "summary", id: `${id}-summary` });
    this.legend = h("ul", { class: "legend", "aria-label": `Legend of ${title}` });
    this.canvas = h("div", {
      class: "canvas",
      role: "img",
      "aria-labelledby": `${id}-title`,
      "aria-describedby": `${id}-summary`,
    });
    this.message = h("p", { class: "message", role: "status" }, "Loading the plot …");
    this.ranges = new Ranges(this.canvas, () => this.#draw());
    this.tableBody = h("div");
    this.table = h(
      "details",
      { class: "table", on: { toggle: () => this.#fillTable() } },
      h("summary", {}, "Data as a table"),
      this.tableBody,
    );
    const button = (text, click) => h("button", { type: "button", class: "small", on: { click } }, text);
    this.files = h(
      "div",
      { class: "files" },
      button("Picture (PNG)", () => this.picture()),
      button("Data (CSV)", () => this.data()),
    );
    this.element = h(
      "figure",
      { class: "plot", "data-plot": name },
      h("figcaption", {}, this.heading, this.summary),
      controls,
      this.legend,
      this.message,
      this.canvas,
      h("div", { class: "actions" }, this.ranges.element, this.files),
      h(
        "details",
        { class: "what" },
        h("summary", {}, "What is this?"),
        [what].flat().map((text) => h("p", {}, text)),
      ),
      this.table,
    );
    this.colours = null;
    this.unwatch = watchPalette(() => {
      this.colours = null;
      this.#draw();
    });
    this.width = 0;
    this.observer = new ResizeObserver(() => this.#resized());
    this.observer.observe(this.canvas);
    this.visible = () => document.hidden || !this.dirty || this.#draw();
    document.addEventListener("visibilitychange", this.visible);
  }

  /**
   * Show a figure, or its next state. `build(colours, {width, ranges, picture})` gives `{data, layout}`; `summary` is a
   * sentence; `columns` are the table and the CSV; `x` are the places of its rows on the x axis; `legend` lists what
   * is drawn; `key` tells whether it is the same figure, whose zoom is kept; `file` goes into the names of files.
   */
  show(figure) {
    const other = this.shown !== null && this.shown.key !== figure.key;
    this.shown = figure;
    if (other) {
      this.ranges.forget();
      this.#fillTable();
    }
    say(this.summary, figure.summary);
    const items = JSON.stringify(figure.legend ?? []);
    if (items !== this.items) put(this.legend, legend(figure.legend ?? []));
    this.items = items;
    this.#draw();
  }

  close() {
    this.closed = true;
    this.unwatch();
    this.observer.disconnect();
    document.removeEventListener("visibilitychange", this.visible);
    if (this.drawn) globalThis.Plotly?.purge(this.canvas);
  }

  /** Save the picture, with title and legend in it, in the range and the theme that are seen. */
  async picture() {
    const library = await plotly();
    const { data, layout } = this.#figure({ width: this.pictureWidth, picture: true });
    const entries = data.filter((trace) => trace.showlegend).length;
    const rows = Math.ceil(entries / Math.max(1, Math.floor((this.pictureWidth - 100) / ENTRY)));
    const room = 44 + 22 * rows;
    const height = layout.height + room;
    const figure = {
      data,
      layout: {
        ...layout,
        width: this.pictureWidth,
        height,
        margin: { ...layout.margin, t: layout.margin.t + room },
        title: { text: [this.title, this.shown.file].filter(Boolean).join(", "), font: { size: 17 }, ...TITLE },
        showlegend: true,
        legend: { ...LEGEND, entrywidth: ENTRY - 40 },
      },
      config: CONFIG,
    };
    const size = { format: "png", width: this.pictureWidth, height, scale: 2 };
    save(`${fileName(this.name, this.shown.file)}.png`, await library.toImage(figure, size));
  }

  /** Save the data of the range that is seen. */
  data() {
    save(`${fileName(this.name, this.shown.file)}.csv`, csv(this.visibleColumns()), "text/csv;charset=utf-8");
  }

  /** The columns, without the rows that lie outside of the range that is seen. */
  visibleColumns() {
    const { columns, x } = this.shown;
    const range = this.ranges.x();
    if (!range || !x) return columns;
    const rows = x.map(numeric).map((place) => place >= range[0] && place <= range[1]);
    return columns.map((column) => ({ ...column, values: column.values.filter((_, row) => rows[row]) }));
  }

  #figure(more) {
    this.colours ??= palette();
    const figure = this.shown.build(this.colours, {
      width: this.width,
      ranges: this.ranges.seen(),
      picture: false,
      ...more,
    });
    const coarse = matchMedia("(pointer: coarse)").matches;
    figure.layout = {
      dragmode: coarse ? false : "zoom",
      hovermode: "closest",
      uirevision: `${this.shown.key} ${this.ranges.revision}`,
      ...figure.layout,
    };
    figure.data.forEach((trace) => (trace.showlegend ??= false));
    return figure;
  }

  /** Draw what is shown; never two at once, and not while nobody can see it. */
  async #draw() {
    if (this.closed || !this.shown) return;
    this.dirty = true;
    if (this.busy || document.hidden) return;
    this.busy = true;
    try {
      const library = await plotly();
      while (this.dirty && !this.closed && this.canvas.isConnected) {
        this.dirty = false;
        this.width = this.canvas.clientWidth;
        if (!this.width) break;
        const { data, layout } = this.#figure();
        await library.react(this.canvas, data, { ...layout, width: this.width }, CONFIG);
        if (!this.drawn) this.#listen();
      }
      this.message.hidden = true;
    } catch (error) {
      this.message.hidden = false;
      put(
        this.message,
        `${error.message} `,
        h("button", { type: "button", class: "small", on: { click: () => this.#draw() } }, "Try again"),
      );
      if (globalThis.Plotly) throw error;
    } finally {
      this.busy = false;
    }
  }

  #listen() {
    this.drawn = true;
    this.ranges.listen();
    mark(this.canvas, "data-drawn", "true");
    if (!this.onPoint) return;
    this.canvas.on("plotly_click", ({ points }) => points.length && this.onPoint(points[0]));
  }

  #resized() {
    if (Math.abs(this.canvas.clientWidth - this.width) < 1) return;
    requestAnimationFrame(() => this.#draw());
  }

  /** The table stands still while it is read: it is brought up to date when it is opened, or when asked. */
  #fillTable() {
    if (!this.table.open || !this.shown) return;
    const again = h(
      "button",
      { type: "button", class: "small", on: { click: () => this.#fillTable() } },
      "Bring up to date",
    );
    put(this.tableBody, h("p", {}, again), dataTable(this.shown.columns, { caption: `Data of ${this.title}` }));
  }
}
