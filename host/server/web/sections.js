// A section for each package, and one for the host: state, cost, what is left out, panels, programs and maps.

import { element, prose, setProse, setText } from "./dom.js";
import { plural } from "./units.js";
import { Panel } from "./panel.js";
import * as status from "./status.js";

const HOST = "";
const KIND_ORDER = { histogram: 0, counter: 1, gauge: 2 };

export class Sections {
  /** `place` is the element that they are put into, `overview` the one for a link to each. */
  constructor(place, overview, view) {
    this.place = place;
    this.overview = overview;
    this.view = view;
    this.sections = new Map();
    this.panels = new Map();
    this.visible = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const panel = this.panels.get(entry.target.dataset.family);
        if (!panel) continue;
        panel.isVisible = entry.isIntersecting;
        if (entry.isIntersecting) panel.draw();
      }
    }, { rootMargin: "200px" });
  }

  /** Makes what is new, removes what is gone, and draws what can be seen. */
  update() {
    const families = new Map();
    for (const store of this.view.stores) for (const family of store.families.values()) families.set(family.name, family);
    const packages = new Map();
    for (const store of this.view.stores) {
      for (const pack of store.report?.packages ?? []) if (!packages.has(pack.name) || pack.fault === "") packages.set(pack.name, { pack, report: store.report });
    }
    const names = new Set([...packages.keys(), ...[...families.values()].map((family) => family.pack)]);
    for (const name of [...names].sort((a, b) => (a === HOST) - (b === HOST) || a.localeCompare(b))) {
      if (!this.sections.has(name)) this.#add(name);
      this.#updateSection(this.sections.get(name), packages.get(name), [...families.values()].filter((family) => family.pack === name));
    }
    for (const [name, section] of this.sections) {
      if (names.has(name)) continue;
      section.element.remove();
      section.link.remove();
      this.sections.delete(name);
    }
    for (const panel of this.panels.values()) panel.draw();
  }

  #add(name) {
    const section = {
      name,
      chip: element("span", { class: "chip" }),
      cost: element("span", { class: "cost" }),
      sentence: element("p", { class: "sentence" }),
      fault: element("pre", { class: "fault", hidden: true }),
      left: element("ul", { class: "left" }),
      grid: element("div", { class: "grid" }),
      details: element("div", { class: "tables" }),
      quietGrid: element("div", { class: "grid" }),
      quietNames: element("summary"),
      linkCost: element("small"),
    };
    section.quiet = element("details", { class: "more", hidden: true }, section.quietNames, section.quietGrid);
    section.quiet.addEventListener("toggle", () => this.update());
    const isHost = name === HOST;
    section.fold = element("details", { class: "more" }, element("summary", {}, isHost ? "The host's own metrics" : "Programs, maps and limits"), ...(isHost ? [section.grid, section.quiet] : [section.details]));
    section.fold.addEventListener("toggle", () => this.update());
    const described = this.view.described.packages[name];
    const id = `package-${name}`;
    const title = element("h2", {}, isHost ? "The host" : name, described ? element("small", {}, described) : null);
    section.element = element("section", { class: "package", id, "data-package": name }, element("header", {}, title, section.chip, section.cost), section.sentence, section.fault, section.left, isHost ? null : section.grid, section.fold, isHost ? null : section.quiet);
    section.link = element("a", { href: `#${id}` }, isHost ? null : element("i"), isHost ? "The host" : name, section.linkCost);
    this.sections.set(name, section);
    const after = [...this.sections.keys()].filter((other) => other !== HOST && (isHost || other > name)).sort()[0];
    const before = isHost ? undefined : this.sections.get(after ?? HOST);
    const next = before !== section && before?.element.parentNode ? before : null;
    this.place.insertBefore(section.element, next?.element ?? null);
    this.overview.insertBefore(section.link, next?.link ?? null);
  }

  #updateSection(section, found, families) {
    const { pack, report } = found ?? {};
    if (pack && section.pack !== pack) this.#updateStatus(section, pack, report);
    if (section.name === HOST && !section.fold.open) return;
    const described = this.view.described.families;
    const place = (family) => described[family.name]?.place ?? 1000 + KIND_ORDER[family.kind];
    const sorted = families.sort((a, b) => place(a) - place(b) || a.name.localeCompare(b.name));
    // A family without series has no panel until it has some. One of which nothing happened is folded away.
    const shown = sorted.filter((family) => family.series.size > 0);
    const folded = shown.filter((family) => family.isQuiet).map((family) => family.name);
    const names = new Set(shown.map((family) => family.name));
    for (const child of [...section.grid.children, ...section.quietGrid.children]) {
      const name = child.dataset.family;
      if (names.has(name)) continue;
      this.visible.unobserve(child);
      this.panels.delete(name);
    }
    this.#placePanels(section.grid, [...names].filter((name) => !folded.includes(name)));
    this.#placePanels(section.quietGrid, folded);
    section.quiet.hidden = folded.length === 0;
    setText(section.quietNames, `${plural(folded.length, "metric", "metrics")} at 0: ${folded.join(", ")}`);
  }

  /**
   * Puts the panels of these families into a grid, in this order, and takes all others out. Those that are where they belong are not touched: a field in
   * them may have the focus.
   */
  #placePanels(grid, names) {
    for (const child of [...grid.children]) if (!names.includes(child.dataset.family)) child.remove();
    names.forEach((name, at) => {
      let panel = this.panels.get(name);
      if (!panel) {
        panel = new Panel(name, this.view);
        this.panels.set(name, panel);
        this.visible.observe(panel.element);
      }
      if (grid.children[at] !== panel.element) grid.insertBefore(panel.element, grid.children[at] ?? null);
    });
  }

  #updateStatus(section, pack, report) {
    section.pack = pack;
    const { kind, word, sentence } = status.stateOf(pack);
    section.chip.className = `chip ${kind}`;
    setText(section.chip, word.replace("_", " "));
    section.link.className = kind;
    section.link.title = `${word.replace("_", " ")}: ${sentence}`;
    const cost = status.costOf(pack, report);
    section.cost.title = cost.kernelWhy;
    setText(section.cost, pack.fault ? "" : `${cost.kernel === null ? "" : `programs ${cost.kernel}, `}host ${cost.host} of a CPU`);
    setText(section.linkCost, pack.fault ? "refused" : (cost.kernel ?? cost.host));
    setProse(section.sentence, sentence);
    const fault = pack.fault || (pack.last_failure ? `Last failure, ${pack.last_failure.reason}: ${pack.last_failure.message}` : "");
    section.fault.hidden = fault === "";
    setText(section.fault, fault);
    const left = status.leftOut(pack);
    if (JSON.stringify(left) !== section.leftKey) section.left.replaceChildren(...left.map((text) => element("li", {}, prose(text))));
    section.leftKey = JSON.stringify(left);
    section.fold.hidden = pack.fault !== "";
    if (!section.fold.open) return;
    const note = status.runsNote(pack);
    section.details.replaceChildren(status.programs(pack, report), note ? element("p", { class: "note" }, prose(note)) : "", status.maps(pack), status.limits(pack));
  }

  /** After the colours or the sizes changed. */
  draw() {
    for (const panel of this.panels.values()) panel.draw();
  }
}
