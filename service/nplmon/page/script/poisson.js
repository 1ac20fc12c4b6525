/** Poisson: the errors of counted events. */

/** Probability of the central interval, that of one standard deviation of a Gaussian. */
export const ONE_SIGMA = 0.682689492137086;
const TAIL = (1 - ONE_SIGMA) / 2;
/** Counts above which Wilson and Hilferty's quantile is used; it is off by less than 4e-6 of sqrt(N) there. */
const LARGE = 5_000;

/**
 * The central 68.27 % interval [low, high] of the mean of a Poisson count (Garwood 1936): low from
 * P(N >= n | low) = 15.87 %, high from P(N <= n | high) = 15.87 %; low is 0 for n = 0. For large n it is n -+ sqrt(n).
 */
export function interval(n) {
  return [n > 0 ? gammaQuantile(n, -1) : 0, gammaQuantile(n + 1, 1)];
}

/** The lengths [down, up] of the error bars of a count. */
export function errors(n) {
  const [low, high] = interval(n);
  return [n - low, high - n];
}

/** x with P(a, x) = 15.87 % (side -1) or 84.13 % (side 1), P the lower incomplete gamma function, a >= 1. */
function gammaQuantile(a, side) {
  const p = side < 0 ? TAIL : 1 - TAIL;
  // Wilson and Hilferty (1931): the cube root of a gamma variable is nearly Gaussian.
  let x = a * Math.max(1e-3, 1 - 1 / (9 * a) + side / (3 * Math.sqrt(a))) ** 3;
  if (a > LARGE) return x;
  for (let step = 0; step < 50; step += 1) {
    const density = Math.exp((a - 1) * Math.log(x) - x - logGamma(a));
    const move = (lowerGamma(a, x) - p) / density;
    // Never beyond half the way to 0: Newton's step is too long where the density is small.
    const next = Math.max(x / 2, x - move);
    if (Math.abs(next - x) <= 1e-12 * x) return next;
    x = next;
  }
  return x;
}

/** P(a, x), regularised, by its series below a + 1 and by the continued fraction of 1 - P above. */
function lowerGamma(a, x) {
  if (x <= 0) return 0;
  const front = Math.exp(a * Math.log(x) - x - logGamma(a));
  if (x < a + 1) {
    let term = 1 / a;
    let sum = term;
    for (let n = 1; n < 10_000 && term > sum * 1e-16; n += 1) {
      term *= x / (a + n);
      sum += term;
    }
    return front * sum;
  }
  // Lentz's algorithm.
  let b = x + 1 - a;
  let c = 1e300;
  let d = 1 / b;
  let fraction = d;
  for (let n = 1; n < 10_000; n += 1) {
    const numerator = -n * (n - a);
    b += 2;
    d = 1 / (numerator * d + b);
    c = b + numerator / c;
    fraction *= c * d;
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  return 1 - front * fraction;
}

/** log Gamma(a), a >= 1, by Stirling's series after shifting a above 10. */
function logGamma(a) {
  let shift = 0;
  let z = a;
  while (z < 10) {
    shift -= Math.log(z);
    z += 1;
  }
  const r = 1 / (z * z);
  const series = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r / 1680))) / z;
  return shift + (z - 0.5) * Math.log(z) - z + 0.5 * Math.log(2 * Math.PI) + series;
}
