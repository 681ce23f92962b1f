//! A thousand random deployments, each compared with a model: the real reloader, agent, component and maps, without a thread and
//! without HTTP.
//!
//! After each one the served families are those of the desired set, a package that is refused is refused for a reason that still
//! holds, no counter has fallen except to 0, and no map is left behind. The seed is printed; `EBHOST_SEED` repeats a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use aya::maps::{HashMap, Map, MapData};
use ebhost_confine::Keep;
use ebhost_metrics::{Created, Format, Presentation, encoder};
use ebhost_package::{PackageFolders, Settings};
use ebhost_telemetry::BuildInfo;

use super::{
    super::{Agent, OnFault, Options, Reload, Statistics},
    Reloader,
};

const STEPS: usize = 1000;
/// The same in every run, so that a failure is the change's; `EBHOST_SEED` goes other ways.
const SEED: u64 = 20_261_126;
/// Few of each, so that they meet often.
const FOLDERS: [&str; 6] = ["a", "b", "b-2", "c", "d", "e-1.0"];
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const FAMILIES: [&str; 6] = ["one_total", "two_total", "three_total", "four_total", "five_total", "six_total"];
const KEYS: u64 = 8;

/// The map that packages read: counts by 16-byte keys.
type Counts = HashMap<MapData, [u8; 16], u64>;

/// xorshift64*: good enough to choose, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// The contents of a `plugin.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spec {
    name: &'static str,
    families: BTreeSet<&'static str>,
    series: usize,
    help: usize,
    /// Part of what the kernel is given: another number restarts the package.
    max_entries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Yaml,
    Object,
    NoObject,
}

/// A folder as it was deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Deployed {
    spec: Spec,
    damage: Option<Damage>,
}

struct World {
    folder: PathBuf,
    object: Vec<u8>,
    random: Random,
    deployed: BTreeMap<&'static str, Deployed>,
    /// The versions that run.
    running: BTreeMap<&'static str, Spec>,
    /// Counters by package and series, as they were served last.
    counters: BTreeMap<(String, String), f64>,
    /// Entries of each map that the test filled, by the map's id.
    entries: BTreeMap<u32, BTreeMap<u64, u64>>,
    log: Vec<String>,
}

impl World {
    fn new(folder: PathBuf, seed: u64) -> Self {
        let object = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/packages/maps/maps.bpf.o");
        let object = fs::read(&object).unwrap_or_else(|error| panic!("{}: {error}", object.display()));
        fs::create_dir_all(folder.join("plugins")).expect("a folder of our own");
        let mut world = Self {
            folder,
            object,
            random: Random(seed | 1),
            deployed: BTreeMap::new(),
            running: BTreeMap::new(),
            counters: BTreeMap::new(),
            entries: BTreeMap::new(),
            log: Vec::new(),
        };
        world.deploy("a");
        world
    }

    fn options(&self) -> Options {
        Options {
            build: BuildInfo { version: "0", revision: "test", rustc: "test" },
            folders: PackageFolders { plugins: Some(self.folder.join("plugins")), drop_ins: None },
            roots: ebhost_lookup::Roots::default(),
            settings: Settings::default(),
            namespace: "ebhost".to_owned(),
            faults: OnFault::LeaveOut,
            statistics: Statistics::AsTheyAre,
            cache: Some(self.folder.join("cache")),
            compiler: None,
            statistics_process: None,
            reload: Reload::Watch,
            spans: crate::SpanReceiver::NotGiven,
            pins: None,
            keep: Keep(ebhost_confine::NONE),
            return_free_memory: || (),
        }
    }

    fn path(&self, folder: &str) -> PathBuf {
        self.folder.join("plugins").join(folder)
    }

    fn spec(&mut self) -> Spec {
        let count = 1 + self.random.below(2);
        let families = (0..count).map(|_| self.random.pick(&FAMILIES)).collect();
        Spec {
            name: self.random.pick(&NAMES),
            families,
            series: self.random.pick(&[2, 3, 100]),
            help: self.random.below(3),
            max_entries: self.random.pick(&[16, 32]),
        }
    }

    /// A new package, or another version of one.
    fn deploy(&mut self, folder: &'static str) {
        let spec = self.spec();
        self.write(folder, spec, None);
    }

    fn write(&mut self, folder: &'static str, spec: Spec, damage: Option<Damage>) {
        let path = self.path(folder);
        fs::create_dir_all(&path).expect("a folder of our own");
        let yaml = match damage {
            Some(Damage::Yaml) => "name: [".to_owned(),
            _ => yaml(&spec),
        };
        replace(&path.join("plugin.yaml"), yaml.as_bytes());
        match damage {
            Some(Damage::NoObject) => drop(fs::remove_file(path.join("maps.bpf.o"))),
            Some(Damage::Object) => replace(&path.join("maps.bpf.o"), &self.object[..self.object.len() / 3]),
            _ => replace(&path.join("maps.bpf.o"), &self.object),
        }
        self.log.push(format!("{folder}: {spec:?} {damage:?}"));
        self.deployed.insert(folder, Deployed { spec, damage });
    }

