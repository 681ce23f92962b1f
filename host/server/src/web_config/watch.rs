//! A web configuration that is read again when its file changes.
//!
//! Files are looked at twice a second, whether or not a client connects, so that a mistake is reported when it is made. A change is taken
//! when it is the same in two looks, and if nothing changed while it was read: a file that is being written is not read in its middle. If
//! the new content is invalid, or would switch authentication off, that is logged and the previous configuration stays in force.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::SystemTime,
};

use tokio::{sync::watch, task::spawn_blocking, time::interval};
use tracing::{error, info, warn};

use super::{Reading, WebConfig, WebConfigError};
use ebhost_limits as limits;
use ebhost_telemetry::http;

/// A web configuration file and the configuration in force.
pub struct WebConfigFile {
    path: Option<PathBuf>,
    current: RwLock<Arc<WebConfig>>,
    seen: Mutex<Seen>,
}

/// The files of the last reading, and their state.
struct Seen {
    files: Vec<PathBuf>,
    /// As they were when they were read.
    read: Vec<Option<Stamp>>,
    /// As they were at the last look, if that was another state than the one that was read.
    changed: Option<Vec<Option<Stamp>>>,
}

/// Metadata that tells two contents of a file apart: a file that was replaced has another inode number, and one that was written another time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
    status_changed: (i64, i64),
    inode: (u64, u64),
}

impl WebConfigFile {
    /// Reads the file. Without one, plain HTTP is served to everybody.
    ///
    /// # Errors
    /// [`WebConfigError`] if it is invalid, or asks for something that cannot be done as strictly.
    pub fn open(path: Option<PathBuf>) -> Result<Self, WebConfigError> {
        let Some(path) = path else {
            let seen = Seen { files: Vec::new(), read: Vec::new(), changed: None };
            return Ok(Self { path: None, current: RwLock::default(), seen: Mutex::new(seen) });
        };
        let (reading, seen) = read(&path);
        let config = reading?;
        http().web_config_was_read();
        Ok(Self { path: Some(path), current: RwLock::new(Arc::new(config)), seen: Mutex::new(seen) })
    }

    /// The file, and the files that it refers to.
    pub fn files(&self) -> Vec<PathBuf> {
        self.seen().files.clone()
    }

    /// Logs where the configuration in force is another than the one that the file asks for. Call it once there is a log.
    pub fn announce(&self) {
        self.current().warnings.iter().for_each(|warning| warn!("web configuration: {warning}"));
    }

    /// The configuration in force.
    pub(crate) fn current(&self) -> Arc<WebConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again, now.
    pub fn reload(&self) {
        let Some(path) = &self.path else { return };
        let (result, seen) = read(path);
        *self.seen() = seen;
        let before = self.current();
        let result = result.and_then(|config| match before.demands_more_than(&config) {
            Some(missing) => Err(WebConfigError::Weaker { path: path.clone(), missing }),
            None => Ok(config),
        });
        match result {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                http().web_config_reloads.increment();
                http().web_config_was_read();
                info!(file = %path.display(), "web configuration read again");
                self.announce();
            }
            Err(fault) => {
                http().web_config_failed();
                error!("the web configuration stays as it was: {fault}");
            }
        }
    }

    /// Looks at the files until `stop` changes.
    pub(crate) async fn watch(self: Arc<Self>, mut stop: watch::Receiver<()>) {
        if self.path.is_none() {
            return;
        }
        let mut looks = interval(limits::WEB_CONFIG_LOOK);
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                _ = stop.changed() => return,
            }
            let this = self.clone();
            // On a thread that may block: the files may lie on a server that does not answer.
            let _ = spawn_blocking(move || this.look()).await; // if it panicked, the configuration would stay
        }
    }

    fn look(&self) {
        if self.seen().stands_still_changed() {
            self.reload();
        }
    }

    /// Never held while a file is read.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a configuration between two looks at its files.
