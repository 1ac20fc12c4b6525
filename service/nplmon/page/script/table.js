/** Table: rows under headings, in a panel with a title and something to say when there are none. */

import { h, put } from "./element.js";

export class Table {
  /** `columns`: `[heading, kind]`, where kind "number" aligns right; `none` is said in place of rows. */
  constructor({ id, title, hint = null, columns, none }) {
    this.columns = columns;
    this.body = h("tbody");
    this.none = h("p", { class: "hint" }, none);
    const heading = ([word, kind]) => h("th", { scope: "col", class: kind ?? null }, word);
    this.scroll = h(
      "div",
      { class: "table-scroll", tabindex: "0", role: "group", "aria-label": `Table: ${title}` },
      h("table", {}, h("thead", {}, h("tr", {}, columns.map(heading))), this.body),
    );
    this.element = h(
      "section",
      { class: "panel", id, "aria-labelledby": `${id}-title` },
      h("h2", { id: `${id}-title` }, title),
      hint && h("p", { class: "hint" }, hint),
      this.scroll,
      this.none,
    );
  }

  /** Show rows, each a list of cells: text, or nodes; the first heads its row. `marks` may be attributes of each row. */
  show(rows, marks = []) {
    this.none.hidden = rows.length > 0;
    this.scroll.hidden = !rows.length;
    put(this.body, rows.map((row, place) => h("tr", marks[place] ?? {}, row.map((cell, column) => this.#cell(cell, column)))));
  }

  #cell(cell, column) {
    const kind = this.columns[column][1] ?? null;
    return column ? h("td", { class: kind }, cell) : h("th", { scope: "row", class: kind }, cell);
  }
}
