//! `ebhost view`: flight recordings in the browser.
//!
//! The files are read whole and checked first, so that whoever starts it learns in the terminal what they hold and what is damaged. Then
//! the page of the live view is served with them, on loopback unless another address is given, until Ctrl-C. Files of others may be viewed: the
//! page takes any bytes, and shows texts as texts.

#![allow(clippy::print_stdout, reason = "the output of the command")]

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use tokio::runtime::Builder;

use crate::{author::ViewArgs, build_info, signals};
use ebhost_limits as limits;
use ebhost_recorder::{RecordingError, Summary, inspect};
use ebhost_server::{self as server, Recording, ServerError, WebConfigFile};
use ebhost_telemetry::utc_stamp;

/// Why recordings cannot be viewed.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error("{path}: cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}: found {bytes} bytes, expected a flight recording of {} at most", limits::FLIGHT_RECORDING_BYTES)]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("{path}: {source}")]
    Recording { path: PathBuf, source: RecordingError },
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("the viewer cannot be set up: {0}")]
    Setup(#[source] io::Error),
}

/// Checks the files, prints what they hold, and serves the page until Ctrl-C.
pub(crate) fn view(args: &ViewArgs) -> Result<ExitCode, ViewError> {
    let recordings = args.files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    if args.summary {
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(ViewError::Setup)?;
    runtime.block_on(async {
        let stop = signals::stop_requested().map_err(ViewError::Setup)?;
        let listeners = server::bind(&[args.address.resolve()?])?;
        for listener in &listeners {
            println!("http://{}/", listener.address());
        }
        let web_config = WebConfigFile::open(None).map_err(ServerError::from)?;
        server::serve_recordings(listeners, recordings, build_info::LINE.to_owned(), web_config, stop).await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Reads a recording, and prints what it holds.
fn read(path: &Path) -> Result<Recording, ViewError> {
    let fault = |source| ViewError::Read { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(fault)?.len();
    if bytes > limits::FLIGHT_RECORDING_BYTES {
        return Err(ViewError::TooLarge { path: path.to_owned(), bytes });
    }
    let bytes = fs::read(path).map_err(fault)?;
    let summary = inspect(&bytes).map_err(|source| ViewError::Recording { path: path.to_owned(), source })?;
    println!("{}: {}", path.display(), sentence(&summary));
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(Recording { name, bytes: bytes.into() })
}

/// The content of a recording in one line: `300 frames in 299 s from 20261127T002131Z on, 120 families with 3000 series`.
fn sentence(summary: &Summary) -> String {
    let length = Duration::from_millis(summary.last_ms.saturating_sub(summary.first_ms)).as_secs();
    let first = utc_stamp(summary.first_ms as f64 / 1e3);
    let (frames, families, series) = (summary.frames, summary.families, summary.series);
    let mut text = format!("{frames} frames in {length} s from {first} on, {families} families with {series} series");
    if summary.damaged > 0 {
        let (damaged, left_out) = (summary.damaged, summary.left_out);
        text += &format!("; {damaged} damaged parts and {left_out} frames after them are left out");
    }
    text
}