    fn remove(&mut self, folder: &'static str) {
        fs::remove_dir_all(self.path(folder)).expect("a folder of our own");
        self.log.push(format!("{folder}: removed"));
        self.deployed.remove(folder);
    }

    /// `mv from to`.
    fn rename(&mut self, from: &'static str, to: &'static str) {
        fs::rename(self.path(from), self.path(to)).expect("folders of our own");
        self.log.push(format!("{from}: renamed to {to}"));
        if let Some(deployed) = self.deployed.remove(from) {
            self.deployed.insert(to, deployed);
        }
    }

    fn some_folder(&mut self) -> Option<&'static str> {
        let folders: Vec<_> = self.deployed.keys().copied().collect();
        (!folders.is_empty()).then(|| self.random.pick(&folders))
    }

    fn free_folder(&mut self) -> Option<&'static str> {
        let free: Vec<_> = FOLDERS.into_iter().filter(|folder| !self.deployed.contains_key(folder)).collect();
        (!free.is_empty()).then(|| self.random.pick(&free))
    }

    /// One thing that an operator does.
    fn act(&mut self) -> Option<()> {
        match self.random.below(12) {
            0 | 1 => {
                let folder = self.free_folder()?;
                self.deploy(folder);
            }
            2 => {
                let folder = self.some_folder()?;
                self.remove(folder);
            }
            3 | 4 => {
                let (from, to) = (self.some_folder()?, self.free_folder()?);
                self.rename(from, to);
            }
            5 => {
                // Another version beside the first, as `foo-1.1` beside `foo-1.0`.
                let (from, to) = (self.some_folder()?, self.free_folder()?);
                let mut spec = self.deployed[from].spec.clone();
                spec.help = self.random.below(3);
                self.write(to, spec, None);
            }
            6 | 7 => {
                // A family moves from one package to another, or two change places.
                let (from, to) = (self.some_folder()?, self.some_folder()?);
                let (mut one, mut other) = (self.deployed[from].spec.clone(), self.deployed[to].spec.clone());
                if from == to {
                    return None;
                }
                if self.random.one_in(3) {
                    std::mem::swap(&mut one.families, &mut other.families);
                } else {
                    let family = *one.families.first()?;
                    one.families.remove(family);
                    other.families.insert(family);
                    if one.families.is_empty() {
                        let next = self.random.pick(&FAMILIES);
                        one.families.insert(next);
                    }
                }
                self.write(from, one, None);
                self.write(to, other, None);
            }
            8 => {
                let folder = self.some_folder()?;
                let damage = self.random.pick(&[Damage::Yaml, Damage::Object, Damage::NoObject]);
                let spec = self.deployed[folder].spec.clone();
                self.write(folder, spec, Some(damage));
            }
            9 => {
                let damaged = self.deployed.iter().find(|(_, deployed)| deployed.damage.is_some());
                let (folder, spec) = damaged.map(|(folder, deployed)| (*folder, deployed.spec.clone()))?;
                self.write(folder, spec, None);
            }
            _ => {
                let folder = self.some_folder()?;
                let mut spec = self.deployed[folder].spec.clone();
                match self.random.below(4) {
                    0 => spec.series = self.random.pick(&[2, 3, 100]),
                    1 => spec.help = self.random.below(3),
                    2 => spec.max_entries = self.random.pick(&[16, 32]),
                    _ => spec.families = self.spec().families,
                }
                self.write(folder, spec, None);
            }
        }
        Some(())
    }

    /// The versions that run, told by what they serve; each is the deployed one or the one before.
    fn versions(&self, agent: &Agent) -> BTreeMap<&'static str, Spec> {
        let mut runs = BTreeMap::new();
        for running in &agent.running {
            let folder = folder_of(&running.file);
            let served = families_of(agent, &running.name);
            let matches = |spec: &&Spec| {
                spec.name == running.name && spec.families.iter().copied().eq(served.iter().map(String::as_str))
            };
            let deployed = self.deployed.get(folder).map(|deployed| &deployed.spec);
            let spec = deployed.into_iter().chain(self.running.get(folder)).find(matches);
            let spec = spec.unwrap_or_else(|| panic!("{folder} is {} with {served:?}", running.name));
            assert_eq!(running.is_current, !agent.refused.contains_key(&running.file), "{folder}");
            runs.insert(folder, spec.clone());
        }
        runs
    }

    /// Compares what runs with what is deployed.
    fn check_packages(&mut self, agent: &Agent) {
        let runs = self.versions(agent);
        let before = std::mem::take(&mut self.running);
        assert!(runs.keys().all(|folder| self.deployed.contains_key(folder)), "a package runs that is not there");
        for (folder, deployed) in &self.deployed {
            let refused = agent.refused.get(&self.path(folder).join("plugin.yaml"));
            match (deployed.damage, refused) {
                (None, None) => {
                    assert_eq!(runs.get(folder), Some(&deployed.spec), "{folder} is good, and not what runs");
                }
                (None, Some(refused)) => {
                    let holder = runs.iter().find(|(other, spec)| other != &folder && clash(spec, &deployed.spec));
                    assert!(
                        holder.is_some(),
                        "{folder} is refused, and nobody has its names: {}; {runs:?} run",
                        refused.reason
                    );
                    assert!(
                        before.get(folder) != Some(&deployed.spec),
                        "{folder} ran, and lost its names: {}",
                        refused.reason
                    );
                    assert_eq!(refused.name.as_deref(), Some(deployed.spec.name));
                }
                // A running version is recognized by its name and families alone, so a damaged version that differs in the rest looks like it.
                (Some(_), Some(_)) => {
                    let seen = |spec: &Spec| (spec.name, spec.families.clone());
                    assert_eq!(runs.get(folder).map(seen), before.get(folder).map(seen), "{folder} is damaged");
                }
                (Some(_), None) => panic!("{folder} is damaged, and not refused"),
            }
        }
        self.running = runs;
    }

    /// At a start nothing ran before: the first by file name has the name.
    fn check_start(&self) {
        let mut first: Vec<&Spec> = Vec::new();
        for (folder, deployed) in &self.deployed {
            let may_run = deployed.damage.is_none() && !first.iter().any(|spec| clash(spec, &deployed.spec));
            assert_eq!(self.running.contains_key(folder), may_run, "{folder}");
            first.extend(may_run.then_some(&deployed.spec));
        }
    }

    /// Scrapes, and compares each counter with the scrape before.
    fn check_counters(&mut self, agent: &mut Agent) {
        let until = Instant::now() + Duration::from_secs(60);
        agent.collect(until, until);
        let mut counters = BTreeMap::new();
        for running in &agent.running {
            let table = running.ready_table().expect("maps this small are read in time");
            let mut text = Vec::new();
            let mut encoder = encoder(Format::Text004, Created::LeftOut, &mut text);
            let encoded = table.families().try_for_each(|series| encoder.family(Presentation::exact("ebhost"), series));
            encoded.and_then(|()| encoder.finish()).expect("memory takes everything");
            let text = String::from_utf8(text).expect("it is text");
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
                let value: f64 = value.parse().expect("a value is a number");
                // A family that moves to another package is another counter.
                let series = (running.name.clone(), series.to_owned());
                let before = self.counters.get(&series).copied().unwrap_or(0.0);
                assert!(value >= before || value == 0.0, "{series:?} fell from {before} to {value}");
                counters.insert(series, value);
            }
        }
        self.counters = counters;
    }

    /// Counts in every map, as programs would; some keys are deleted.
    fn count(&mut self, agent: &Agent) {
        let maps = hash_maps();
        assert_eq!(maps.len(), agent.running.len(), "a map for each package that runs, and none left behind");
        self.entries.retain(|id, _| maps.iter().any(|(map, _)| map == id));
        for (id, mut map) in maps {
            let entries = self.entries.entry(id).or_default();
            for _ in 0..3 {
                let number = self.random.below(KEYS as usize) as u64;
                let mut key = [0; 16];
                key[..8].copy_from_slice(&number.to_le_bytes());
                if self.random.one_in(6) && entries.remove(&number).is_some() {
                    map.remove(&key).expect("it is there");
                } else {
                    let value = entries.entry(number).or_default();
                    *value += 1 + self.random.below(100) as u64;
                    map.insert(key, *value, 0).expect("there is room");
                }
            }
        }
    }
}

