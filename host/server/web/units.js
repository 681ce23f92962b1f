// Numbers as people read them.

const SI = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
const IEC = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]];
const TIME = [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]];

function digits(number) {
  const size = Math.abs(number);
  if (size >= 100 || Number.isInteger(number)) return number.toFixed(0);
  return number.toFixed(size >= 10 ? 1 : size >= 0.01 ? 2 : 4).replace(/\.?0+$/, "");
}

function scaled(number, steps, rest) {
  for (const [size, name] of steps) if (Math.abs(number) >= size) return `${digits(number / size)}${name}`;
  return `${digits(number)}${rest}`;
}

/** A value in a unit of OpenMetrics. */
export function show(value, unit = "") {
  if (value === null || value === undefined || Number.isNaN(value)) return "unknown";
  if (value === Infinity) return "∞";
  if (unit === "seconds") {
    if (value === 0) return "0 s";
    if (Math.abs(value) >= 120) return duration(value);
    for (const [size, name] of TIME) {
      if (Math.abs(value) >= size * 0.9995 || name === "ns") return `${digits(value / size)} ${name}`;
    }
  }
  if (unit === "bytes") return scaled(value, IEC, " B").replace(/([\d.])([KMGT])/, "$1 $2");
  if (unit === "ratio") return value > 0 && value < 0.0001 ? "< 0.01 %" : `${digits(value * 100)} %`;
  return scaled(value, SI, "");
}

/** A rate of a counter: `12k /s`, or for seconds of running `3 % of a CPU`. */
export function showRate(value, unit = "") {
  if (value === null || Number.isNaN(value)) return "unknown";
  if (unit === "seconds") return `${show(value, "ratio")} of a second`;
  return `${show(value, unit)}/s`;
}

export function duration(seconds) {
  const whole = Math.round(Math.abs(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours >= 48) return `${Math.round(whole / 86400)} d`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min${rest > 0 ? ` ${rest} s` : ""}` : `${rest} s`;
}

/** The time of day of milliseconds since 1970; without seconds on an axis whose marks are minutes apart. */
export function clock(ms, step = 1) {
  const seconds = step < 60 ? { second: "2-digit" } : {};
  return new Date(ms).toLocaleTimeString([], { hourCycle: "h23", hour: "2-digit", minute: "2-digit", ...seconds });
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

/** The seconds between two marks of a time axis that has at most so many of them. */
export function timeStep(span, most) {
  return TIME_STEPS.find((step) => span / step <= most) ?? TIME_STEPS.at(-1);
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** Round steps for an axis from 0 or below to `high`. */
export function ticks(low, high, about) {
  const span = high - low || 1;
  const raw = span / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * power).find((size) => size >= raw);
  const all = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-6; tick += step) all.push(tick);
  return all;
}
