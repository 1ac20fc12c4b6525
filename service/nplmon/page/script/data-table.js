/** Data table: columns as a table that can be sorted, by hand or by keyboard. */

import { h, put } from "./element.js";
import { headed } from "./csv.js";

/**
 * Make a table of columns `[{name, unit, values, show}]`; `show` turns a value into text or a node. `caption` names it
 * for screen readers. With `sortable`, the heads are buttons.
 */
export function dataTable(columns, { caption, sortable = false, rowHead = 0 } = {}) {
  const body = h("tbody");
  const heads = columns.map((column, index) => {
    const head = h("th", { scope: "col", class: numeric(column) ? "number" : null });
    if (sortable)
      head.append(h("button", { type: "button", class: "sort", on: { click: () => sort(index) } }, headed(column)));
    else head.append(headed(column));
    return head;
  });
  let order = columns[0].values.map((_, row) => row);
  let sorted = null;

  function sort(index) {
    const descending = sorted?.index === index ? !sorted.descending : numeric(columns[index]);
    sorted = { index, descending };
    order = sortedRows(columns[index].values, descending);
    heads.forEach((head, place) => {
      if (place === index) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    fill();
  }

  function fill() {
    put(
      body,
      order.map((row) =>
        h(
          "tr",
          {},
          columns.map((column, index) => cell(column, row, index === rowHead)),
        ),
      ),
    );
  }

  fill();
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table: ${caption}` },
    h("table", { class: "data" }, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, heads)), body),
  );
}

/** The order of rows by a column; what is missing comes last, equal values keep their order. */
export function sortedRows(values, descending) {
  const missing = (value) => value === null || value === undefined || Number.isNaN(value);
  const sign = descending ? -1 : 1;
  return values
    .map((_, row) => row)
    .sort((one, other) => {
      const [a, b] = [values[one], values[other]];
      if (missing(a) || missing(b)) return Number(missing(a)) - Number(missing(b));
      return a < b ? -sign : Number(a > b) * sign;
    });
}

function cell(column, row, isHead) {
  const value = column.values[row];
  const shown = column.show ? column.show(value, row) : plain(value);
  return isHead
    ? h("th", { scope: "row", class: numeric(column) ? "number" : null }, shown)
    : h("td", { class: numeric(column) ? "number" : null }, shown);
}

function plain(value) {
  if (value === null || value === undefined) return "–";
  return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(5))) : String(value);
}

function numeric(column) {
  return column.values.some((value) => typeof value === "number");
}