/// Whether the two cannot both run.
fn clash(one: &Spec, other: &Spec) -> bool {
    one.name == other.name || !one.families.is_disjoint(&other.families)
}

fn yaml(spec: &Spec) -> String {
    let label = |name, size| format!("{{ name: {name}, size: {size}, decoders: [{{ name: uint }}] }}");
    let labels = [label("id", 8), label("group", 4), label("kind", 4)].join(", ");
    let counter = |family: &&str| {
        format!("      - {{ name: {family}, help: \"Help {}.\", map: hash, labels: [{labels}] }}\n", spec.help)
    };
    let counters: String = spec.families.iter().map(counter).collect();
    format!(
        "name: {}\ncomponent: builtin\nbpf:\n  object: maps.bpf.o\n  programs: []\n  max_entries: {{ hash: {} }}\n\
         config:\n  metrics:\n    counters:\n{counters}limits: {{ series: {} }}\n",
        spec.name, spec.max_entries, spec.series
    )
}

fn replace(file: &Path, bytes: &[u8]) {
    let beside = file.with_extension("new");
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, file)).expect("a file of our own");
}

fn folder_of(file: &Path) -> &'static str {
    let name = file.parent().and_then(Path::file_name).unwrap_or_default();
    FOLDERS.into_iter().find(|folder| *folder == name).unwrap_or_else(|| panic!("{}: not ours", file.display()))
}

