// One panel: a family as a heat map or as lines, its filter, and the values at the place that is pointed at.

import { drawCross, drawHeatMap, drawLines, MARGIN } from "./draw.js";
import { element, setProse, setText } from "./dom.js";
import { showLabels } from "./labels.js";
import { counterLines, gaugeLines, groupFrames, heatMap, summary } from "./rates.js";
import { clock, show, showRate } from "./units.js";

/** Lines that are drawn of a family, at most. */
const MOST_LINES = 8;
/** Labels with at most so many values are chosen from a list. */
const LISTED_VALUES = 30;
const EVERYTHING = { chosen: new Map(), words: [] };

export class Panel {
  /** `view` is what all panels share: sources, time span, colours. */
  constructor(name, view) {
    this.name = name;
    this.view = view;
    this.filter = EVERYTHING;
    this.cursor = null;
    this.isVisible = false;
    this.lists = new Map();
    const { title = "", note = "" } = view.described.families[name] ?? {};
    this.about = note;
    this.title = element("h3", {}, title ? element("span", { class: "title" }, title) : null, element("code", {}, name));
    this.help = element("p", { class: "help" });
    this.words = element("input", { type: "search", placeholder: "filter labels", "aria-label": `filter series of ${name}`, oninput: () => this.#search() });
    this.filters = element("div", { class: "filters", hidden: true }, this.words);
    this.plots = element("div", { class: "plots" });
    this.readout = element("p", { class: "readout", "aria-live": "off" });
    this.legend = element("ul", { class: "legend" });
    this.darkest = element("span");
    const shades = [0, 1, 2, 3, 4].map((shade) => element("i", { class: `heat-${shade}` }));
    this.scale = element("p", { class: "scale", hidden: true, title: "The shade of a cell grows with the logarithm of its count." }, element("span", {}, "0/s"), ...shades, this.darkest);
    this.note = element("p", { class: "note" });
    this.element = element("article", { class: "panel", "data-family": name }, this.title, this.help, this.filters, this.plots, this.readout, this.legend, this.scale, this.note);
    this.sides = view.stores.map((store) => this.#side(store));
    this.plots.append(...this.sides.map((side) => side.figure));
  }

  get family() {
    return this.view.stores.map((store) => store.families.get(this.name)).find(Boolean);
  }

  #side(store) {
    const canvas = element("canvas", { tabindex: "0", role: "img" });
    const caption = this.view.stores.length > 1 ? element("figcaption", {}, store.name) : null;
    const side = { store, canvas, figure: element("figure", {}, caption, canvas), drawn: null };
    canvas.addEventListener("pointermove", (event) => this.#point(side, event.offsetX, event.offsetY));
    canvas.addEventListener("pointerleave", () => this.#leave());
    canvas.addEventListener("blur", () => this.#leave());
    canvas.addEventListener("keydown", (event) => this.#key(side, event));
    return side;
  }

  #leave() {
    this.cursor = null;
    this.draw();
  }

  #point(side, x, y) {
    this.cursor = { side, x, y };
    this.draw();
  }

  #key(side, event) {
    const { area, groups, shown, span } = side.drawn ?? {};
    if (!area || groups.length === 0) return;
    const rows = shown ? shown.last - shown.first + 1 : 20;
    const cell = { x: (area.width * groups.at(-1).dt * 1000) / (span.to - span.from), y: area.height / rows };
    const here = this.cursor ?? { x: area.x + area.width - cell.x / 2, y: area.y + area.height - cell.y / 2 };
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === "Escape") this.#leave();
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const within = (value, low, size) => Math.min(low + size - 0.5, Math.max(low + 0.5, value));
    this.#point(side, within(here.x + step[0] * cell.x, area.x, area.width), within(here.y + step[1] * cell.y, area.y, area.height));
  }

  /** Draws it, if it can be seen. */
  draw() {
    const family = this.family;
    if (!family || !this.isVisible) return;
    const before = performance.now();
    setProse(this.help, [family.help, this.about].filter(Boolean).join(" "));
    this.#updateFilters();
    if (family.kind === "histogram") this.#drawHistogram(family);
    else this.#drawLines(family);
    this.#drawNote(family);
    this.drawTime = performance.now() - before;
  }

  #prepare(side) {
    const family = side.store.families.get(this.name);
    const span = this.view.span(side.store);
    const width = Math.max(60, side.canvas.clientWidth - MARGIN.left - MARGIN.right);
    const groups = groupFrames(side.store.frames.between(span.from, span.to), Math.floor(width / 1.5));
    return { family, span, groups };
  }

  #drawHistogram(family) {
    const drawings = this.sides.map((side) => {
      const prepared = this.#prepare(side);
      const { family, span, groups } = prepared;
      return { side, ...prepared, map: family ? heatMap(family, groups, span.from, span.to, this.filter) : null };
    });
    const maps = drawings.filter((drawing) => drawing.map);
    const shown = shownRows(maps.map((drawing) => drawing.map), family.rows.length);
    let most = 0;
    for (const { map, groups } of maps) map.counts.forEach((count, at) => (most = Math.max(most, count / groups[Math.floor(at / map.rows)].dt)));
    for (const { side, family, span, groups, map } of maps) {
      const area = drawHeatMap(side.canvas, this.view.colours, family, groups, map, span, shown, most);
      side.drawn = { area, groups, shown, map, family, span };
      side.canvas.setAttribute("aria-label", `${this.name}: ${this.#nowText(side)}`);
    }
    this.scale.hidden = most === 0;
    setText(this.darkest, `${show(most)}/s in a bucket, on a logarithmic scale`);
    this.#readHistogram(family);
    const sums = this.sides.filter((side) => side.drawn).map((side) => this.#sum(side));
    const values = (name) => sums.map(({ found }) => (found ? quantileText(found[name], family.unit) : "–")).join(" · ");
    this.#keys([["p50", "p50, the median", values("p50")], ["p99", "p99", values("p99")], ["max", "max, a bucket's bound", values("max")]]);
  }

  /** All counts of what is drawn, and the time that they are of. */
  #sum({ drawn: { map, groups, family } }) {
    const sums = new Float64Array(map.rows);
    let seconds = 0;
    groups.forEach((group, at) => {
      if (map.isUnknown[at]) return;
      seconds += group.dt;
      for (let row = 0; row < map.rows; row++) sums[row] += map.counts[at * map.rows + row];
    });
    return { found: summary(sums, family.rows), seconds, family };
  }

