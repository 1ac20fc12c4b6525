/**
 * Sign-in: who looks at the page, where the service asks. A token is handed in once and given up for a cookie that no
 * script can read; the page keeps neither.
 */

import { request } from "./api.js";
import { h, mark, put, say } from "./element.js";
import { problemBox } from "./notice.js";

const SESSION = "/v1/session";
let name = "";

/** The name under which the service acts for this browser; "" where it asks nobody. */
export function signedName() {
  return name;
}

/** Stands in the frame; asks for a token when the service asks for one. */
export class SignIn {
  constructor(live) {
    this.who = h("span", { class: "who" });
    this.element = h(
      "span",
      { class: "signed-in", hidden: true },
      this.who,
      h("button", { type: "button", class: "quiet", on: { click: () => this.#signOut() } }, "Sign out"),
    );
    this.input = h("input", {
      id: "sign-in-token",
      name: "token",
      type: "password",
      autocomplete: "off",
      spellcheck: "false",
      required: true,
      maxlength: 10_000,
    });
    this.told = h("div", { role: "status" });
    this.button = h("button", { type: "submit", class: "primary" }, "Sign in");
    this.dialog = h(
      "dialog",
      {
        class: "sign-in",
        "aria-labelledby": "sign-in-title",
        // Without a token there is nothing behind it to go back to.
        on: { cancel: (event) => event.preventDefault() },
      },
      h("h2", { id: "sign-in-title" }, "Sign in"),
      h("p", { class: "hint" }, "This service asks who looks. An admin makes a token: nplmon token create NAME --scope read."),
      h(
        "form",
        { class: "form", novalidate: true, on: { submit: (event) => this.#submit(event) } },
        h("p", { class: "field" }, h("label", { for: "sign-in-token" }, "Token"), this.input),
        h("div", { class: "actions" }, this.button),
      ),
      this.told,
    );
    document.body.append(this.dialog);
    document.addEventListener("signed-out", () => this.#ask());
    // A stream that was refused only says that it broke; whether the session is over, only an answer tells.
    live.addEventListener("state", ({ detail }) => detail !== "live" && name && this.look());
    this.look();
  }

  /** Ask the service who looks. */
  async look() {
    try {
      this.#known(await request("GET", SESSION));
    } catch {
      // Not signed in: the answer has said so to whoever listens. Out of reach: the frame tells.
    }
  }

  #known({ access, name: told, scopes, monitor }) {
    const asked = access === "tokens";
    name = asked ? told : "";
    this.element.hidden = !asked;
    say(this.who, told);
    const reach = monitor ? `, for the monitor ${monitor} alone` : "";
    mark(this.who, "title", asked ? `Signed in as ${told}; may ${scopes.join(", ")}${reach}` : null);
    if (!asked) return;
    for (const input of document.querySelectorAll('input[name="who"]')) Object.assign(input, { value: name, readOnly: true });
  }

  #ask() {
    if (this.dialog.open) return;
    put(this.told, name && h("p", {}, "Your session has ended."));
    this.dialog.showModal();
    this.input.focus();
  }

  async #submit(event) {
    event.preventDefault();
    const token = this.input.value.trim();
    if (!token) {
      this.input.focus();
      return;
    }
    this.button.disabled = true;
    put(this.told);
    try {
      await request("POST", SESSION, { token });
      this.input.value = "";
      // What was refused before is asked for again, all of it.
      location.reload();
    } catch (problem) {
      put(this.told, problemBox(problem));
      this.input.select();
    } finally {
      this.button.disabled = false;
    }
  }

  async #signOut() {
    try {
      await request("DELETE", SESSION);
    } catch (problem) {
      if (problem.status !== 401) return;
    }
    location.reload();
  }
}
