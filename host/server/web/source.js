// Where frames come from: the stream of a running host, or files.

import { Block, BlockParser, Malformed, unpack } from "./wire.js";

/** The longest pause before the stream is asked for again. */
const LONGEST_PAUSE_MS = 10_000;
/** A stream that says nothing for so long is asked for again. */
const SILENCE_MS = 30_000;

/** Gives the store every block, unpacked. */
async function feed(store, blocks) {
  for (const block of blocks) {
    if (block.kind !== Block.PACKED) store.take(block);
    else for (const inner of await unpack(block.payload)) store.take(inner);
  }
}

/** Reads a whole recording into a store. Throws `Malformed` if it is none. */
export async function readRecording(store, bytes) {
  const parser = new BlockParser();
  store.beginStream();
  await feed(store, parser.push(bytes));
  await feed(store, parser.end());
  if (!store.frames.last) throw new Malformed("it has no frame that can be read");
}

/** The stream of a running host. `onState(word, sentence)` says how it is; `onFrames()` is called when there are new ones. */
export class LiveSource {
  constructor(store, url, onFrames, onState) {
    Object.assign(this, { store, url, onFrames, onState });
    this.pause = 500;
  }

  start() {
    if (this.abort) return;
    this.abort = new AbortController();
    this.#follow(this.abort.signal);
  }

  stop() {
    this.abort?.abort();
    this.abort = null;
    this.onState("off", "Not connected while this page is hidden.");
  }

  async #follow(signal) {
    while (!signal.aborted) {
      try {
        await this.#stream(signal);
        this.onState("lost", "The stream ended; connecting again.");
      } catch (error) {
        if (signal.aborted) return;
        this.onState("lost", `Not connected: ${error.message}. Trying again.`);
      }
      await new Promise((done) => setTimeout(done, this.pause));
      this.pause = Math.min(LONGEST_PAUSE_MS, this.pause * 1.6);
    }
  }

  async #stream(signal) {
    const since = this.store.frames.last ? Math.ceil((Date.now() - this.store.frames.last.t) / 1000) + 1 : 7200;
    const response = await fetch(`${this.url}?history=${since}`, { signal, cache: "no-store" });
    if (!response.ok) throw new Error((await response.text()).trim() || `status ${response.status}`);
    const parser = new BlockParser();
    const reader = response.body.getReader();
    this.store.beginStream();
    for (;;) {
      const silence = setTimeout(() => reader.cancel().catch(() => {}), SILENCE_MS);
      const { done, value } = await reader.read().finally(() => clearTimeout(silence));
      if (done) return;
      const blocks = parser.push(value);
      await feed(this.store, blocks);
      if (blocks.length > 0) {
        this.pause = 500;
        this.onState("live", "");
        this.onFrames();
      }
    }
  }
}
