/** Shortcuts: keys that work in every view, and the list of them. */

import { h } from "./element.js";

const KEYS = [
  ["?", "show this list"],
  ["o", "overview"],
  ["s", "system"],
  ["← → ↑ ↓", "move between tiles"],
  ["Enter", "open what is marked"],
  ["a", "alarm of the monitor that is marked or shown"],
  ["Esc", "close this list or a dialog"],
];

/** Listens to keys; `show` opens the list. */
export class Shortcuts {
  constructor(router) {
    this.router = router;
    const rows = KEYS.map(([key, what]) => h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, key)), h("td", {}, what)));
    this.dialog = h(
      "dialog",
      { class: "shortcuts", "aria-labelledby": "shortcuts-title" },
      h("h2", { id: "shortcuts-title" }, "Shortcuts"),
      h("table", {}, h("tbody", {}, rows)),
      h("button", { type: "button", on: { click: () => this.dialog.close() } }, "Close"),
    );
    document.body.append(this.dialog);
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  show() {
    if (!this.dialog.open) this.dialog.showModal();
  }

  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest?.("input, textarea, select, dialog, [contenteditable]")) return;
    const monitor =
      document.activeElement?.closest?.("[data-monitor]")?.dataset.monitor ??
      /^\/monitors\/([^/]+)/.exec(location.pathname)?.[1];
    if (event.key === "?") this.show();
    else if (event.key === "o") this.router.navigate("/");
    else if (event.key === "s") this.router.navigate("/system");
    else if (event.key === "a" && monitor) this.router.navigate(`/monitors/${monitor}/alarm`);
    else return;
    event.preventDefault();
  }
}
