/** Ticks: where a logarithmic axis is labelled, in plain text; plotly's own powers need styles that the policy refuses. */

const STEPS = [1, 2, 3, 5, 10, 20, 50, 100];
const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** A power of ten: 10⁻⁵; 0.1, 1 and 10 as they are. */
export function power(exponent) {
  if (exponent >= -1 && exponent <= 1) return String(10 ** exponent);
  return `10${[...String(exponent)].map((sign) => RAISED[sign]).join("")}`;
}

/**
 * Ticks between two positive values: `{tickvals, ticktext, minor}`, whole decades, at most `most` of them, and single
 * values where there are less than two decades; `minor` are ticks without text between them, where they have room.
 */
export function logTicks(low, high, most = 6) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  if (last - first < 1) return within(low, high);
  const step = STEPS.find((one) => (last - first + 1) / one <= most) ?? 200;
  const exponents = [];
  for (let exponent = Math.ceil(first / step) * step; exponent <= last; exponent += step) exponents.push(exponent);
  return {
    tickvals: exponents.map((exponent) => 10 ** exponent),
    ticktext: exponents.map(power),
    minor: between(low, high, first, last),
  };
}

/** 2 to 9 of each decade; the decades themselves where there are many; nothing where there are more. */
function between(low, high, first, last) {
  const digits = last - first < 8 ? [1, 2, 3, 4, 5, 6, 7, 8, 9] : last - first < 40 ? [1] : [];
  const values = [];
  for (let exponent = first - 1; exponent <= last && digits.length; exponent += 1) {
    for (const digit of digits) values.push(digit * 10 ** exponent);
  }
  return { tickvals: values.filter((value) => value >= low && value <= high) };
}

function within(low, high) {
  const values = [];
  for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.ceil(Math.log10(high)); exponent += 1) {
    for (const digit of [1, 2, 3, 5, 7]) {
      const value = digit * 10 ** exponent;
      if (value >= low && value <= high) values.push(Number(value.toPrecision(3)));
    }
  }
  const text = (value) => (value < 1e-4 || value >= 1e6 ? value.toExponential(0) : String(value));
  return { tickvals: values, ticktext: values.map(text), minor: { tickvals: [] } };
}
