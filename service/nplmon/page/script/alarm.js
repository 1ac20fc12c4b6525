/** Alarm: to come. */

import { h, put } from "./element.js";

export function view(root) {
  put(root, h("p", { class: "empty" }, "To come."));
  return { close() {} };
}
