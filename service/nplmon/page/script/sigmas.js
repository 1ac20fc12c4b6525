/** Sigmas: the lines of whole Gaussian standard deviations on an axis of p or Z. */

/** log10 of the one-sided tail probability of z >= 0: series of erfc below 2, continued fraction above (relative 1e-9). */
export function log10Tail(z) {
  const density = -0.5 * z * z - 0.5 * Math.log(2 * Math.PI);
  if (z < 2) {
    let term = z;
    let sum = z;
    for (let n = 1; Math.abs(term) > 1e-17; n += 1) {
      term *= (z * z) / (2 * n + 1);
      sum += term;
    }
    return Math.log10(0.5 - Math.exp(density) * sum);
  }
  let fraction = 0;
  for (let n = 200; n >= 1; n -= 1) fraction = n / (z + fraction);
  return (density - Math.log(z + fraction)) / Math.LN10;
}

/** The one-sided significance of p, in standard deviations; negative above 0.5. */
export function significanceOf(p) {
  if (p > 0.5) return -significanceOf(1 - p);
  const wanted = Math.log10(p);
  let [low, high] = [0, 40];
  for (let step = 0; step < 40; step += 1) {
    const middle = (low + high) / 2;
    if (log10Tail(middle) > wanted) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The lines to draw up to the largest Z, at most five, so that their names do not overlap. */
export function sigmaLines(largest) {
  const step = [1, 2, 5, 10].find((one) => one * 5 >= largest) ?? 10;
  const lines = [];
  for (let z = step; z <= Math.max(3, largest) && lines.length < 5; z += step) lines.push(z);
  return lines;
}
