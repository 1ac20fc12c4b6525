/** Confirm: asks before something that cannot be taken back. */

import { h } from "./element.js";

/**
 * Ask; resolves to true where the action was chosen. Escape and the first button, which has the focus, mean no.
 * `text` may be several paragraphs.
 */
export function confirmed({ title, text, action }) {
  return new Promise((resolve) => {
    let answer = false;
    const choose = (value) => () => {
      answer = value;
      dialog.close();
    };
    const dialog = h(
      "dialog",
      { "aria-labelledby": "confirm-title", class: "confirm" },
      h("h2", { id: "confirm-title" }, title),
      [text].flat().map((one) => h("p", {}, one)),
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", autofocus: true, on: { click: choose(false) } }, "Cancel"),
        h("button", { type: "button", class: "danger", on: { click: choose(true) } }, action),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
