/** Choice: a labelled list to choose one of. */

import { h, put } from "./element.js";

let made = 0;

export class Choice {
  /** `chosen(value)` is called when somebody chooses; `options` are pairs of value and text. */
  constructor(label, chosen, options = []) {
    made += 1;
    const id = `choice-${made}`;
    this.select = h("select", { id, on: { change: () => chosen(this.select.value) } });
    this.element = h("div", { class: "choice" }, h("label", { for: id }, label), this.select);
    this.told = "";
    if (options.length) this.show(options, options[0][0]);
  }

  /** Offer these options; the list is left alone where it stays the same, for it may be open. */
  show(options, value) {
    const told = JSON.stringify(options);
    if (told !== this.told) {
      put(
        this.select,
        options.map(([one, text]) => h("option", { value: one }, text)),
      );
      this.told = told;
    }
    if (this.select.value !== value) this.select.value = value;
  }

  get value() {
    return this.select.value;
  }

  set value(value) {
    this.select.value = value;
  }
}