  #nowText(side) {
    const { found, seconds, family } = this.#sum(side);
    return histogramText(found, seconds, family);
  }

  #readHistogram(family) {
    const cursor = this.cursor;
    const texts = this.sides.filter((side) => side.drawn).map((side) => {
      const name = this.sides.length > 1 ? `${side.store.name}: ` : "";
      if (!cursor || cursor.side !== side) return `${name}${this.#nowText(side)}`;
      const { area, groups, shown, map, span } = side.drawn;
      const at = groupAt(groups, area, span, cursor.x);
      if (at < 0) return `${name}nothing is known of that time`;
      const rows = shown.last - shown.first + 1;
      const row = shown.first + Math.min(rows - 1, Math.max(0, Math.floor(((area.y + area.height - cursor.y) / area.height) * rows)));
      drawCross(side.canvas, this.view.colours, area, cursor.x, cursor.y);
      const group = groups[at];
      const bucket = `${clock(group.t)}, ${rowText(family, row)}: ${show(map.counts[at * map.rows + row] / group.dt)}/s`;
      return `${name}${bucket}; all: ${map.isUnknown[at] ? "unknown" : histogramText(map.quantiles[at], group.dt, family)}`;
    });
    setText(this.readout, texts.join(" · "));
  }

  #drawLines(family) {
    const lines = family.kind === "gauge" ? gaugeLines : counterLines;
    const drawings = this.sides.map((side) => {
      const prepared = this.#prepare(side);
      const { family, span, groups } = prepared;
      return { side, ...prepared, found: family ? lines(family, groups, span.from, span.to, this.filter, MOST_LINES) : { lines: [], others: 0 } };
    });
    // One colour for a series on both sides.
    const order = [...new Set(drawings.flatMap(({ found }) => found.lines.map((line) => line.series.block)))];
    let [low, high] = [0, 0];
    for (const { found } of drawings) {
      for (const { values } of found.lines) for (const value of values) if (!Number.isNaN(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
    if (high === low) high = low + 1;
    const label = (value) => (family.kind === "gauge" ? show(value, family.unit) : show(value, family.unit === "seconds" ? "ratio" : family.unit));
    for (const { side, family, span, groups, found } of drawings) {
      if (!family) continue;
      const placed = order.map((block) => found.lines.find((line) => line.series.block === block) ?? { values: [] });
      const area = drawLines(side.canvas, this.view.colours, groups, placed, span, low, high * 1.05, label);
      side.drawn = { area, groups, lines: placed, family, span };
      side.canvas.setAttribute("aria-label", `${this.name}: ${order.length} series, at most ${this.#value(family, high)}`);
    }
    this.others = Math.max(...drawings.map(({ found }) => found.others));
    this.#readLines(family, order);
  }

  #value(family, value) {
    return family.kind === "gauge" ? show(value, family.unit) : showRate(value, family.unit);
  }

  #readLines(family, order) {
    const cursor = this.cursor;
    const drawn = this.sides.filter((side) => side.drawn);
    let when = family.kind === "gauge" ? "latest values" : "latest rates";
    if (cursor?.side.drawn?.lines) {
      const { area, groups, span } = cursor.side.drawn;
      const at = groupAt(groups, area, span, cursor.x);
      when = at < 0 ? "nothing is known of that time" : clock(groups[at].t);
      drawCross(cursor.side.canvas, this.view.colours, area, cursor.x, null);
    }
    setText(this.readout, order.length === 0 ? "" : when);
    const shared = sharedLabels(order.map((block) => family.series.get(block)).filter(Boolean));
    const items = order.map((block, place) => {
      const series = this.view.stores.map((store) => store.families.get(this.name)?.series.get(block)).find(Boolean);
      const values = drawn.map((side) => {
        const at = cursor?.side === side ? groupAt(side.drawn.groups, side.drawn.area, side.drawn.span, cursor.x) : side.drawn.groups.length - 1;
        const value = at < 0 ? NaN : side.drawn.lines[place]?.values[at];
        return this.#value(family, value ?? NaN);
      });
      return [`line-${place % 8}`, series ? showLabels(series.labels, shared) : block, values.join(" · ")];
    });
    this.#keys(items);
  }

  /** The legend: a colour, a name and a value each. */
  #keys(items) {
    while (this.legend.children.length > items.length) this.legend.lastChild.remove();
    items.forEach(([colour, name, value], at) => {
      const item = this.legend.children[at] ?? this.legend.appendChild(element("li", {}, element("i"), element("span"), element("b")));
      const [mark, label, number] = item.children;
      if (mark.className !== colour) mark.className = colour;
      setText(label, name);
      label.title = name;
      setText(number, value);
    });
  }

  #drawNote(family) {
    const notes = [];
    const followed = family.slots.size;
    if (family.isAbsent) notes.push("Nothing new: its package was not read in time, or is gone.");
    if (family.total > followed) notes.push(`${followed.toLocaleString("en")} of ${family.total.toLocaleString("en")} series are followed here; /metrics has all.`);
    if (family.kind !== "histogram" && this.others > 0) notes.push(`${this.others.toLocaleString("en")} more series are below these.`);
    if (family.slots.size === 0 && !family.isAbsent) notes.push("No series now: nothing of it was counted, or what it was about is gone.");
    setProse(this.note, notes.join(" "));
  }

  /**
   * Lists of values for labels that have few, and a field for words. What stays is left where it is: an element that is made anew or put elsewhere loses
   * the focus, and with it what somebody is typing.
   */
  #updateFilters() {
    // A value that is chosen stays in its list when its series are gone, so that it can be left again.
    const values = new Map([...this.filter.chosen].map(([label, value]) => [label, new Set([value])]));
    for (const store of this.view.stores) {
      for (const series of store.families.get(this.name)?.present() ?? []) {
        for (const [label, value] of series.labels) {
          if (!values.has(label)) values.set(label, new Set());
          values.get(label).add(value);
        }
      }
    }
    this.filters.hidden = ![...values.values()].some((all) => all.size > 1);
    const wanted = new Map([...values].filter(([, all]) => all.size > 1 && all.size <= LISTED_VALUES).map(([label, all]) => [label, [...all].sort()]));
    const key = JSON.stringify([...wanted]);
    if (key === this.filterKey) return;
    this.filterKey = key;
    for (const [label, list] of this.lists) {
      if (wanted.has(label)) continue;
      list.remove();
      this.lists.delete(label);
    }
    for (const [label, all] of wanted) this.#list(label).replaceChildren(...this.#options(label, all));
  }

  /** The list for a label, which is made if it is not there. */
  #list(label) {
    if (!this.lists.has(label)) {
      const list = element("select", { "aria-label": `${label} of ${this.name}`, onchange: () => this.#choose(label, list) });
      this.lists.set(label, list);
      this.words.before(list);
    }
    return this.lists.get(label);
  }

  #options(label, all) {
    const chosen = this.filter.chosen.get(label);
    const options = all.map((value) => element("option", { value, selected: chosen === value }, value === "" ? '""' : value));
    return [element("option", { value: "\0" }, `${label}: all`), ...options];
  }

  #search() {
    this.filter = { ...this.filter, words: this.words.value.toLowerCase().split(/\s+/).filter(Boolean) };
    this.draw();
  }

  #choose(label, list) {
    const chosen = new Map(this.filter.chosen);
    if (list.value === "\0") chosen.delete(label);
    else chosen.set(label, list.value);
    this.filter = { ...this.filter, chosen };
    this.draw();
  }
}

