// The page: what is looked at, for how long, and in which colours.

import { element, setText } from "./dom.js";
import { palette } from "./draw.js";
import { Sections } from "./sections.js";
import { LiveSource, readRecording } from "./source.js";
import { hostLine } from "./status.js";
import { Store } from "./store.js";
import { clock, duration } from "./units.js";

/** A page that nobody sees for so long stops listening: nothing runs for it. */
const HIDDEN_MS = 5 * 60_000;
const MINUTE = 60_000;
/** A picture of more than a quarter of an hour changes little in a second: it is drawn so often. */
const LONG_PICTURE_MS = 5_000;
const WINDOWS = [["1 min", MINUTE], ["5 min", 5 * MINUTE], ["15 min", 15 * MINUTE], ["1 h", 60 * MINUTE], ["2 h", 120 * MINUTE]];
const THEMES = ["auto", "light", "dark"];

const at = (id) => document.getElementById(id);

/** The address of something beside this page; without the user and the password that the page's own address may have. */
const beside = (path) => new URL(path, `${location.origin}${location.pathname}`);

const view = {
  stores: [],
  window: 5 * MINUTE,
  /** Titles, order and notes of families, and titles of packages, where somebody has described them. */
  described: { families: {}, packages: {} },
  /** Milliseconds since 1970 at which the picture stands still; none: it moves. */
  paused: null,
  isLive: true,
  colours: null,
  span(store) {
    const [first, last] = [store.frames.first?.t ?? 0, store.frames.last?.t ?? 0];
    if (this.isLive) {
      const to = this.paused ?? Math.max(last, Date.now() - 1500);
      return { from: to - this.window, to };
    }
    // A recording is shown from its beginning; of one that is longer than the window the end. Two of them have a common scale.
    const longest = Math.max(...this.stores.map((each) => (each.frames.last?.t ?? 0) - (each.frames.first?.t ?? 0)));
    const isWhole = longest + 1000 <= this.window;
    const from = isWhole ? first - 1000 : last - this.window;
    return { from, to: from + (isWhole ? longest + 1000 : this.window), relative: this.stores.length > 1 ? first - 1000 : undefined };
  },
};

let sections;
let isDrawn = false;
let shownAt = -Infinity;

/** Draws at the next frame of the screen. */
function redraw() {
  if (isDrawn) return;
  isDrawn = true;
  requestAnimationFrame(() => {
    isDrawn = false;
    sections.update();
    describe();
  });
}

/** Draws what came, not more often than it can be seen. */
function show() {
  const pause = view.window > 15 * MINUTE ? LONG_PICTURE_MS : 0;
  if (performance.now() - shownAt < pause) return describe();
  shownAt = performance.now();
  redraw();
}

function describe() {
  const report = view.stores[0].report;
  if (report) {
    const { text, isBad } = hostLine(report);
    setText(at("host-line"), text);
    at("host-line").classList.toggle("bad", isBad);
    const log = report.log ?? [];
    setText(at("log-text"), log.join("\n"));
    at("log").hidden = log.length === 0;
  }
  const damaged = view.stores.reduce((sum, store) => sum + store.damaged + store.left, 0);
  if (!view.isLive) {
    const parts = view.stores.map((store) => `${store.name}: ${clock(store.frames.first.t)} to ${clock(store.frames.last.t)}`);
    setText(at("state"), "recording");
    setText(at("state-text"), parts.join("; ") + (damaged > 0 ? `; ${damaged} damaged parts are left out` : ""));
  } else if (view.paused !== null) {
    setText(at("state-text"), `Paused at ${clock(view.paused)}; new data is still received.`);
  }
}

function setState(word, sentence) {
  at("state").className = `chip ${word}`;
  setText(at("state"), view.paused !== null ? "paused" : word);
  if (view.paused === null) setText(at("state-text"), sentence || covered());
}

function covered() {
  const { first, last } = view.stores[0].frames;
  return first ? `${duration((last.t - first.t) / 1000)} of history` : "Waiting for the first frame.";
}

function pause() {
  if (!view.isLive) return;
  view.paused = view.paused === null ? view.stores[0].frames.last?.t ?? Date.now() : null;
  at("pause").setAttribute("aria-pressed", String(view.paused !== null));
  setText(at("pause"), view.paused === null ? "Pause" : "Resume");
  setText(at("state"), view.paused === null ? "live" : "paused");
  redraw();
}

function choose(length) {
  view.window = length;
  for (const button of at("windows").children) button.setAttribute("aria-pressed", String(Number(button.value) === length));
  redraw();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  setText(at("theme"), `Colours: ${theme}`);
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // Not kept where the browser keeps nothing.
  }
  view.colours = palette();
  sections?.draw();
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const window = WINDOWS[Number(event.key) - 1];
  if (window) choose(window[1]);
  else if (event.key === " " && !event.target.matches("button, summary, a")) pause();
  else if (event.key === "t") nextTheme();
  else if (event.key === "/") filterField()?.focus();
  else if (event.key === "?") at("keys").open = !at("keys").open;
  else return;
  event.preventDefault();
}

/** The field for words of the first panel on the screen that has one, or else of the first panel. One in a fold that is closed takes no focus. */
function filterField() {
  const fields = [...document.querySelectorAll(".filters input")].filter((field) => field.checkVisibility());
  const isOnScreen = ({ top, bottom }) => top >= 0 && bottom <= innerHeight;
  return fields.find((field) => isOnScreen(field.getBoundingClientRect())) ?? fields[0];
}

function nextTheme() {
  setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]);
}

async function live(source) {
  const store = new Store();
  view.stores = [store];
  sections = new Sections(at("packages"), at("overview"), view);
  const stream = new LiveSource(store, beside(source.stream), show, setState);
  let hidden;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(() => stream.stop(), HIDDEN_MS);
    else stream.start();
  });
  stream.start();
  if (source.window_seconds > 0) at("dump").hidden = false;
}

async function recordings(source) {
  view.isLive = false;
  at("pause").hidden = true;
  for (const { name, url } of source.recordings) {
    const store = new Store(name);
    const response = await fetch(beside(url));
    if (!response.ok) throw new Error(`${name}: status ${response.status}`);
    await readRecording(store, new Uint8Array(await response.arrayBuffer()));
    view.stores.push(store);
  }
  choose(WINDOWS.at(-1)[1]);
  sections = new Sections(at("packages"), at("overview"), view);
  redraw();
}

async function start() {
  at("windows").append(...WINDOWS.map(([name, length]) => element("button", { type: "button", value: length, "aria-pressed": "false", onclick: () => choose(length) }, name)));
  let theme = "auto";
  try {
    theme = localStorage.getItem("theme") ?? theme;
  } catch {
    // Not kept where the browser keeps nothing.
  }
  setTheme(THEMES.includes(theme) ? theme : "auto");
  at("pause").addEventListener("click", pause);
  at("theme").addEventListener("click", nextTheme);
  document.addEventListener("keydown", keys);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(document.documentElement.dataset.theme));
  addEventListener("resize", () => sections && redraw());
  document.title = location.hostname ? `${location.hostname} – ebhost` : "ebhost";
  view.described = await (await fetch(beside("page/panels.json"))).json();
  const source = await (await fetch(beside("page/source.json"))).json();
  if (source.recordings) await recordings(source);
  else await live(source);
  for (const button of at("windows").children) button.setAttribute("aria-pressed", String(Number(button.value) === view.window));
}

/** For tests and for the curious: what the page knows. */
globalThis.ebhost = view;

start().catch((error) => {
  at("state").className = "chip bad";
  setText(at("state"), "error");
  setText(at("state-text"), error.message);
});