fn families_of(agent: &Agent, package: &str) -> Vec<String> {
    let running = agent.running.iter().find(|running| running.name == package);
    let table = running.and_then(|running| running.ready_table()).expect("it is read");
    let mut names: Vec<_> = table.schema().families.iter().map(|family| family.name.clone()).collect();
    names.sort();
    names
}

/// Every map `hash` that this process holds, by its id.
fn hash_maps() -> Vec<(u32, Counts)> {
    let infos = fs::read_dir("/proc/self/fdinfo").expect("it is this process").flatten();
    let ids: BTreeSet<u32> = infos
        .filter_map(|info| fs::read_to_string(info.path()).ok())
        .filter_map(|info| info.lines().find_map(|line| line.strip_prefix("map_id:"))?.trim().parse().ok())
        .collect();
    let map = |id| {
        let data = MapData::from_id(id).ok()?;
        let is_hash = data.info().is_ok_and(|info| info.name_as_str() == Some("hash"));
        let map = is_hash.then(|| HashMap::try_from(Map::HashMap(data)).expect("keys of 16 bytes, values of 8"))?;
        Some((id, map))
    };
    ids.into_iter().filter_map(map).collect()
}

/// A host that was started on the folder.
fn start(world: &World) -> (Agent, Reloader) {
    Agent::load(&world.options()).unwrap_or_else(|error| panic!("{error}"))
}

fn run(world: &mut World, steps: usize) {
    let (mut agent, mut reloader) = start(world);
    let until = Instant::now() + Duration::from_secs(60);
    agent.collect(until, until);
    world.check_packages(&agent);
    world.check_start();
    for step in 0..steps {
        world.log.push(format!("step {step}"));
        for _ in 0..1 + world.random.below(3) {
            let _ = world.act();
            if world.random.one_in(6) {
                look(&mut reloader, &mut agent);
                world.check_counters(&mut agent);
                world.running = world.versions(&agent);
            }
        }
        let is_start = world.random.one_in(50) && !world.deployed.is_empty();
        if is_start {
            world.log.push("restart".to_owned());
            drop((agent, reloader));
            (agent, reloader) = start(world);
            world.counters.clear();
            world.running.clear();
        }
        // One look finds a change, another one confirms it.
        look(&mut reloader, &mut agent);
        look(&mut reloader, &mut agent);
        world.check_counters(&mut agent);
        world.check_packages(&agent);
        if is_start {
            world.check_start();
        }
        world.count(&agent);
        world.check_counters(&mut agent);
    }
}

fn look(reloader: &mut Reloader, agent: &mut Agent) {
    let looked = reloader.look(&mut |transaction| {
        agent.apply(transaction);
        Ok(())
    });
    looked.expect("the agent is there");
}

#[test]
fn a_thousand_random_deployments_run_as_the_model_says() {
    if !rustix::process::geteuid().is_root() {
        let _ = writeln!(std::io::stderr(), "skipped: a_thousand_random_deployments needs root");
        return;
    }
    let number = |name| env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let (seed, steps) =
        (number("EBHOST_SEED").unwrap_or(SEED), number("EBHOST_STEPS").map_or(STEPS, |steps| steps as usize));
    let folder = Path::new("/dev/shm").join(format!("ebhost-reload-model-{}", std::process::id()));
    let mut world = World::new(folder.clone(), seed);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&mut world, steps)));
    let _ = fs::remove_dir_all(&folder);
    if let Err(panic) = outcome {
        let recent = world.log.iter().rev().take(30).rev().cloned().collect::<Vec<_>>();
        let _ = writeln!(std::io::stderr(), "EBHOST_SEED={seed}; the last actions:\n{}", recent.join("\n"));
        std::panic::resume_unwind(panic);
    }
    let _ = writeln!(std::io::stderr(), "EBHOST_SEED={seed}: {steps} deployments");
}