/** The rows that have counts in any map, and one more on each side. */
function shownRows(maps, rows) {
  let [first, last] = [rows, -1];
  for (const { counts } of maps) {
    counts.forEach((count, at) => {
      if (count <= 0) return;
      const row = at % rows;
      first = Math.min(first, row);
      last = Math.max(last, row);
    });
  }
  if (last < 0) return { first: 0, last: rows - 1 };
  return { first: Math.max(0, first - 1), last: Math.min(rows - 1, last + 1) };
}

/** The group at a place of an area; -1: there is none. */
function groupAt(groups, area, span, x) {
  const t = span.from + ((x - area.x) / area.width) * (span.to - span.from);
  return groups.findIndex((group) => t <= group.t && t > group.t - group.dt * 1000 - 1);
}

function rowText(family, row) {
  const [low, high] = [row > 0 ? family.rows[row - 1] : 0, family.rows[row]];
  return high === Infinity ? `above ${show(low, family.unit)}` : `${show(low, family.unit)} to ${show(high, family.unit)}`;
}

function histogramText(found, seconds, family) {
  if (!found) return "no observations";
  const value = (quantile) => quantileText(quantile, family.unit);
  return `${show(found.total / (seconds || 1))}/s, p50 ${value(found.p50)}, p99 ${value(found.p99)}, max ${value(found.max)}`;
}

function quantileText({ value, isAbove }, unit) {
  return isAbove ? `above ${show(value, unit)}` : show(value, unit);
}

/** Labels that all series have alike. */
function sharedLabels(all) {
  const shared = new Map(all.length > 1 ? all[0].labels : []);
  for (const series of all) for (const [name, value] of shared) if (series.labels.get(name) !== value) shared.delete(name);
  return shared;
}
