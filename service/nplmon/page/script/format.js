/** Format: numbers with their units, probabilities with their resolution, times in local and UTC. */

const NOTHING = "–";
const MINUS = "−";
const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const COUNT = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

const two = (value) => String(value).padStart(2, "0");
const missing = (value) => value === null || value === undefined || !Number.isFinite(value);

/** A count: 40,000. */
export function count(value) {
  return missing(value) ? NOTHING : COUNT.format(value).replace("-", MINUS);
}

/** A count in three digits where it is long: 40,000, 1.43 M. */
export function compact(value) {
  if (missing(value) || Math.abs(value) < 100_000) return count(value);
  const [size, unit] = Math.abs(value) < 999_500 ? [1e3, "k"] : Math.abs(value) < 999_500_000 ? [1e6, "M"] : [1e9, "G"];
  return `${number(value / size, 3)} ${unit}`;
}

/** A count with its noun: "1 chunk", "40,000 events". */
export function counted(value, noun, plural = `${noun}s`) {
  return `${count(value)} ${value === 1 ? noun : plural}`;
}

/** A number with `digits` significant ones, without an exponent between 1e-4 and 1e6. */
export function number(value, digits = 3) {
  if (missing(value)) return NOTHING;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e6) return power(value, Math.min(digits, 3));
  const whole = Math.floor(Math.log10(size)) + 1;
  const places = Math.max(0, Math.min(6, digits - whole));
  return new Intl.NumberFormat("en", { minimumFractionDigits: 0, maximumFractionDigits: places })
    .format(value)
    .replace("-", MINUS);
}

/** A statistic: one decimal, so that its digits stand still; two below 10. */
export function statistic(value) {
  if (missing(value)) return NOTHING;
  if (Math.abs(value) >= 1e6) return power(value, 4);
  const places = Math.abs(value) < 10 ? 2 : 1;
  return new Intl.NumberFormat("en", { minimumFractionDigits: places, maximumFractionDigits: places })
    .format(value)
    .replace("-", MINUS);
}

/** A number as 3.1 × 10⁻⁶. */
export function power(value, digits = 2) {
  if (missing(value)) return NOTHING;
  const [mantissa, exponent] = value.toExponential(Math.max(0, digits - 1)).split("e");
  const raised = [...String(Number(exponent))].map((sign) => SUPERSCRIPT[sign]).join("");
  return `${mantissa.replace("-", MINUS)} × 10${raised}`;
}

/** A p-value, "p = 0.031"; below what its calibration resolves it is an upper bound: "p ≤ 1.0 × 10⁻⁴". */
export function probability(p, resolution = null) {
  if (missing(p)) return "no p";
  const bounded = !missing(resolution) && p <= resolution;
  return `p ${bounded ? "≤" : "="} ${p >= 0.001 ? number(p, 2) : power(p, 2)}`;
}

/** A significance in standard deviations; a lower bound where p is an upper one: "3.2 σ", "≥ 3.7 σ". */
export function significance(z, p = null, resolution = null) {
  if (missing(z)) return "no Z";
  const bounded = !missing(p) && !missing(resolution) && p <= resolution;
  return `${bounded ? "≥ " : ""}${z.toFixed(1).replace("-", MINUS)} σ`;
}

/** A share: 12 %. */
export function percent(value) {
  return missing(value) ? NOTHING : `${number(100 * value, 2)} %`;
}

/** Bytes in binary units: 1.5 GiB. */
export function bytes(value) {
  if (missing(value)) return NOTHING;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  return `${number(value / 1024 ** step, 3)} ${units[step]}`;
}

/** A span of time, two units at most: "12 s", "3 min 05 s", "2 h 14 min", "3 d 4 h". */
export function duration(seconds) {
  if (missing(seconds)) return NOTHING;
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** An age at a glance: to the second in the first ten minutes, then as `duration` without seconds. */
export function age(seconds) {
  if (missing(seconds) || seconds < 600 || seconds >= 3600) return duration(seconds);
  return `${Math.floor(seconds / 60)} min`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Time of day in UTC: "02:14:07". */
export function utcTime(unix) {
  return new Date(unix * 1000).toISOString().slice(11, 19);
}

/** Time of day where the browser is: "03:14:07". */
export function localTime(unix) {
  const date = new Date(unix * 1000);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
}

/** The name of the browser's time zone at that time: "CET", "UTC+1". */
export function zone(unix) {
  const parts = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(new Date(unix * 1000));
  return parts.find((part) => part.type === "timeZoneName")?.value.replace("GMT", "UTC") ?? "local";
}

/**
 * A moment in local time and UTC: "26 Nov 03:14:07 CET (02:14:07 UTC)"; where local time is UTC, once. The day of UTC
 * is told where it is another; the year where it is not that of `now`.
 */
export function moment(unix, now = Date.now() / 1000) {
  if (missing(unix)) return NOTHING;
  const date = new Date(unix * 1000);
  const year = date.getFullYear() === new Date(now * 1000).getFullYear() ? "" : ` ${date.getFullYear()}`;
  const local = `${date.getDate()} ${MONTHS[date.getMonth()]}${year} ${localTime(unix)}`;
  if (date.getTimezoneOffset() === 0) return `${local} UTC`;
  const sameDay = date.getDate() === date.getUTCDate();
  const day = sameDay ? "" : `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} `;
  return `${local} ${zone(unix)} (${day}${utcTime(unix)} UTC)`;
}
