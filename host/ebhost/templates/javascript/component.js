// Labels for the entries that __NAME__.bpf.c counts in: forks, execs and exits of processes, by command name.

// `enum event` in __NAME__.bpf.c, from 0.
const EVENTS = ['fork', 'exec', 'exit'];
// `struct key` there: a u32 event, then char comm[16].
const KEY_BYTES = 20;
const EVENTS_VIEW = 0;

let commands = [];

const counter = (name, help, labels) => ({ name, help, unit: '', labels, kind: { tag: 'counter' }, times: 1, per: 1 });

// The entry's value, a u64, into a family.
const count = (family, labels) => ({
  family,
  labels,
  value: { tag: 'number', val: { offset: 0, size: 8, isSigned: false } },
});

function describe(config) {
  const asked = JSON.parse(config);
  const unknown = Object.keys(asked).find((key) => key !== 'commands');
  if (unknown !== undefined) throw `config: found the key \`${unknown}\`, expected \`commands\``;
  commands = asked.commands ?? [];
  const columns = [
    { tag: 'column', val: 0 },
    { tag: 'column', val: 1 },
  ];
  return {
    families: [
      counter('__NAME___events_total', 'What processes did, by event and command name.', ['event', 'comm']),
      counter('__NAME___lost_total', 'Events that the map had no room for.', []),
    ],
    views: [
      {
        source: 'events',
        keySize: KEY_BYTES,
        valueSize: 8,
        identity: [{ part: 'key', offset: 0, length: KEY_BYTES }],
        lookups: [],
        columns: columns.length,
        series: [count(0, columns)],
      },
      { source: 'lost', keySize: 4, valueSize: 8, identity: [], lookups: [], columns: 0, series: [count(1, [])] },
    ],
  };
}

function decode(batch) {
  const rows = { dictionary: [], labels: [], buckets: [], refused: [] };
  if (batch.view === EVENTS_VIEW) {
    const places = new Map();
    const place = (text) => {
      if (!places.has(text)) places.set(text, rows.dictionary.push(text) - 1);
      return places.get(text);
    };
    for (let entry = 0; entry < batch.count; entry++) {
      const key = batch.identities.subarray(entry * KEY_BYTES, (entry + 1) * KEY_BYTES);
      const event = new DataView(key.buffer, key.byteOffset).getUint32(0, true);
      const end = key.indexOf(0, 4);
      const comm = new TextDecoder().decode(key.subarray(4, end < 0 ? KEY_BYTES : end));
      if (commands.length > 0 && !commands.includes(comm)) {
        rows.labels.push(0, 0);
        rows.refused.push({ entry, why: { tag: 'skip' } });
      } else {
        rows.labels.push(place(EVENTS[event] ?? `event_${event}`), place(comm));
      }
    }
  }
  return { ...rows, labels: Uint32Array.from(rows.labels), buckets: Uint32Array.from(rows.buckets) };
}

export const decoder = { describe, decode };
