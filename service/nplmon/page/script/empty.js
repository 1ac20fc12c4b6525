/** Empty: what to do next where there is nothing to show yet. */

import { h } from "./element.js";

/** Commands that can be copied; the address is that of this service. */
export function commands(lines) {
  const text = [`export NPLMON_URL=${location.origin}`, ...lines].join("\n");
  const copied = h("span", { role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      copied.textContent = "copied";
    } catch {
      copied.textContent = "Select the lines and copy them.";
    }
  };
  return h(
    "div",
    { class: "commands" },
    h("pre", { tabindex: "0", role: "region", "aria-label": "Commands" }, h("code", {}, text)),
    h("p", {}, h("button", { type: "button", on: { click: copy } }, "Copy"), " ", copied),
  );
}

/** No monitor yet: a reference, a monitor, chunks. */
export function noMonitors() {
  return [
    h("h2", {}, "No monitor yet"),
    h(
      "p",
      {},
      "A monitor compares a stream of events with a reference sample. These commands add one of simulated muon pairs ",
      "and send it chunks; its tile appears here by itself.",
    ),
    commands([
      "nplmon simulate dimuon-quiet --reference-events 50000 --output reference.npz",
      "nplmon reference add dimuon reference.npz --units GeV,GeV,,,rad",
      "nplmon monitor create dimuon --reference dimuon --centres 200",
      "nplmon simulate dimuon-quiet --monitor dimuon --run night-1 --chunks 60 --rate 1",
    ]),
  ];
}
