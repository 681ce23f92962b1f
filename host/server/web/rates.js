// The contents of a panel: lines of rates and values, and the columns of a heat map.

import { matches } from "./labels.js";

/** Groups frames so that no more columns are drawn than fit; each is `{ t, dt, gap, frames }`. */
export function groupFrames(frames, most) {
  const size = Math.max(1, Math.ceil(frames.length / Math.max(1, most)));
  const groups = [];
  for (const frame of frames) {
    const last = groups.at(-1);
    if (last && last.count < size && !frame.gap) {
      last.t = frame.t;
      last.dt += frame.dt;
      last.count += 1;
    } else {
      groups.push({ t: frame.t, dt: frame.dt, gap: frame.gap, count: 1 });
    }
  }
  return groups;
}

/** Calls `each(group index, column)` for the columns of a family within the groups. */
function eachColumn(family, groups, from, to, each) {
  let at = 0;
  for (const column of family.columns.between(from, to)) {
    while (at < groups.length && groups[at].t < column.t) at += 1;
    if (at < groups.length) each(at, column);
  }
}

/** Which series of a family a filter admits, by index. */
function admitted(family, filter) {
  return family.byIndex.map((series) => matches(series, filter));
}

/**
 * The heat map of a histogram: counts a second by group and row, and quantiles of each group.
 * A group after a gap has no counts.
 */
export function heatMap(family, groups, from, to, filter) {
  const rows = family.rows.length;
  const counts = new Float64Array(groups.length * rows);
  const is = admitted(family, filter);
  const width = family.width;
  eachColumn(family, groups, from, to, (at, column) => {
    for (let entry = 0; entry < column.index.length; entry++) {
      const index = column.index[entry];
      const row = index % width;
      if (row < rows && is[(index - row) / width]) counts[at * rows + row] += column.value[entry];
    }
  });
  const quantiles = groups.map((_, at) => summary(counts.subarray(at * rows, (at + 1) * rows), family.rows));
  const isUnknown = groups.map((group) => group.gap || family.isUnknownAt(group.t));
  return { rows, counts, quantiles, isUnknown };
}

/** Quantiles of counts by row: `row` positions to draw at, and values; none without observations. */
export function summary(counts, bounds) {
  let total = 0;
  let top = -1;
  counts.forEach((count, row) => {
    total += count;
    if (count > 0) top = row;
  });
  if (total === 0) return null;
  return { total, p50: quantile(counts, bounds, total, 0.5), p99: quantile(counts, bounds, total, 0.99), max: at(bounds, top, 1) };
}

function quantile(counts, bounds, total, share) {
  let below = 0;
  for (let row = 0; row < counts.length; row++) {
    if (counts[row] > 0 && below + counts[row] >= share * total) {
      return at(bounds, row, (share * total - below) / counts[row]);
    }
    below += counts[row];
  }
  return at(bounds, counts.length - 1, 1);
}

/** A position within a row, and the value there. Within a bucket that begins above 0 the value grows by factors, as bounds do. */
function at(bounds, row, part) {
  const upper = bounds[row];
  const lower = row > 0 ? bounds[row - 1] : 0;
  if (upper === Infinity) return { position: row, value: lower, isAbove: true };
  const value = lower > 0 ? lower * (upper / lower) ** part : lower + (upper - lower) * part;
  return { position: row + part, value };
}

/** The busiest series of a counter: `{ series, total, rates }` by group, and how many others there are. */
export function counterLines(family, groups, from, to, filter, most) {
  const is = admitted(family, filter);
  const totals = new Float64Array(family.byIndex.length);
  eachColumn(family, groups, from, to, (_, { index, value }) => {
    for (let entry = 0; entry < index.length; entry++) totals[index[entry]] += value[entry];
  });
  const all = family.byIndex.filter((series) => is[series.index] && (series.cells || totals[series.index] > 0));
  const busiest = all.sort((a, b) => totals[b.index] - totals[a.index]).slice(0, most);
  const place = new Int16Array(family.byIndex.length).fill(-1);
  busiest.forEach((series, at) => (place[series.index] = at));
  const lines = busiest.map((series) => ({ series, total: totals[series.index] * family.scale, values: new Float64Array(groups.length) }));
  eachColumn(family, groups, from, to, (at, { index, value }) => {
    const scale = family.scale / groups[at].dt;
    for (let entry = 0; entry < index.length; entry++) {
      const line = place[index[entry]];
      if (line >= 0) lines[line].values[at] += value[entry] * scale;
    }
  });
  for (const { values } of lines) groups.forEach((group, at) => (group.gap || family.isUnknownAt(group.t)) && (values[at] = NaN));
  return { lines, others: all.length - busiest.length };
}

/** The largest series of a gauge, from the present backwards. */
export function gaugeLines(family, groups, from, to, filter, most) {
  const is = admitted(family, filter);
  const now = family.byIndex.map((series) => (series.cells ? series.cells[0] : NaN));
  const all = family.byIndex.filter((series) => is[series.index]);
  const values = new Map(all.map((series) => [series.index, new Float64Array(groups.length).fill(NaN)]));
  let at = groups.length - 1;
  const fill = (until) => {
    for (; at >= 0 && groups[at].t >= until; at--) {
      for (const [index, line] of values) line[at] = now[index] * family.scale;
    }
  };
  for (const column of family.columns.backwards(from)) {
    fill(column.t);
    for (let entry = column.index.length - 1; entry >= 0; entry--) now[column.index[entry]] = column.value[entry];
  }
  fill(-Infinity);
  const lines = all.map((series) => ({ series, values: values.get(series.index) }));
  for (const line of lines) line.total = line.values.reduce((most, value) => (Math.abs(value) > most ? Math.abs(value) : most), -1);
  const shown = lines.filter((line) => line.total >= 0).sort((a, b) => b.total - a.total);
  return { lines: shown.slice(0, most), others: Math.max(0, shown.length - most) };
}
