// Reads a recording as often as it is told, cut off or damaged elsewhere each time. Ends with an error if the reader fails in another way
// than by saying that it is no recording.

import fs from "node:fs";
import { Store } from "./store.js";
import { readRecording } from "./source.js";
import { Block, BlockParser, Malformed, unpack } from "./wire.js";

const [file, rounds] = [process.argv[2], Number(process.argv[3])];
const whole = new Uint8Array(fs.readFileSync(file));
let seed = 7;
const next = (end) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 2 ** 32) * end);
};
const read = async (bytes) => {
  const store = new Store();
  try {
    await readRecording(store, bytes);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
  }
  return store.frames.fine.length + store.frames.joined.length;
};
/** Damage that checksums do not see: within payloads, as from a host with a mistake. */
const take = (blocks) => {
  const store = new Store();
  for (const { kind, payload } of blocks) {
    const damaged = payload?.slice();
    for (let flips = next(3); flips > 0 && damaged?.length > 0; flips--) damaged[next(damaged.length)] ^= 1 << next(8);
    store.take({ kind, payload: damaged });
  }
  return store.frames.fine.length + store.frames.joined.length;
};
const blocks = [];
const parser = new BlockParser();
for (const block of [...parser.push(whole), ...parser.end()]) {
  blocks.push(...(block.kind === Block.PACKED ? await unpack(block.payload) : [block]));
}
const good = await read(whole);
if (good < 2) throw new Error(`the recording has ${good} frames`);
let frames = 0;
for (let round = 0; round < rounds; round++) {
  if (round % 8 === 7) {
    take(blocks);
    continue;
  }
  const bytes = round % 2 === 0 ? whole.slice(0, next(whole.length)) : whole.slice();
  for (let flips = next(4); flips > 0 && bytes.length > 0; flips--) bytes[next(bytes.length)] ^= 1 << next(8);
  const found = await read(bytes);
  if (found > good) throw new Error(`${found} frames of ${good}`);
  frames += found;
}
console.log(`${rounds} damaged recordings of ${whole.length} bytes and ${good} frames: ${(frames / rounds).toFixed(1)} frames were read of each`);
