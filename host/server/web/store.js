// Families, series and reports as of the last frame of one source, and their history.

import { Block, Input, Malformed } from "./wire.js";
import { parseLabels } from "./labels.js";
import { Columns, Frames, HISTORY_MS } from "./history.js";

const END = 0;
const BEGIN = 1;
const CHANGE = 2;
const ABSENT = 1;
const TOTAL = 2;
const KINDS = ["counter", "gauge", "histogram"];
const ORIGINS = ["package", "drop-in", "host"];
/** Frames further apart than this have a gap between them. */
const GAP_MS = 10_000;
const MOST_BUCKETS = 1 << 14;
/** Series that ended stay in memory as long as their history is shown. */
const FORGET_EVERY_MS = 60_000;

class Series {
  constructor(index, block) {
    this.index = index;
    this.block = block;
    this.labels = parseLabels(block);
    this.lower = block.toLowerCase();
    this.slot = -1;
    this.cells = null;
    this.ended = 0;
  }
}

export class Family {
  constructor(declared) {
    Object.assign(this, declared);
    this.series = new Map();
    this.byIndex = [];
    this.slots = new Map();
    this.total = 0;
    this.isAbsent = false;
    /** Times in which it was absent, as `[from, to]`. */
    this.absences = [];
    this.columns = new Columns(this.kind === "gauge");
  }

  get width() {
    return this.rows.length + (this.sum ? 1 : 0);
  }

  get scale() {
    return this.times / this.per;
  }

  setAbsent(isAbsent, t) {
    if (isAbsent && !this.isAbsent) this.absences.push([t, Infinity]);
    if (!isAbsent && this.isAbsent) this.absences.at(-1)[1] = t;
    this.isAbsent = isAbsent;
    while (this.absences.length > 0 && this.absences[0][1] < t - HISTORY_MS) this.absences.shift();
  }

  /** Whether nothing happened as long as it is known: a counter did not grow, a gauge was 0. */
  get isQuiet() {
    if (this.kind === "histogram") return false;
    const isNothing = ({ value }) => value.every((change) => change === 0 || Number.isNaN(change));
    if (this.kind === "gauge") for (const series of this.present()) if (series.cells[0] !== 0) return false;
    return this.columns.fine.every(isNothing) && this.columns.joined.every(isNothing);
  }

  /** Whether nothing is known of the family at a time. */
  isUnknownAt(t) {
    return this.absences.some(([from, to]) => from <= t && t < to);
  }

  /** Series that exist now. */
  *present() {
    for (const series of this.slots.values()) yield series;
  }

  isLike(other) {
    const shape = (family) => JSON.stringify([family.kind, family.rows, family.sum > 0, family.times, family.per]);
    return shape(this) === shape(other);
  }

  find(block) {
    let series = this.series.get(block);
    if (!series) {
      series = new Series(this.byIndex.length, block);
      this.series.set(block, series);
      this.byIndex.push(series);
    }
    return series;
  }
}

export class Store {
  constructor(name = "") {
    this.name = name;
    this.families = new Map();
    this.numbers = new Map();
    this.frames = new Frames();
    this.report = null;
    this.left = 0;
    this.damaged = 0;
    this.forgot = 0;
    this.#lose();
  }

