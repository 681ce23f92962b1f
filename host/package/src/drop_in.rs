//! Configurations written for cloudflare/ebpf_exporter: `NAME.yaml` beside `NAME.bpf.o`. Each becomes a package of the builtin
//! component, and is loaded, watched and counted as any other is.
//!
//! The component checks the configuration when it describes itself; this module only extracts what the kernel's side needs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    Bpf, BtfFile, CgroupIdMap, Compat, Diagnostic, Digest, FailureCost, Limits, Package, PackageError, SyscallNames,
    as_written, builtin, check_depth,
    located::{self, Step},
    read_artefact, read_bounded,
};
use ebhost_limits as limits;
use ebhost_lookup::tables::LookupTable;

/// The configurations to load, and the folder that they are in.
#[derive(Debug, Clone)]
pub struct DropIns {
    pub folder: PathBuf,
    pub names: Vec<String>,
    /// A BTF file with the kernel's types; none: those in `/sys/kernel/btf`.
    pub btf_path: Option<PathBuf>,
    /// The consequence of a program that cannot be loaded or attached.
    pub failure_costs: FailureCost,
    pub syscall_names: SyscallNames,
}

/// The top-level keys of a configuration. `name` is a comment: a configuration has the name of its file.
const TOP_LEVEL_KEYS: [&str; 5] = ["metrics", "tracing", "kaddrs", "cgroup_id_map", "name"];

/// Warnings about unknown keys of one file; the others are counted.
const SHOWN_UNKNOWN_KEYS: usize = 10;

impl DropIns {
    /// Their files, whether they exist or not.
    pub fn files(&self) -> Vec<PathBuf> {
        self.names.iter().map(|name| self.folder.join(format!("{name}.yaml"))).collect()
    }

    /// Reads one of them, and the object beside it.
    pub fn read(&self, file: &Path) -> Result<Package, PackageError> {
        let text = read_bounded(file, limits::PACKAGE_FILE_BYTES, "--config.names names it, without `.yaml`")?;
        let digest = Digest::of(&text);
        let text = String::from_utf8(text)
            .map_err(|error| PackageError::Invalid(Diagnostic::whole(file, format!("is not UTF-8: {error}"))))?;
        check_depth(file, &text).map_err(PackageError::Invalid)?;
        let config =
            as_written::parse(&text).map_err(|error| PackageError::Invalid(Diagnostic::of(file, &text, &error)))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let has_code = |program: &Value| program.get("code").is_some_and(Value::is_string);
        if config["programs"].as_array().is_some_and(|programs| programs.iter().any(has_code)) {
            let message = "found programs with their C source in `code`, the format of ebpf_exporter before its version 2; expected `metrics` \
                           here and the compiled programs in NAME.bpf.o. ebpf_exporter's release notes of 2.0.0 show how to move a file";
            return Err(PackageError::Invalid(Diagnostic::of_key(file, &text, "programs", message.to_owned())));
        }
        let object = format!("{name}.bpf.o");
        let hint = "each configuration has its object beside it, NAME.bpf.o to NAME.yaml";
        // A configuration may be in a subfolder, and so is its object.
        let folder = file.parent().unwrap_or(&self.folder);
        let object = read_artefact(folder, &object, limits::OBJECT_BYTES, hint)?;
        let bpf = Bpf {
            failure_costs: self.failure_costs,
            kaddrs: kaddrs(&config),
            cgroup_id_map: cgroup_id_map(&config),
            btf_file: self.btf_path.clone().map_or(BtfFile::NotGiven, BtfFile::Given),
            ..Bpf::of(object)
        };
        Ok(Package {
            name,
            version: String::new(),
            license: String::new(),
            file: file.to_owned(),
            digest,
            compat: Compat::EbpfExporter,
            component: builtin::component(),
            bpf: Some(bpf),
            perf: Default::default(),
            config: config.to_string(),
            syscall_names: self.syscall_names,
            text,
            grants: LookupTable::ALL.to_vec(),
            limits: Limits {
                memory_bytes: limits::DROP_IN_MEMORY_BYTES,
                decode: limits::GUEST_TIME_PER_SCRAPE,
                series: limits::MOST_SERIES,
                kernel_cpu: None,
                kernel_memory_bytes: limits::DEFAULT_KERNEL_MEMORY_BYTES,
            },
            // Its bounds are those of its configuration, as the exporter that it was written for has them.
            bounds: Default::default(),
            choices: Default::default(),
        })
    }
}

/// Wrong values are left out here: the component refuses the file.
fn kaddrs(config: &Value) -> Vec<String> {
    let symbols = config["kaddrs"].as_array().into_iter().flatten();
    symbols.filter_map(|symbol| symbol.as_str().map(str::to_owned)).collect()
}

fn cgroup_id_map(config: &Value) -> Option<CgroupIdMap> {
    serde_json::from_value(config.get("cgroup_id_map")?.clone()).ok()
}

