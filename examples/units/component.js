// Executed programs, by unit: labels for the cgroups by which units.bpf.c counts.
import { unit } from './units.js';

const EXECS_VIEW = 0;

const counter = (name, help, labels) => ({ name, help, unit: '', labels, kind: { tag: 'counter' }, times: 1, per: 1 });

// A series of a family, fed with the entry's value, a u64.
const count = (family, labels) => ({
  family,
  labels,
  value: { tag: 'number', val: { offset: 0, size: 8, isSigned: false } },
});

function describe(config) {
  const unknown = Object.keys(JSON.parse(config))[0];
  if (unknown !== undefined) throw `config: found the key \`${unknown}\`, expected none`;
  const columns = [
    { tag: 'column', val: 0 },
    { tag: 'column', val: 1 },
  ];
  return {
    families: [
      counter('unit_execs_total', 'Programs that were executed, by the unit that they belong to.', ['kind', 'unit']),
      counter('unit_execs_lost_total', 'Execs that the map had no room for.', []),
    ],
    views: [
      {
        source: 'execs',
        keySize: 8,
        valueSize: 8,
        identity: [{ part: 'key', offset: 0, length: 8 }],
        // The host looks up the cgroup's path, and asks again when the path changes.
        lookups: [{ table: 'cgroup', field: 0 }],
        columns: columns.length,
        series: [count(0, columns)],
      },
      { source: 'lost', keySize: 4, valueSize: 8, identity: [], lookups: [], columns: 0, series: [count(1, [])] },
    ],
  };
}

function decode(batch) {
  const rows = { dictionary: [], labels: [], buckets: [], refused: [] };
  const places = new Map();
  const place = (text) => {
    if (!places.has(text)) places.set(text, rows.dictionary.push(text) - 1);
    return places.get(text);
  };
  for (let entry = 0; batch.view === EXECS_VIEW && entry < batch.count; entry++) {
    const path = batch.names[batch.found[entry]];
    // The cgroup was removed before its path was known.
    const { kind, unit: name } = path === undefined ? { kind: 'other', unit: 'gone' } : unit(path);
    rows.labels.push(place(kind), place(name));
  }
  return { ...rows, labels: Uint32Array.from(rows.labels), buckets: Uint32Array.from(rows.buckets) };
}

export const decoder = { describe, decode };