  /** The next frame cannot be a change of the one before: the stream is another one, or a block was damaged. */
  #lose() {
    this.isInStep = false;
    this.isAfterGap = true;
  }

  beginStream() {
    this.numbers = new Map();
    this.#lose();
  }

  /** Takes a block that is not packed. */
  take({ kind, payload }) {
    try {
      if (kind === Block.STATUS) this.report = JSON.parse(new TextDecoder().decode(payload));
      else if (kind === Block.KEYFRAME) this.#frame(payload, true);
      else if (kind === Block.DELTA && this.isInStep) this.#frame(payload, false);
      else if (kind === Block.DELTA) this.left += 1;
      else if (kind === 0) {
        this.damaged += 1;
        this.#lose();
      }
    } catch (error) {
      if (!(error instanceof Malformed || error instanceof SyntaxError || error instanceof RangeError)) throw error;
      this.damaged += 1;
      if (kind !== Block.STATUS) this.#lose();
    }
  }

  #frame(payload, isKey) {
    const input = new Input(payload);
    const t = input.long();
    if (!Number.isSafeInteger(t)) throw new Malformed("the time makes no sense");
    if (isKey) this.numbers = new Map();
    for (let left = input.count(); left > 0; left--) this.#declare(input);
    const last = this.frames.last;
    const isAgain = last !== undefined && t <= last.t;
    const gap = !isAgain && (last === undefined || t - last.t > GAP_MS || (isKey && this.isAfterGap));
    const mode = { isKey, isCounted: !gap && !(isKey && this.isAfterGap) };
    for (let left = input.count(); left > 0; left--) {
      const family = this.numbers.get(input.number());
      if (!family) throw new Malformed("a family that was not declared");
      this.#changes(input, family, t, mode);
    }
    if (input.left > 0) throw new Malformed("more bytes than the frame has");
    if (!isAgain) this.frames.push(t, gap);
    this.isInStep = true;
    this.isAfterGap = false;
    if (t - this.forgot > FORGET_EVERY_MS) this.#forget(t);
  }

  #declare(input) {
    const number = input.number();
    const origin = ORIGINS[input.byte()];
    const [pack, name, unit, help] = [input.text(), input.text(), input.text(), input.text()];
    const [times, per, kind] = [input.float(), input.float(), KINDS[input.byte()]];
    const shape = readShape(input);
    if (!origin || !kind) throw new Malformed("a family of an unknown kind");
    const declared = new Family({ origin, pack, name, unit, help, times, per, kind, ...shape });
    const known = this.families.get(name);
    const family = known?.isLike(declared) ? known : declared;
    // Also how its cells are written: a gauge of whole numbers may become one of others.
    if (family === known) Object.assign(known, { origin, pack, unit, help, ...shape });
    family.slots = new Map();
    family.isDeclaredAnew = true;
    this.families.set(name, family);
    this.numbers.set(number, family);
  }

  #changes(input, family, t, mode) {
    const flags = input.byte();
    family.setAbsent((flags & ABSENT) !== 0, t);
    if (flags & TOTAL) family.total = input.number();
    const changed = { index: [], value: [] };
    // All that are not said to be there.
    const ended = mode.isKey || family.isDeclaredAnew ? new Set(family.byIndex.filter((series) => series.cells)) : new Set();
    for (let slot = 0, left = input.count(); left > 0; left--) {
      const step = input.number();
      slot += Math.floor(step / 4);
      if (step % 4 === END) {
        const series = family.slots.get(slot);
        if (!series) throw new Malformed("the end of no series");
        family.slots.delete(slot);
        // It may have moved to another slot in this frame.
        if (series.slot === slot) ended.add(series);
      } else if (step % 4 === BEGIN) {
        const series = family.find(input.text());
        ended.delete(series);
        series.slot = slot;
        this.#begin(input, family, series, mode, changed);
        family.slots.set(slot, series);
      } else if (step % 4 === CHANGE) {
        const series = family.slots.get(slot);
        if (!series?.cells) throw new Malformed("a change of no series");
        this.#change(input, family, series, changed);
      } else throw new Malformed("an unknown change");
    }
    family.isDeclaredAnew = false;
    for (const series of ended) {
      if (family.kind === "gauge" && series.cells) note(changed, series.index, series.cells[0]);
      series.cells = null;
      series.ended = t;
    }
    family.columns.push(t, changed.index, changed.value);
  }

  #begin(input, family, series, mode, changed) {
    const isKnown = series.cells !== null;
    const before = series.cells;
    const cells = new Float64Array(family.width);
    for (let index = 0; index < family.width; index++) {
      cells[index] = readCell(input, kindAt(family, index), 0);
      if (family.kind === "gauge") {
        if (!isKnown || before[index] !== cells[index]) note(changed, series.index, isKnown ? before[index] : NaN);
      } else if (mode.isCounted && (isKnown || !mode.isKey)) {
        const increase = growth(isKnown ? before[index] : 0, cells[index]);
        if (increase !== 0) note(changed, series.index * family.width + index, increase);
      }
    }
    series.cells = cells;
  }

  #change(input, family, series, changed) {
    for (let index = 0, left = input.count(); left > 0; left--) {
      index += input.number();
      if (index >= family.width) throw new Malformed("a cell that the series has not");
      const before = series.cells[index];
      const now = readCell(input, kindAt(family, index), before);
      series.cells[index] = now;
      if (family.kind === "gauge") note(changed, series.index, before);
      else note(changed, series.index * family.width + index, growth(before, now));
      index += 1;
    }
  }

  /** Drops series that ended before the history begins, and families of which none is left. */
  #forget(t) {
    this.forgot = t;
    for (const [name, family] of this.families) {
      const isOld = (series) => !series.cells && series.ended < t - HISTORY_MS;
      for (const [block, series] of family.series) if (isOld(series)) family.series.delete(block);
      if (family.series.size === 0 && ![...this.numbers.values()].includes(family)) this.families.delete(name);
    }
  }
}

const note = (changed, index, value) => {
  changed.index.push(index);
  changed.value.push(value);
};

/** The increase of a counter; one that fell began at 0 again. */
const growth = (before, now) => (now >= before ? now - before : now);

const kindAt = (family, index) => (index < family.rows.length ? family.cell : family.sum);

function readCell(input, kind, before) {
  return kind === 3 ? input.float() : before + input.signed();
}

/** The rows of a family: the upper bound of each of its cells that counts, `null` for a single number. */
function readShape(input) {
  const [form, kind] = [input.byte(), input.byte()];
  if (kind > 3) throw new Malformed("an unknown kind of cell");
  if (form === 0) return { cell: kind, sum: 0, rows: [null] };
  if (form === 1) {
    const bounds = Array.from({ length: input.count() }, () => input.float());
    return { cell: 1, sum: kind, rows: [...bounds, Infinity] };
  }
  if (form === 2) {
    const [schema, first, count] = [input.signed(), input.signed(), input.number()];
    if (count > MOST_BUCKETS) throw new Malformed("too many buckets");
    const bound = (slot) => 2 ** ((first + slot - 1) / 2 ** schema);
    return { cell: 1, sum: kind, rows: [...Array.from({ length: count + 1 }, (_, slot) => bound(slot)), Infinity] };
  }
  throw new Malformed("an unknown layout");
}
