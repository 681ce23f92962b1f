// A section for each package, and one for the host: state, cost, what is left out, panels, programs and maps.

import { element, setText } from "./dom.js";
import { Panel } from "./panel.js";
import * as status from "./status.js";

const HOST = "";
const KIND_ORDER = { histogram: 0, counter: 1, gauge: 2 };

export class Sections {
  /** `place` is the element that they are put into. */
  constructor(place, view) {
    this.place = place;
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
    };
    section.fold = element("details", { class: "more" }, element("summary", {}, name === HOST ? "The host's own metrics" : "Programs, maps and limits"), name === HOST ? section.grid : section.details);
    section.fold.addEventListener("toggle", () => this.update());
    const described = this.view.described.packages[name];
    const title = element("h2", {}, name === HOST ? "The host" : name, described ? element("small", {}, described) : null);
    section.element = element("section", { class: "package", "data-package": name }, element("header", {}, title, section.chip, section.cost), section.sentence, section.fault, section.left, name === HOST ? null : section.grid, section.fold);
    this.sections.set(name, section);
    const after = [...this.sections.keys()].filter((other) => other !== HOST && (name === HOST || other > name)).sort()[0];
    const before = name === HOST ? null : this.sections.get(after ?? HOST);
    if (before && before !== section && before.element.parentNode) this.place.insertBefore(section.element, before.element);
    else this.place.append(section.element);
  }

  #updateSection(section, found, families) {
    const { pack, report } = found ?? {};
    if (pack && section.pack !== pack) this.#updateStatus(section, pack, report);
    if (section.name === HOST && !section.fold.open) return;
    const place = (family) => this.view.described.families[family.name]?.place ?? 1000 + KIND_ORDER[family.kind];
    const sorted = families.sort((a, b) => place(a) - place(b) || a.name.localeCompare(b.name));
    // A family without series has no panel until it has some.
    const shown = sorted.filter((family) => family.series.size > 0).map((family) => family.name);
    for (const name of shown) {
      if (this.panels.has(name)) continue;
      const panel = new Panel(name, this.view);
      this.panels.set(name, panel);
      const next = shown.slice(shown.indexOf(name) + 1).find((other) => this.panels.get(other)?.element.parentNode === section.grid);
      section.grid.insertBefore(panel.element, next ? this.panels.get(next).element : null);
      this.visible.observe(panel.element);
    }
    for (const child of [...section.grid.children]) {
      const name = child.dataset.family;
      if (shown.includes(name)) continue;
      this.visible.unobserve(child);
      this.panels.delete(name);
      child.remove();
    }
  }

  #updateStatus(section, pack, report) {
    section.pack = pack;
    const { kind, word, sentence } = status.stateOf(pack);
    section.chip.className = `chip ${kind}`;
    setText(section.chip, word.replace("_", " "));
    const cost = status.costOf(pack, report);
    section.cost.title = cost.kernelWhy;
    setText(section.cost, pack.fault ? "" : `${cost.kernel === null ? "" : `programs ${cost.kernel}, `}host ${cost.host} of a CPU`);
    setText(section.sentence, sentence);
    const fault = pack.fault || (pack.last_failure ? `Last failure, ${pack.last_failure.reason}: ${pack.last_failure.message}` : "");
    section.fault.hidden = fault === "";
    setText(section.fault, fault);
    const left = status.leftOut(pack);
    if (JSON.stringify(left) !== section.leftKey) section.left.replaceChildren(...left.map((text) => element("li", {}, text)));
    section.leftKey = JSON.stringify(left);
    section.fold.hidden = pack.fault !== "";
    if (!section.fold.open) return;
    const note = status.runsNote(pack);
    section.details.replaceChildren(status.programs(pack, report), note ? element("p", { class: "note" }, note) : "", status.maps(pack), status.limits(pack));
  }

  /** After the colours or the sizes changed. */
  draw() {
    for (const panel of this.panels.values()) panel.draw();
  }
}
