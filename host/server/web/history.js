// Changes of one family, frame by frame, over two hours.
//
// A column holds the cells that changed in a frame, and nothing else. The last quarter of an hour has a column a frame; older ones are
// joined to one for ten seconds. A counter's column holds increases. A gauge's holds the values before the change, so that a line is
// drawn from the present backwards, and needs no value of two hours ago.

export const FINE_MS = 15 * 60_000;
export const HISTORY_MS = 2 * 3600_000;
const JOINED_MS = 10_000;

/** Times of frames. `gap` says that nothing is known of the time since the frame before. */
export class Frames {
  constructor() {
    this.fine = [];
    this.joined = [];
  }

  get last() {
    return this.fine.at(-1) ?? this.joined.at(-1);
  }

  get first() {
    return this.joined[0] ?? this.fine[0];
  }

  push(t, gap) {
    const dt = this.last ? (t - this.last.t) / 1000 : 1;
    this.fine.push({ t, dt: gap ? 1 : dt, gap });
    while (this.fine.length > 0 && this.fine[0].t < t - FINE_MS) {
      const old = this.fine.shift();
      const before = this.joined.at(-1);
      if (before && !old.gap && bucket(before.t) === bucket(old.t)) {
        before.t = old.t;
        before.dt += old.dt;
      } else {
        this.joined.push(old);
      }
    }
    while (this.joined.length > 0 && this.joined[0].t < t - HISTORY_MS) this.joined.shift();
  }

  /** The frames from one time to another, in order. */
  between(from, to) {
    return [...this.joined, ...this.fine].filter((frame) => frame.t > from && frame.t <= to);
  }
}

const bucket = (t) => Math.floor(t / JOINED_MS);

/** The columns of one family. */
export class Columns {
  constructor(isGauge) {
    this.isGauge = isGauge;
    this.fine = [];
    this.joined = [];
  }

  push(t, index, value) {
    if (index.length > 0) this.fine.push({ t, index: Int32Array.from(index), value: Float64Array.from(value) });
    while (this.fine.length > 0 && this.fine[0].t < t - FINE_MS) {
      const old = this.fine.shift();
      const before = this.joined.at(-1);
      if (before && bucket(before.t) === bucket(old.t)) this.#join(before, old);
      else this.joined.push(old);
    }
    while (this.joined.length > 0 && this.joined[0].t < t - HISTORY_MS) this.joined.shift();
  }

  #join(before, old) {
    const cells = new Map();
    before.index.forEach((index, at) => cells.set(index, before.value[at]));
    old.index.forEach((index, at) => {
      if (!cells.has(index)) cells.set(index, old.value[at]);
      else if (!this.isGauge) cells.set(index, cells.get(index) + old.value[at]);
    });
    before.t = old.t;
    before.index = Int32Array.from(cells.keys());
    before.value = Float64Array.from(cells.values());
  }

  /** The columns from one time to another, in order. */
  *between(from, to) {
    for (const columns of [this.joined, this.fine]) {
      // The present is asked about most: look for its beginning from the end.
      let at = columns.length;
      while (at > 0 && columns[at - 1].t > from) at -= 1;
      for (; at < columns.length && columns[at].t <= to; at++) yield columns[at];
    }
  }

  /** The columns later than a time, the latest first. */
  *backwards(from) {
    for (const columns of [this.fine, this.joined]) {
      for (let at = columns.length - 1; at >= 0 && columns[at].t > from; at--) yield columns[at];
    }
  }
}