impl Package {
    /// Warnings about a drop-in configuration that is served all the same: keys at the top that nobody knows.
    pub fn warnings(&self) -> Vec<Diagnostic> {
        if self.compat != Compat::EbpfExporter {
            return Vec::new();
        }
        let config: Value = serde_json::from_str(&self.config).unwrap_or_default();
        self.unknown_keys(&config)
    }

    /// The warning that spans of so many buffers are sent to nobody.
    pub fn warning_of_spans_without_receiver(&self, buffers: usize) -> Diagnostic {
        let message = format!(
            "found spans of {buffers} buffers and no receiver, expected OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT; \
             no spans are made"
        );
        match self.compat {
            Compat::EbpfExporter => self.at(&located::steps("tracing.spans").unwrap_or_default(), message),
            Compat::Native => Diagnostic::whole(&self.file, message),
        }
    }

    fn unknown_keys(&self, config: &Value) -> Vec<Diagnostic> {
        let keys = config.as_object().into_iter().flat_map(serde_json::Map::keys);
        let unknown: Vec<_> = keys.filter(|key| !TOP_LEVEL_KEYS.contains(&key.as_str())).collect();
        let expected = TOP_LEVEL_KEYS.join(", ");
        let shown = unknown.iter().take(SHOWN_UNKNOWN_KEYS).map(|key| {
            let message = format!("found the key `{key}`, expected one of {expected}; it has no effect");
            self.at(&[Step::Key((*key).clone())], message)
        });
        let more = unknown.len().saturating_sub(SHOWN_UNKNOWN_KEYS);
        let rest =
            (more > 0).then(|| Diagnostic::whole(&self.file, format!("{more} more unknown keys have no effect")));
        shown.chain(rest).collect()
    }

    fn at(&self, steps: &[Step], message: String) -> Diagnostic {
        Diagnostic::at(&self.file, &self.text, located::find(&self.text, steps), message)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: &str) -> Package {
        try_read(text).unwrap()
    }

    /// Reads a configuration with this text and an object beside it.
    fn try_read(text: &str) -> Result<Package, PackageError> {
        let folder = Path::new("/dev/shm").join(format!("ebhost-drop-in-{}-{:p}", std::process::id(), text));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("x.yaml"), text).unwrap();
        fs::write(folder.join("x.bpf.o"), "an object").unwrap();
        let drop_ins = DropIns {
            folder: folder.clone(),
            names: vec!["x".into()],
            btf_path: Some("/some/btf".into()),
            failure_costs: FailureCost::Program,
            syscall_names: SyscallNames::EbpfExporter,
        };
        let package = drop_ins.read(&drop_ins.files()[0]);
        fs::remove_dir_all(&folder).unwrap();
        package
    }

    /// ebpf_exporter goes on without a program that cannot be attached, fills the map of cgroups and resolves symbols.
    #[test]
    fn what_the_kernels_side_needs_of_a_configuration_is_taken_from_it() {
        let package = read(
            "metrics: {}\nkaddrs: [a_symbol, another]\n\
             cgroup_id_map: { name: cgroups, type: hash, regexps: ['system[.]slice'] }\n",
        );
        let bpf = package.bpf.unwrap();
        assert_eq!(bpf.failure_costs, FailureCost::Program);
        assert_eq!(bpf.kaddrs, ["a_symbol", "another"]);
        let map = bpf.cgroup_id_map.unwrap();
        assert!(map.name == "cgroups" && map.regexps[0].is_match("/sys/fs/cgroup/system.slice/x"), "{map:?}");
        assert!(matches!(bpf.btf_file, BtfFile::Given(path) if path == Path::new("/some/btf")));
        assert_eq!(bpf.object.bytes, b"an object");
        assert!(read("metrics: {}\n").bpf.unwrap().cgroup_id_map.is_none());
    }

    /// The format of ebpf_exporter before its version 2 was reported as a missing object.
    #[test]
    fn a_configuration_with_its_programs_in_c_says_what_it_is_and_what_to_do() {
        let fault = try_read("programs:\n  - name: timers\n    code: |\n      int x;\n").unwrap_err().to_string();
        assert!(fault.contains("x.yaml:1:1: found programs with their C source in `code`"), "{fault}");
        assert!(fault.contains("before its version 2") && fault.contains("expected `metrics`"), "{fault}");
    }

    #[test]
    fn of_very_many_unknown_keys_the_first_are_named_and_the_others_counted() {
        let keys = |count: usize| -> String { (0..count).map(|key| format!("key{key:02}: 1\n")).collect() };
        let warnings = |text: &str| -> Vec<String> { read(text).warnings().iter().map(ToString::to_string).collect() };
        assert_eq!(warnings("metrics: {}\nname: x\n"), [""; 0]);
        let ten = warnings(&keys(10));
        assert_eq!(ten.len(), 10, "{ten:?}");
        assert!(ten[9].contains("x.yaml:10:1: found the key `key09`, expected one of metrics, "), "{}", ten[9]);
        let many = warnings(&keys(13));
        assert!(many.len() == 11 && many[10].ends_with("3 more unknown keys have no effect"), "{many:?}");
    }
}
