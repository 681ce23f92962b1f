// The report on host and packages in sentences. A number that means nothing is called unknown, with its reason.

import { element, table } from "./dom.js";
import { duration, plural, show } from "./units.js";

const STATES = {
  running: ["up", "Up."],
  admitted: ["up", "Loaded and attached; its plugin was not asked about anything yet, because nothing was counted since."],
  backing_off: ["bad", "Backing off: its plugin failed, and is asked again soon. Series that are labelled are counted on; new keys wait."],
  quarantined: ["bad", "Quarantined: its plugin failed five times in a row. It is asked again in an hour, or when its files change."],
  refused: ["bad", "Refused: it was not loaded, for the reason below. It is tried again when its files change, or when the reason may be gone."],
  over_budget: ["bad", "Over budget: its programs took more CPU time than `limits: kernel_cpu` allows, so they were detached. It is tried again later."],
};

/** The state of a package: a class, one word, and a sentence. */
export function stateOf(pack) {
  const [kind, sentence] = STATES[pack.state] ?? [pack.is_up ? "up" : "bad", `Its state is ${pack.state ?? "unknown"}.`];
  const more = [];
  if (pack.fault === "") {
    more.push(`${plural(pack.series, "series", "series")} from ${plural(pack.entries, "entry", "entries")}.`);
    if (pack.series === 0 && pack.state === "running") more.push("There are no series because nothing that it counts has happened, or all of it was left out.");
    if (pack.unlabelled > 0) more.push(`${plural(pack.unlabelled, "identity waits", "identities wait")} for the plugin to label them.`);
    if (pack.folded > 0) more.push(`${plural(pack.folded, "label set was", "label sets were")} folded into \`other\`: there are more than limits.series or the size of an answer allow.`);
    if (!pack.is_current) more.push("Its files have changed, but the new version was refused; the previous one runs.");
    if (pack.late_scrapes > 0) more.push(`It was too late for ${plural(pack.late_scrapes, "collection")} and left out of them.`);
  }
  return { kind, word: pack.state ?? "unknown", sentence: [sentence, ...more].join(" ") };
}

/** Sentences on data that a package leaves out, and why. */
export function leftOut(pack) {
  const texts = [];
  for (const program of pack.programs) if (program.fault) texts.push(`The program ${program.name} is not attached: ${program.fault}`);
  for (const [reason, count] of pack.lost) if (count > 0) texts.push(`Not counted, because of \`${reason}\`: ${count.toLocaleString("en")}.`);
  for (const [reason, count] of pack.dropped) if (count > 0) texts.push(`${plural(count, "identity has", "identities have")} no series, because of \`${reason}\`.`);
  for (const map of pack.maps) if (map.read_errors > 0) texts.push(`${plural(map.read_errors, "read")} of the map ${map.name} failed.`);
  for (const event of pack.events) if (event.lost > 0) texts.push(`${plural(event.lost, "event")} of ${event.source} were lost.`);
  const perf = new Map();
  for (const event of pack.perf) {
    if (event.state === "live") continue;
    const key = `The event ${event.event} is ${event.state}${event.reason ? `: ${event.reason}` : ""}`;
    perf.set(key, [...(perf.get(key) ?? []), event.cpu]);
  }
  for (const [text, cpus] of perf) texts.push(`${text} (CPU ${cpus.join(", ")}).`);
  if (pack.missing_symbols > 0) texts.push(`${plural(pack.missing_symbols, "kernel symbol")} of \`kaddrs\` are not shown by the kernel.`);
  return texts;
}

/** CPU time of a package: of its programs in the kernel, and of reading, labelling and counting in the host. */
export function costOf(pack, report) {
  const rates = report.rates?.packages.find((of) => of.file === pack.file);
  const host = rates ? rates.cpu.reduce((sum, [, cpu]) => sum + cpu, 0) : null;
  return {
    host: host === null ? "unknown yet" : show(host, "ratio"),
    kernel: pack.programs.length === 0 ? null : pack.kernel_cpu ? show(pack.kernel_cpu.ratio, "ratio") : "unknown",
    kernelWhy: pack.kernel_cpu || pack.programs.length === 0 ? "" : whyUnmeasured(report),
  };
}

