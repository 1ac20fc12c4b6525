/** Pair: two features in cells: data against reference, and the learned ratio; no DOM, no plotting library. */

/** What a map can show. */
export const SHOWN = {
  pull: "pull of data and reference",
  ratio: "data / reference",
  learned: "learned ratio",
};

/**
 * The values of a map in the cells, rows along x as the interface gives them; null where nothing can be said.
 * The pull is (data - reference) / sqrt(reference (1 + exposure)): Poisson fluctuation of the data and, with `exposure`
 * the expected events over those of the reference, of the reference scaled to them.
 */
export function cells(pair, shown, exposure) {
  return pair.data.map((row, i) =>
    row.map((data, j) => {
      const reference = pair.reference[i][j];
      if (shown === "learned") return reference > 0 ? pair.learned[i][j] : null;
      if (!(reference > 0)) return null;
      return shown === "ratio" ? data / reference : (data - reference) / Math.sqrt(reference * (1 + exposure));
    }),
  );
}

/** The cells with events and without any reference: `[[i, j]]`. */
export function unforeseen(pair) {
  const found = [];
  pair.data.forEach((row, i) =>
    row.forEach((data, j) => data > 0 && !(pair.reference[i][j] > 0) && found.push([i, j])),
  );
  return found;
}

/**
 * The scale of the colours, even about what means no difference: `{of, limit, ticks: [[place, text]]}`; `of` turns a
 * value into its place between -limit and limit. Ratios are placed by their logarithm, at most 1/10 to 10.
 */
export function colourScale(values, shown) {
  const all = values.flat().filter((value) => value !== null && Number.isFinite(value));
  if (shown === "pull") {
    const limit = Math.min(10, Math.max(3, Math.ceil(Math.max(0, ...all.map(Math.abs)))));
    const step = limit > 5 ? 5 : limit > 3 ? 2 : 1;
    const ticks = [];
    for (let tick = -Math.floor(limit / step) * step; tick <= limit; tick += step)
      ticks.push([tick, String(tick).replace("-", "−")]);
    return { of: (value) => clip(value, limit), limit, ticks };
  }
  const most = Math.max(1.1, ...all.map((value) => (value > 0 ? Math.max(value, 1 / value) : 1)));
  const limit = Math.log10(Math.min(10, most));
  const steps = [1.02, 1.05, 1.1, 1.2, 1.5, 2, 5, 10].filter((step) => Math.log10(step) <= limit + 1e-9).slice(-2);
  const ticks = [
    ...steps.toReversed().map((step) => [-Math.log10(step), step < 2 ? (1 / step).toFixed(2) : `1/${step}`]),
    [0, "1"],
    ...steps.map((step) => [Math.log10(step), String(step)]),
  ];
  return { of: (value) => (value > 0 ? clip(Math.log10(value), limit) : -limit), limit, ticks };
}

const clip = (value, limit) => Math.max(-limit, Math.min(limit, value));
