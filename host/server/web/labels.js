// Label blocks: `a="x",b="y"`, escaped as text formats want it.

/** The names and unescaped values of a label block. */
export function parseLabels(block) {
  const labels = new Map();
  const pair = /([^=,"]+)="((?:[^"\\]|\\.)*)"/gs;
  for (const [, name, value] of block.matchAll(pair)) {
    labels.set(name, value.replace(/\\(.)/gs, (_, next) => (next === "n" ? "\n" : next)));
  }
  return labels;
}

/** Labels as people read them: `sda read`, or with names where a value alone says too little. */
export function showLabels(labels, shared = new Map()) {
  const shown = [...labels].filter(([name, value]) => shared.get(name) !== value);
  if (shown.length === 0) return labels.size === 0 ? "all" : [...labels.values()].join(" ");
  return shown.map(([name, value]) => `${name}=${value === "" ? '""' : value}`).join(" ");
}

/** A filter: one chosen value for some labels, and words that all have to be in the block. */
export function matches(series, filter) {
  for (const [name, value] of filter.chosen) if (series.labels.get(name) !== value) return false;
  return filter.words.every((word) => series.lower.includes(word));
}