function whyUnmeasured(report) {
  return report.kernel_cpu_measured
    ? "not measured yet: a window of 10 ms every 10 s measures it"
    : "cost is unknown because the kernel's run statistics could not be switched on: that takes CAP_SYS_ADMIN at the start; or another process has them on";
}

export function programs(pack, report) {
  const rates = report.rates?.packages.find((of) => of.file === pack.file)?.programs ?? [];
  const unknown = () => element("span", { class: "unknown", title: whyUnmeasured(report) }, "unknown");
  if (pack.programs.length === 0) return "";
  const rows = pack.programs.map((program) => {
    const rate = rates.find((rate) => rate.name === program.name);
    const share = program.cpu_ratio ?? rate?.cpu ?? null;
    const run = program.run_duration_seconds;
    return [
      program.name,
      program.fault ? `no: ${program.fault}` : "yes",
      rate ? `${show(rate.runs)}/s` : unknown(),
      run !== null ? show(run, "seconds") : share === 0 ? "did not run" : unknown(),
      share !== null ? show(share, "ratio") : unknown(),
    ];
  });
  return table(["program", "attached", "runs", "a run", "of a CPU"], rows);
}

/** Why the rates of runs are unknown, if they are. */
export function runsNote(pack) {
  if (pack.runs_are_measured || pack.programs.length === 0) return "";
  return "Runs are unknown because the kernel's run statistics are off; they cost each run about 0.1 µs, and --bpf.stats switches them on. The share of a CPU is measured in short windows all the same.";
}

const ROOM = { bounded: "refuses new keys when full", evicting: "gives up old keys", fixed: "has all entries from the start" };

export function maps(pack) {
  const memory = new Map(pack.map_memory);
  if (pack.maps.length === 0) return "";
  const rows = pack.maps.map((map) => [
    map.name,
    map.room === "fixed" ? `${map.entries.toLocaleString("en")}` : `${map.entries.toLocaleString("en")} of ${map.max_entries.toLocaleString("en")}`,
    ROOM[map.room] ?? map.room,
    memory.has(map.name) ? show(memory.get(map.name), "bytes") : "unknown",
    show(map.read_seconds, "seconds"),
  ]);
  return table(["map", "entries", "", "memory", "last read"], rows);
}

export function limits(pack) {
  const recent = new Map(pack.limits_used_recently);
  const rows = pack.limits_used.map(([limit, part]) => [limit, show(part, "ratio"), recent.has(limit) ? show(recent.get(limit), "ratio") : "set when it was loaded"]);
  return table(["limit", "most used", "in the last 5 minutes"], rows);
}

/** One line about the host. */
export function hostLine(report) {
  const up = report.packages.filter((pack) => pack.is_up).length;
  const refused = report.packages.filter((pack) => pack.fault !== "").length;
  const down = report.packages.length - up - refused;
  const process = report.process;
  const running = process.start_seconds ? `, running for ${duration(Date.now() / 1000 - process.start_seconds)}` : "";
  const cpu = report.rates ? show(report.rates.cpu.reduce((sum, [, cpu]) => sum + cpu, 0), "ratio") : null;
  const parts = [`${plural(report.packages.length, "package")}: ${up} up, ${down} down, ${refused} refused`];
  if (cpu) parts.push(`collecting takes ${cpu} of a CPU`);
  parts.push(`${show(process.resident_bytes, "bytes")} of memory`);
  if (report.scrapes === 0) parts.push("nobody has scraped /metrics yet");
  return { text: `ebhost ${report.build.version}${running}. ${parts.join("; ")}.`, isBad: down + refused > 0 };
}
