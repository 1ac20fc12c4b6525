/** Form: a few labelled fields and one action, which says what it did or why not. */

import { h, put } from "./element.js";
import { problemBox } from "./notice.js";
import { signedName } from "./sign-in.js";

const KEPT = "nplmon.who";
let made = 0;

/** The field for one's name; it is remembered in this browser. */
export function who() {
  return { name: "who", label: "Your name", required: true, limit: 100, kept: true };
}

function remembered() {
  try {
    return localStorage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}

export class Form {
  /**
   * `fields`: `{name, label, required, limit, rows, options: [[value, word]], kept}`; `send(values)` does it and gives
   * what to say, or throws a Problem.
   */
  constructor({ title, hint = "", fields, action, primary = false, send }) {
    this.fields = fields;
    this.send = send;
    made += 1;
    this.button = h("button", { type: "submit", class: primary ? "primary" : null }, action);
    this.told = h("div", { role: "status", class: "told" });
    const id = `form-${made}`;
    this.element = h(
      "form",
      { class: "form", novalidate: true, "aria-labelledby": id, on: { submit: (event) => this.#submit(event) } },
      h("h3", { id }, title),
      hint && h("p", { class: "hint" }, hint),
      fields.map((field) => this.#field(field, `${id}-${field.name}`)),
      h("div", { class: "actions" }, this.button),
      this.told,
    );
  }

  #field(field, id) {
    const { name, label, required, limit, rows, options, kept } = field;
    const shared = { id, name, required, maxlength: limit, autocomplete: "off", "aria-describedby": `${id}-error` };
    field.input = options
      ? h("select", shared, options.map(([value, word]) => h("option", { value }, word)))
      : h(rows ? "textarea" : "input", { ...shared, rows });
    if (kept) field.input.value = signedName() || remembered();
    if (kept && signedName()) field.input.readOnly = true;
    field.error = h("span", { class: "error", id: `${id}-error` });
    return h("p", { class: "field" }, h("label", { for: id }, label), field.input, field.error);
  }

  async #submit(event) {
    event.preventDefault();
    put(this.told);
    let first = null;
    for (const { input, label, required, error } of this.fields) {
      const missing = required && !input.value.trim();
      error.textContent = missing ? `${label} is needed.` : "";
      input.setAttribute("aria-invalid", String(Boolean(missing)));
      if (missing) first ??= input;
    }
    if (first) {
      first.focus();
      return;
    }
    const values = Object.fromEntries(this.fields.map(({ name, input }) => [name, input.value.trim()]));
    this.button.disabled = true;
    try {
      const told = await this.send(values);
      this.#done(values);
      put(this.told, told);
    } catch (problem) {
      put(this.told, problemBox(problem));
    } finally {
      this.button.disabled = false;
    }
  }

  #done(values) {
    for (const { name, kept, options, input } of this.fields) {
      if (!kept && !options) input.value = "";
      if (!kept) continue;
      for (const other of document.querySelectorAll(`input[name="${name}"]`)) other.value ||= values[name];
      try {
        localStorage.setItem(KEPT, values[name]);
      } catch {
        // Storage is forbidden: the name is asked for again.
      }
    }
  }
}
