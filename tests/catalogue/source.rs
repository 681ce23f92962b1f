//! A package in a running host, and counters of the kernel beside it.

use std::fs;

use ebhost_tests::{Ebhost, Exposition, Folder, committed};

/// A host with one package. Its folder is removed after it.
pub(crate) struct Package {
    pub(crate) host: Ebhost,
    _folder: Folder,
}

impl Package {
    /// Starts a host with this package. `options`: the package's settings, such as `cg: unit`.
    pub(crate) fn start(name: &str, options: &str) -> Self {
        let folder = Folder::new();
        folder.copy(&committed().join(name));
        folder.set(&format!("plugins: {{ {name}: {{ enabled: on, {options} }} }}\n"));
        Self { host: Ebhost::start(folder.path()), _folder: folder }
    }

    /// The value of a sample with exactly these labels; 0 if there is none yet.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.host.scrape().value(name, labels).unwrap_or_default()
    }

    /// Holds increases of served counters against those of the kernel's: `load` runs between two scrapes, and the kernel's are read
    /// before and after each. `slack`: how far the served ones may be outside of what the kernel's allow, for events under way.
    pub(crate) fn assert_increases_equal(
        &self,
        kernel: impl Fn() -> Vec<(String, f64)>,
        served: impl Fn(&Exposition, &str) -> f64,
        slack: f64,
        load: impl FnOnce(),
    ) {
        let before = (kernel(), self.host.scrape(), kernel());
        load();
        let after = (kernel(), self.host.scrape(), kernel());
        let of = |counters: &[(String, f64)], name: &str| {
            counters.iter().find(|(counter, _)| counter == name).map_or(0.0, |(_, count)| *count)
        };
        let mut all = 0.0;
        for (name, last) in &after.2 {
            let found = served(&after.1, name) - served(&before.1, name);
            let least = of(&after.0, name) - of(&before.2, name) - slack;
            let most = last - of(&before.0, name) + slack;
            eprintln!("{name}: {found}, the kernel counted {least} to {most}");
            assert!((least..=most).contains(&found), "{name}: found {found}, expected {least} to {most}");
            all += found;
        }
        assert!(all > 100.0, "the load has to cause more than {all} events");
    }
}

/// A sum over all samples of a name for which `is_counted` says so, by the value of a label.
pub(crate) fn sum(served: &Exposition, name: &str, is_counted: impl Fn(&dyn Fn(&str) -> String) -> bool) -> f64 {
    let samples = served.samples().filter(|sample| sample.name == name);
    let counted = samples.filter(|sample| is_counted(&|label| sample.labels.get(label).cloned().unwrap_or_default()));
    counted.map(|sample| sample.value).sum()
}

/// The numbers of the line of a file of the kernel that begins with this word.
pub(crate) fn numbers(file: &str, word: &str) -> Vec<u64> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(word));
    let line = line.unwrap_or_else(|| panic!("{file} has no line `{word}`:\n{text}"));
    line.split_whitespace().skip(1).filter_map(|number| number.parse().ok()).collect()
}
