// Two hours of 3 000 series that change every second, as the page keeps them: how much memory, and how long the busiest are looked for.

import { Family, Store } from "./store.js";
import { counterLines, groupFrames } from "./rates.js";

const SERIES = 3000;
const store = new Store();
const family = new Family({ origin: "package", pack: "p", name: "n", unit: "", help: "", times: 1, per: 1, kind: "counter", cell: 1, sum: 0, rows: [null] });
for (let at = 0; at < SERIES; at++) family.find(`id="${at}"`).cells = new Float64Array(1);
const start = Date.now();
const index = Array.from({ length: SERIES }, (_, at) => at);
for (let second = 0; second < 7300; second++) {
  const t = start + second * 1000;
  store.frames.push(t, second === 0);
  family.columns.push(t, index, index.map((at) => (at % 97) + 1));
}
globalThis.gc?.();
const memory = process.memoryUsage();
const [from, to] = [start + 100_000, start + 7_300_000];
const before = performance.now();
const groups = groupFrames(store.frames.between(from, to), 800);
const { lines } = counterLines(family, groups, from, to, { chosen: new Map(), words: [] }, 8);
const time = performance.now() - before;
const columns = family.columns.fine.length + family.columns.joined.length;
const megabytes = (memory.arrayBuffers + memory.heapUsed) / 1e6;
console.log(`two hours of ${SERIES} series: ${columns} columns, ${megabytes.toFixed(0)} MB, the 8 busiest found in ${time.toFixed(0)} ms`);
if (columns > 1700) throw new Error("old columns are not joined");
if (megabytes > 300) throw new Error("too much memory");
// Joined or not, a rate is the same, but for the first group, which may begin within a joined column.
const values = [...lines[0].values].slice(2, -2);
if (values.some((value) => Math.abs(value - 97) > 97 * 0.02)) throw new Error(`rates of 97 a second: ${values.filter((value) => Math.abs(value - 97) > 2).slice(0, 5)}`);
