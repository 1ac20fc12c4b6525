/** Palette: the colours and the type of plots, read from the style sheets, and told when they change. */

import { logTicks } from "./ticks.js";

const COLOURS = {
  ink: "--ink",
  muted: "--muted",
  surface: "--surface",
  line: "--edge",
  grid: "--grid",
  data: "--data",
  reference: "--reference",
  learned: "--learned",
  band68: "--band-68",
  band95: "--band-95",
  band997: "--band-997",
  median: "--reference",
  alarm: "--alarm-tint",
  warning: "--warning-tint",
  stale: "--stale-tint",
  acknowledged: "--acknowledged-tint",
  ok: "--ok-tint",
  sum: "--plot-sum",
  halted: "--plot-halted",
  low: "--map-low",
  middle: "--map-middle",
  high: "--map-high",
};

/** Read the colours as they are now, as `rgb(...)`, and the font. */
export function palette() {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const found = { font: getComputedStyle(document.body).fontFamily };
  for (const [name, token] of Object.entries(COLOURS)) {
    probe.style.color = `var(${token})`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}

/** The colour with an opacity: `faint("rgb(1, 2, 3)", 0.5)` is "rgba(1, 2, 3, 0.5)". */
export function faint(colour, opacity) {
  return colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${opacity})`);
}

/** Call `act` whenever light and dark change, by the system or by the page; gives what ends it. */
export function watchPalette(act) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(act);
  observer.observe(document.documentElement, {
    attributes: true,
    attributeFilter: ["data-theme", "data-kiosk", "class"],
  });
  system.addEventListener("change", act);
  return () => {
    observer.disconnect();
    system.removeEventListener("change", act);
  };
}

/** An axis as in print: a closed frame, ticks inside on all sides. */
export function axis(colours, more = {}) {
  return {
    showline: true,
    linewidth: 1,
    linecolor: colours.line,
    mirror: "ticks",
    ticks: "inside",
    ticklen: 6,
    tickwidth: 1,
    tickcolor: colours.line,
    minor: { ticks: "inside", ticklen: 3, tickcolor: colours.line },
    showgrid: false,
    zeroline: false,
    tickfont: { size: 12 },
    automargin: false,
    ...more,
  };
}

/** What makes an axis logarithmic, with ticks between two values, at most `most` of them with text. */
export function logAxis(colours, [low, high], most = 6) {
  const { tickvals, ticktext, minor } = logTicks(low, high, most);
  const small = { ticks: "inside", ticklen: 3, tickcolor: colours.line, tickmode: "array", ...minor };
  return { type: "log", tickmode: "array", tickvals, ticktext, minor: small };
}

/** What all plots have in common. */
export function frame(colours, more = {}) {
  return {
    paper_bgcolor: colours.surface,
    plot_bgcolor: colours.surface,
    font: { family: colours.font, size: 13, color: colours.ink },
    hoverlabel: {
      bgcolor: colours.surface,
      bordercolor: colours.line,
      font: { family: colours.font, size: 13, color: colours.ink },
      align: "left",
    },
    showlegend: false,
    separators: ".,",
    ...more,
  };
}
