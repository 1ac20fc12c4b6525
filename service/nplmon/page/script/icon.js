/** Icon: a state as a shape beside its word, and as the icon of the browser's tab. */

import { h, svg } from "./element.js";
import { STATES } from "./state.js";

/** The shape of a state; hidden from screen readers, for its word stands beside it. */
export function shape(state) {
  return svg(
    "svg",
    { class: "shape", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: STATES[state]?.shape ?? "", "fill-rule": "evenodd" }),
  );
}

/** Shape and word of a state. */
export function badge(state) {
  return h("span", { class: "badge", "data-state": state }, shape(state), STATES[state]?.word ?? state);
}

const COLOURS = {
  alarm: "#e5484d",
  stale: "#9b7bff",
  warning: "#f5b301",
  acknowledged: "#e5484d",
  uncalibrated: "#3b9eff",
  ok: "#30a46c",
  waiting: "#8b98a5",
  closed: "#8b98a5",
  lost: "#9b7bff",
};

/** The address of an icon for the tab: the shape of the state, on dark, so that it is seen on any tab. */
export function favicon(state) {
  const path = STATES[state === "lost" ? "stale" : state]?.shape ?? STATES.waiting.shape;
  const drawing =
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-3 -3 30 30"><rect x="-3" y="-3" width="30" height="30" rx="6" ` +
    `fill="#11171c"/><path d="${path}" fill="${COLOURS[state] ?? COLOURS.waiting}" fill-rule="evenodd"/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(drawing)}`;
}
