/** Ranking: the features in the order of what they add to the difference. */

import { h, put } from "./element.js";
import { number, statistic } from "./format.js";

/** Fill `root` with the table of features; `chosen` is a name or "all"; `choose(name)` is called for another one. */
export function ranking(root, features, chosen, choose) {
  const ordered = [...features].sort((one, other) => one.rank - other.rank);
  const head = (text, title) => h("th", { scope: "col", title, class: text === "Feature" ? null : "number" }, text);
  put(
    root,
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table: features in order" },
      h(
        "table",
        { class: "data ranking" },
        h("caption", { class: "unseen" }, "Features in the order of what they add to the difference"),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            head("Rank"),
            head("Feature"),
            head("Contribution [2 ln L ratio]"),
            head("Noise alone"),
            head("Above noise [sd]"),
            head("Shift of the mean [sd]"),
            head("95 % interval"),
          ),
        ),
        h(
          "tbody",
          {},
          ordered.map((feature) => row(feature, feature.name === chosen, choose)),
        ),
      ),
    ),
  );
}

/** By how many of its standard deviations a contribution exceeds what noise makes of it; null where it overflows. */
export function aboveNoise({ contribution, contribution_null_mean: mean, contribution_null_deviation: deviation }) {
  return contribution === null || !(deviation > 0) ? null : (contribution - mean) / deviation;
}

function row(feature, isChosen, choose) {
  const above = aboveNoise(feature);
  const name = feature.unit ? `${feature.name} [${feature.unit}]` : feature.name;
  const interval = feature.shift_low === null ? "–" : `${signed(feature.shift_low)} to ${signed(feature.shift_high)}`;
  const cell = (text) => h("td", { class: "number" }, text);
  return h(
    "tr",
    { class: isChosen ? "chosen" : null },
    cell(feature.rank),
    h(
      "th",
      { scope: "row" },
      h(
        "button",
        { type: "button", class: "link", "aria-pressed": String(isChosen), on: { click: () => choose(feature.name) } },
        name,
      ),
    ),
    cell(statistic(feature.contribution)),
    cell(`${statistic(feature.contribution_null_mean)} ± ${statistic(feature.contribution_null_deviation)}`),
    cell(above === null ? "overflows" : signed(above, 3)),
    cell(
      feature.shift_error === null
        ? signed(feature.shift)
        : `${signed(feature.shift)} ± ${number(feature.shift_error, 2)}`,
    ),
    cell(interval),
  );
}

/** A number with its sign. */
export function signed(value, digits = 3) {
  return value > 0 ? `+${number(value, digits)}` : number(value, digits);
}
