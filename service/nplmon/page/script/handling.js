/** Handling: what to do, the monitor's own runbook, and whom to call. */

import { of } from "./api.js";
import { h, put } from "./element.js";
import { commands } from "./empty.js";
import { problemBox } from "./notice.js";

export class Handling {
  constructor({ api, monitor }) {
    Object.assign(this, { api, monitor });
    this.contact = h("div", { class: "contact" });
    this.text = h("div", { class: "runbook" }, "Loading …");
    this.element = h(
      "section",
      { class: "panel", "aria-labelledby": "handling-title" },
      h("h2", { id: "handling-title" }, "What to do"),
      this.contact,
      this.text,
    );
  }

  async load() {
    try {
      const { html, contact } = await this.api.get(of(this.monitor, "runbook"));
      put(this.contact, contact ? [h("h3", {}, "Call"), h("p", {}, contact)] : null);
      put(this.text, html.trim() ? runbook(html) : this.#nothing());
    } catch (problem) {
      put(this.text, problemBox(problem));
    }
  }

  #nothing() {
    return [
      h("p", {}, "This monitor has no runbook yet. Write one, in markdown, while nothing is on fire:"),
      commands([`nplmon monitor change ${this.monitor} --runbook runbook.md --contact 'Name, telephone'`]),
    ];
  }
}

/** The runbook as the service rendered it, which lets no markup of its author through; headings come below ours. */
function runbook(html) {
  const told = new DOMParser().parseFromString(html, "text/html").body;
  for (const heading of told.querySelectorAll("h1, h2, h3, h4")) {
    const level = Math.min(6, Number(heading.tagName[1]) + 2);
    heading.replaceWith(h(`h${level}`, {}, [...heading.childNodes]));
  }
  for (const link of told.querySelectorAll("a[href]")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  return [...told.childNodes].map((node) => document.adoptNode(node));
}