fn read(path: &Path) -> (Result<WebConfig, WebConfigError>, Seen) {
    // The files that it names are known only when it was read; those that are new to it cannot have been looked at before.
    let known = stamp(path);
    let Reading { files, .. } = WebConfig::read(path);
    let before = stamps(&files);
    let reading = WebConfig::read(path);
    let is_same = reading.files == files && stamps(&files) == before && stamp(path) == known;
    let seen = Seen { files, read: before, changed: None };
    match reading.result {
        Ok(config) if is_same => (Ok(config), seen),
        Ok(_) => {
            // It is read again once it stands still.
            let read = vec![None; seen.files.len()];
            (Err(WebConfigError::Changing { path: path.to_owned() }), Seen { read, ..seen })
        }
        Err(fault) => (Err(fault), seen),
    }
}

impl Seen {
    /// Whether the files are others than those that were read, and the same as at the last look.
    fn stands_still_changed(&mut self) -> bool {
        let now = stamps(&self.files);
        if now == self.read {
            self.changed = None;
            return false;
        }
        let is_same = self.changed.as_ref() == Some(&now);
        self.changed = Some(now);
        is_same
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|file| stamp(file)).collect()
}

fn stamp(file: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let found = fs::metadata(file).ok()?;
    Some(Stamp {
        size: found.len(),
        modified: found.modified().ok(),
        status_changed: (found.ctime(), found.ctime_nsec()),
        inode: (found.dev(), found.ino()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2b$06$abcdefghijklmnopqrstuuxLa0AkDDSrQ9VwNnETzOsObiucpMYgC";

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("ebhost-web-watch-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn write(&self, text: &str) -> PathBuf {
            let path = self.0.join("web.yml");
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn users(file: &WebConfigFile) -> Vec<String> {
        file.current().users.keys().cloned().collect()
    }

    /// `: > web.yml` let everybody in for a second.
    #[test]
    fn a_file_that_is_being_written_switches_no_password_off() {
        let scratch = Scratch::new("written");
        let text = |user: &str| format!("basic_auth_users:\n  {user}: {HASH}\n");
        let path = scratch.write(&text("ada"));
        let file = WebConfigFile::open(Some(path)).unwrap();
        for part in ["", "# passwords", "http_server_config: {}\n", "basic_auth_users:\n"] {
            scratch.write(part);
            (0..3).for_each(|_| file.look());
            file.reload();
            assert_eq!(users(&file), ["ada"], "{part:?}");
        }
        scratch.write(&text("bea"));
        file.look();
        assert_eq!(users(&file), ["ada"], "it may be written on");
        file.look();
        assert_eq!(users(&file), ["bea"]);
    }

    #[test]
    fn a_mistake_is_reported_once_and_its_repair_is_taken() {
        let scratch = Scratch::new("mistake");
        let path = scratch.write("");
        let file = WebConfigFile::open(Some(path)).unwrap();
        let failures = || http().web_config_failures.get();
        let before = failures();
        scratch.write("basic_auth_users: [");
        (0..5).for_each(|_| file.look());
        assert_eq!(failures(), before + 1);
        scratch.write(&format!("basic_auth_users: {{ ada: {HASH} }}\n"));
        (0..2).for_each(|_| file.look());
        assert_eq!(users(&file), ["ada"]);
    }

    /// A certificate that comes after the file that names it was never read.
    #[test]
    fn a_file_that_was_missing_is_waited_for() {
        let scratch = Scratch::new("missing");
        let path = scratch.write("");
        let file = WebConfigFile::open(Some(path)).unwrap();
        scratch.write("tls_server_config: { cert_file: c.pem, key_file: k.pem }\n");
        (0..3).for_each(|_| file.look());
        assert!(file.current().tls.is_none());
        fs::write(scratch.0.join("c.pem"), "").unwrap();
        assert!(!file.seen().stands_still_changed() && file.seen().stands_still_changed(), "it is read again");
    }
}
