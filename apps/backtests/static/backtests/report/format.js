// Numbers and times as people read them; times are UTC.

const formats = new Map();

function digits(least, most) {
  const key = `${least} ${most}`;
  if (!formats.has(key)) {
    const options = { minimumFractionDigits: least, maximumFractionDigits: most };
    formats.set(key, new Intl.NumberFormat("en", options));
  }
  return formats.get(key);
}

/** With so many decimals at least and at most; from a thousand millions on by its power of ten. */
function decimal(value, least, most) {
  return Math.abs(value) < 1e9 ? digits(least, most).format(value) : value.toExponential(2);
}

/** What stands for a value that there is not. */
export const NONE = "–";

/** Milliseconds as 2025-01-31 13:05. */
export function moment(ms) {
  return ms == null ? NONE : new Date(ms).toISOString().slice(0, 16).replace("T", " ");
}

/** Milliseconds as 2025-01-31. */
export function day(ms) {
  return moment(ms).slice(0, 10);
}

/** A span of milliseconds, its two largest units. */
export function span(ms) {
  if (ms == null) return NONE;
  const parts = [];
  for (const [unit, width] of [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["min", 60_000],
    ["s", 1000],
  ]) {
    const count = Math.floor(ms / width);
    ms -= count * width;
    if (count || parts.length) parts.push(`${digits(0, 0).format(count)} ${unit}`);
    if (parts.length === 2) break;
  }
  return parts.filter((part) => !part.startsWith("0 ")).join(" ") || "0 min";
}

export function whole(value) {
  return value == null ? NONE : digits(0, 0).format(value);
}

export function money(value) {
  return value == null ? NONE : digits(2, 2).format(value);
}

export function ratio(value) {
  return value == null ? NONE : decimal(value, 2, 3);
}

/** A share: without a sign where it is positive. */
export function share(value) {
  if (value == null) return NONE;
  const small = value !== 0 && Math.abs(value) < 0.1;
  return `${decimal(value, 2, small ? 4 : 2)} %`;
}

/** A change: always with its sign. */
export function percent(value) {
  return `${value > 0 ? "+" : ""}${share(value)}`;
}

/** To about seven digits, whatever its size: prices and amounts. */
export function price(value) {
  if (value == null) return NONE;
  const size = Math.floor(Math.log10(Math.abs(value) || 1));
  const most = Math.min(12, Math.max(0, 6 - size));
  return digits(Math.min(2, most), most).format(value);
}

/** Decimals that tell the steps of such prices apart. */
export function decimals(value) {
  return Math.min(12, Math.max(2, 5 - Math.floor(Math.log10(Math.abs(value) || 1))));
}

/** Metrics in percent that are changes; the others are shares. */
const CHANGES = /return|cagr|drawdown|trade|expectancy|alpha/;

const UNITS = { "%": share, money, ratio, count: whole, time: moment, ms: span };

/** A metric's value by its unit, and by its name where that tells more. */
export function metric(value, unit, name = "") {
  if (value == null) return NONE;
  if (typeof value !== "number") return String(value);
  const format = unit === "%" && CHANGES.test(name) ? percent : (UNITS[unit] ?? ratio);
  return unit === "count" && !Number.isInteger(value) ? ratio(value) : format(value);
}

/** `up`, `down` or nothing: which way a value with a sign points. */
export function direction(value, unit) {
  if (!["%", "money", ""].includes(unit) || typeof value !== "number" || value === 0) return null;
  return value > 0 ? "up" : "down";
}
