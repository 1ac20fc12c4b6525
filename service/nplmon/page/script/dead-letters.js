/** Dead letters: chunks that were given up, to be replayed or deleted. */

import { of } from "./api.js";
import { confirmed } from "./confirm.js";
import { h, put } from "./element.js";
import { count, moment } from "./format.js";
import { problemBox } from "./notice.js";
import { href } from "./router.js";
import { Table } from "./table.js";

export class DeadLetters {
  /** `changed()` is called after a chunk was replayed or deleted. */
  constructor({ api, live, changed }) {
    Object.assign(this, { api, live, changed, shown: "" });
    this.told = h("div", { role: "status" });
    this.table = new Table({
      id: "dead",
      title: "Dead letters",
      hint: "Chunks that were given up after several tries. They are kept, and nothing waits for them; what is in them is in no statistic.",
      columns: [["Chunk"], ["Monitor, run"], ["Events", "number"], ["Why"], ["Given up"], ["Do"]],
      none: "No chunk was given up.",
    });
    this.table.element.append(this.told);
    this.element = this.table.element;
  }

  show({ dead }) {
    // Rows with buttons are left alone while nothing changes, so that nobody loses the focus.
    const shown = JSON.stringify(dead);
    if (shown === this.shown) return;
    this.shown = shown;
    const now = this.live.now();
    this.table.show(
      dead.map((letter) => {
        const { monitor, receipt, reason, deliveries, error, died_at: died } = letter;
        const why = reason === "crash" ? `its worker died ${deliveries} times` : `failed ${deliveries} times`;
        const button = (word, act, name) =>
          h("button", { type: "button", class: name, "aria-label": `${word} ${receipt.chunk} of ${monitor}`, on: { click: act } }, word);
        return [
          receipt.chunk,
          h("a", { href: href(`/monitors/${monitor}`, { run: receipt.run }) }, `${monitor}, ${receipt.run}`),
          count(receipt.events),
          [h("strong", {}, why), error && h("div", { class: "error" }, error)],
          moment(died, now),
          h("span", { class: "do" }, button("Replay …", () => this.#replay(letter)), button("Delete …", () => this.#remove(letter), "danger")),
        ];
      }),
    );
  }

  async #replay({ monitor, receipt: { run, chunk } }) {
    const text = "It goes to the end of the queue with a new place in its run, and is fitted again.";
    if (!(await confirmed({ title: `Replay ${chunk}?`, text, action: "Replay" }))) return;
    await this.#do(() => this.api.post(`${of(monitor, "runs", run, "chunks", chunk)}/replay`), `Replayed ${chunk}.`);
  }

  async #remove({ monitor, receipt: { run, chunk, events } }) {
    const text = [
      `Its ${count(events)} events are lost for good; the journal keeps that it was deleted.`,
      "The statistic does not change: it never had them.",
    ];
    if (!(await confirmed({ title: `Delete ${chunk}?`, text, action: "Delete for good" }))) return;
    await this.#do(() => this.api.remove(of(monitor, "runs", run, "chunks", chunk)), `Deleted ${chunk}.`);
  }

  async #do(act, done) {
    try {
      await act();
      put(this.told, done);
    } catch (problem) {
      put(this.told, problemBox(problem));
    }
    this.changed();
  }
}
