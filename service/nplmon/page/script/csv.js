/** Csv: columns as a file that spreadsheets and pandas read (RFC 4180). */

/**
 * Columns `[{name, unit, values}]` as text; the unit stands in the head as in "pt1 [GeV]". Numbers are written in full,
 * what is not there is left empty.
 */
export function csv(columns) {
  const length = Math.max(0, ...columns.map((column) => column.values.length));
  const lines = [columns.map((column) => cell(headed(column))).join(",")];
  for (let row = 0; row < length; row += 1) {
    lines.push(columns.map((column) => cell(column.values[row])).join(","));
  }
  return `${lines.join("\n")}\n`;
}

/** The head of a column. */
export function headed({ name, unit }) {
  return unit ? `${name} [${unit}]` : name;
}

function cell(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  const text = String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
