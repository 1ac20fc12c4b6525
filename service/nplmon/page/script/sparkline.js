/**
 * Sparkline: the course of the statistic in a tile, drawn by plotly.
 *
 * One takes about 3 ms to draw, so that fifty at once would be felt: only those on the screen are drawn, one after the
 * other while the browser has nothing else to do, and each at most once a second.
 */

import { h, mark } from "./element.js";
import { statistic } from "./format.js";
import { plotly } from "./plotly.js";

const APART = 1000;
const waiting = new Set();
let working = false;

const idle = (act) => (globalThis.requestIdleCallback ? requestIdleCallback(act, { timeout: 250 }) : setTimeout(act, 30));

async function work() {
  if (working) return;
  working = true;
  try {
    const library = await plotly();
    while (waiting.size) {
      const now = performance.now();
      const next = [...waiting].find((one) => now - one.drawnAt >= APART);
      if (next) {
        waiting.delete(next);
        await new Promise((resolve) => idle(resolve));
        if (next.visible) next.draw(library);
      } else {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  } catch {
    // Without the library a tile has its numbers; the next change tries again.
  } finally {
    working = false;
  }
}

const seen = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      target.sparkline.visible = isIntersecting;
      if (isIntersecting) target.sparkline.ask();
    }
  },
  { rootMargin: "200px" },
);

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) target.sparkline.ask();
});

export class Sparkline {
  constructor() {
    this.element = h("div", { class: "sparkline", role: "img", "aria-label": "No course yet" });
    this.element.sparkline = this;
    this.visible = false;
    this.drawnAt = -APART;
    this.data = null;
    seen.observe(this.element);
    resized.observe(this.element);
    this.themed = () => this.ask();
    document.addEventListener("theme", this.themed);
  }

  /** Show a course: `{sequence, value, threshold}`, columns of equal length. */
  update(data, threshold) {
    this.data = data;
    mark(this.element, "data-empty", data.value.length < 2);
    mark(this.element, "aria-label", words(data, threshold));
    this.ask();
  }

  ask() {
    if (!this.visible || !this.data || this.data.value.length < 2) return;
    waiting.add(this);
    work();
  }

  draw(library) {
    const { sequence, value, threshold } = this.data;
    const { width, height } = this.element.getBoundingClientRect();
    this.drawnAt = performance.now();
    if (width < 10 || height < 10) return;
    const style = getComputedStyle(this.element);
    const colour = (name) => style.getPropertyValue(name).trim();
    const unit = Math.min(2.5, Math.max(1, Number.parseFloat(style.fontSize) / 16));
    const shared = { x: sequence, mode: "lines", hoverinfo: "skip" };
    const last = value.findLastIndex((one) => one !== null);
    const heights = [...value, ...threshold].filter((one) => one !== null);
    const [low, high] = [Math.min(...heights), Math.max(...heights)];
    const margin = 0.04 * (high - low || 1);
    library.react(
      this.element,
      [
        { ...shared, y: threshold, line: { color: colour("--ink"), width: unit, dash: `${3 * unit}px,${3 * unit}px` }, opacity: 0.75 },
        { ...shared, y: value, line: { color: colour("--tint") || colour("--ink"), width: 2 * unit } },
        { x: [sequence[last]], y: [value[last]], mode: "markers", marker: { color: colour("--ink"), size: 6 * unit }, cliponaxis: false, hoverinfo: "skip" },
      ],
      {
        width: Math.round(width),
        height: Math.round(height),
        margin: { l: 0, r: 4 * unit, t: 4 * unit, b: 4 * unit },
        xaxis: { visible: false, range: [sequence[0], sequence.at(-1)] },
        yaxis: { visible: false, range: [low - margin, high + margin] },
        showlegend: false,
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
      },
      { staticPlot: true, responsive: false, displayModeBar: false },
    );
  }

  close() {
    waiting.delete(this);
    seen.unobserve(this.element);
    resized.unobserve(this.element);
    document.removeEventListener("theme", this.themed);
    if (this.element.childElementCount) globalThis.Plotly?.purge(this.element);
  }
}

function words({ sequence, value }, threshold) {
  const known = value.filter((one) => one !== null);
  if (known.length < 2) return "No course yet";
  const range = `from ${statistic(Math.min(...known))} to ${statistic(Math.max(...known))}`;
  const against = threshold === null ? "no threshold" : `threshold ${statistic(threshold)}`;
  return `Course over chunks ${sequence[0]} to ${sequence.at(-1)}: ${range}, now ${statistic(known.at(-1))}, ${against}`;
}
