// Reads the format of docs/flight-recorder.md: blocks out of bytes, and numbers out of blocks.
//
// Any bytes are accepted. A damaged block is passed over, and reading goes on at the next marker whose checksum is right.

const NAME = [0x65, 0x62, 0x68, 0x6f, 0x73, 0x74, 0x52]; // ebhostR
const VERSION = 1;
const MARKER = [0xeb, 0x42, 0x4c, 0x4b];
const BLOCK_HEAD = 13;
const LONGEST_BLOCK = 64 << 20;

export const Block = { KEYFRAME: 1, DELTA: 2, STATUS: 3, PACKED: 4 };

/** Thrown where bytes end too early, or are none that a host writes. */
export class Malformed extends Error {}

/** Reads numbers and texts from a payload. */
export class Input {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  get left() {
    return this.bytes.length - this.at;
  }

  take(count) {
    if (count > this.left) throw new Malformed("the payload ends too early");
    this.at += count;
    return this.at - count;
  }

  byte() {
    return this.bytes[this.take(1)];
  }

  float() {
    return this.view.getFloat64(this.take(8), true);
  }

  /** A whole number of 64 bits; beyond 2^53 the nearest that a double has. */
  long() {
    return Number(this.view.getBigUint64(this.take(8), true));
  }

  /** A number of seven bits a byte. */
  number() {
    let number = 0;
    for (let scale = 1; scale < 2 ** 70; scale *= 128) {
      const byte = this.byte();
      number += (byte & 127) * scale;
      if (byte < 128) return number;
    }
    throw new Malformed("a number does not end");
  }

  signed() {
    const number = this.number();
    return number % 2 === 1 ? -(number + 1) / 2 : number / 2;
  }

  /** How many things follow, of which each takes a byte at least. */
  count() {
    const count = this.number();
    if (count > this.left) throw new Malformed("more things than bytes");
    return count;
  }

  text() {
    const length = this.count();
    const from = this.take(length);
    return new TextDecoder().decode(this.bytes.subarray(from, from + length));
  }
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

function checksum(kind, payload) {
  let crc = CRC[(0xffffffff ^ kind) & 255] ^ 0x00ffffff;
  for (const byte of payload) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Splits a stream into blocks as its bytes come. */
export class BlockParser {
  constructor({ hasHeader = true } = {}) {
    this.bytes = new Uint8Array(0);
    this.needsHeader = hasHeader;
    /** Damaged stretches that were passed over. */
    this.damaged = 0;
  }

  /** The blocks that are whole by now, as `{ kind, payload }`. Throws `Malformed` if the stream does not begin as one. */
  push(chunk) {
    const joined = new Uint8Array(this.bytes.length + chunk.length);
    joined.set(this.bytes);
    joined.set(chunk, this.bytes.length);
    this.bytes = joined;
    return this.#blocks(false);
  }

  /** The blocks that are left when no more bytes come. */
  end() {
    return this.#blocks(true);
  }

  #blocks(isEnd) {
    const bytes = this.bytes;
    let at = 0;
    if (this.needsHeader) {
      if (bytes.length < NAME.length + 1) {
        if (isEnd) throw new Malformed("this is no recording: it is too short");
        return [];
      }
      if (NAME.some((byte, index) => bytes[index] !== byte)) throw new Malformed("this is no recording of ebhost");
      const version = bytes[NAME.length];
      if (version !== VERSION) throw new Malformed(`found a recording of version ${version}, expected ${VERSION}`);
      this.needsHeader = false;
      at = NAME.length + 1;
    }
    const blocks = [];
    while (at < bytes.length) {
      const found = blockAt(bytes, at, isEnd);
      if (found === "more") break;
      if (found === "damaged") {
        this.damaged += 1;
        at = nextMarker(bytes, at + 1);
        blocks.push({ kind: 0 });
        continue;
      }
      blocks.push(found);
      at = found.end;
    }
    this.bytes = bytes.slice(at);
    return blocks;
  }
}

/** The block at `at`, or whether more bytes are needed to know, or that there is none. */
function blockAt(bytes, at, isEnd) {
  const short = isEnd ? "damaged" : "more";
  for (let index = 0; index < MARKER.length; index++) {
    if (at + index >= bytes.length) return short;
    if (bytes[at + index] !== MARKER[index]) return "damaged";
  }
  if (at + BLOCK_HEAD > bytes.length) return short;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, BLOCK_HEAD);
  const kind = view.getUint8(4);
  const length = view.getUint32(5, true);
  if (length > LONGEST_BLOCK) return "damaged";
  const end = at + BLOCK_HEAD + length;
  if (end > bytes.length) return short;
  const payload = bytes.subarray(at + BLOCK_HEAD, end);
  return checksum(kind, payload) === view.getUint32(9, true) ? { kind, payload, end } : "damaged";
}

function nextMarker(bytes, from) {
  for (let at = bytes.indexOf(MARKER[0], from); at >= 0; at = bytes.indexOf(MARKER[0], at + 1)) {
    if (MARKER.every((byte, index) => at + index >= bytes.length || bytes[at + index] === byte)) return at;
  }
  return bytes.length;
}

/** The blocks of a packed one. What can be read before a fault is read all the same. */
export async function unpack(payload) {
  const parser = new BlockParser({ hasHeader: false });
  const blocks = [];
  let size = 0;
  try {
    const reader = new Blob([payload]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      size += part.value.length;
      if (size > LONGEST_BLOCK) throw new Malformed("a packed block is too large");
      blocks.push(...parser.push(part.value));
    }
  } catch {
    blocks.push({ kind: 0 });
  }
  blocks.push(...parser.end());
  return blocks.filter((block) => block.kind !== Block.PACKED);
}
