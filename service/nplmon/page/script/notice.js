/** Notice: a refusal told with its remedy. */

import { h } from "./element.js";

export function problemBox(problem) {
  const { title, detail, remedy } = problem;
  return h(
    "div",
    { class: "problem", role: "alert" },
    h("strong", {}, title ?? "Something went wrong"),
    h("p", {}, detail || problem.message || ""),
    remedy && h("p", {}, remedy),
  );
}
