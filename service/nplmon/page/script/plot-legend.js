/** Plot legend: what is drawn, in words beside its mark; one legend for all panels of a figure. */

import { h, svg } from "./element.js";

const WIDTH = 28;

/**
 * The items of a legend from `[{mark, colour, text}]`: `mark` is "line", "dash", "dot", "fill", "point", "bar" (a point
 * with its error) or the path of a symbol; `colour` the name of a token, as in "--data".
 */
export function legend(items) {
  return items.map(({ mark, colour, text }) =>
    h(
      "li",
      {},
      svg(
        "svg",
        {
          class: "swatch",
          viewBox: `0 0 ${WIDTH} 14`,
          "aria-hidden": "true",
          focusable: "false",
          style: { color: `var(${colour})` },
        },
        drawing(mark),
      ),
      h("span", {}, text),
    ),
  );
}

function drawing(mark) {
  const line = (dash) =>
    svg("path", {
      d: `M0 7 H${WIDTH}`,
      stroke: "currentcolor",
      "stroke-width": 2.2,
      "stroke-dasharray": dash,
      fill: "none",
    });
  const point = () => svg("circle", { cx: 14, cy: 7, r: 3.4, fill: "currentcolor" });
  if (mark === "line") return [line(null)];
  if (mark === "dash") return [line("7 4")];
  if (mark === "dot") return [line("2 3")];
  if (mark === "fill") return [svg("rect", { x: 2, y: 1, width: WIDTH - 4, height: 12, fill: "currentcolor" })];
  if (mark === "point") return [point()];
  if (mark === "line-point") return [line(null), point()];
  if (mark === "bar") return [svg("path", { d: "M14 0 V14", stroke: "currentcolor", "stroke-width": 1.6 }), point()];
  return [svg("path", { d: mark, fill: "currentcolor", transform: "translate(14 7)" })];
}
