//! Asks for collections while somebody needs them, and hands the frames out.
//!
//! Nothing runs while nobody looks and no window is kept. However many viewers there are, one collection a second serves all of them; if
//! the agent is slow, less often, so that looking never takes more than a part of its time. A viewer that does not take its frames is dropped: what waits for
//! it is bounded, and it may come again.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use ebhost_handle::{Handle, HandleError};
use ebhost_limits as limits;
use ebhost_telemetry::{Report, feed, unix_seconds};
use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
    time::{Instant, sleep_until},
};
use tracing::warn;

use crate::{
    encode::Encoder,
    folder::{self, SaveError},
    viewer::{Frames, Viewer, ViewerRefused, viewer},
    window::{Dump, OpenSegment, Segment, Window},
    wire::{BlockKind, HEADER, block},
};

/// Makes the text of a report, as `/status.json` has it.
pub type StatusEncoder = Arc<dyn Fn(Report) -> Vec<u8> + Send + Sync>;

/// The options of the recorder.
#[derive(Clone)]
pub struct FeedOptions {
    /// How much is kept; zero: nothing.
    pub window: Duration,
    /// Where segments and dumps are written.
    pub folder: Option<PathBuf>,
    pub status: StatusEncoder,
}

/// The recorder and its viewers. Cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Shared>);

struct Shared {
    options: FeedOptions,
    /// Used by the agent's thread while it shows a collection, and by the feed's task in between.
    encoder: Mutex<Encoder>,
    state: Mutex<State>,
    /// A viewer has come.
    arrival: Notify,
}

#[derive(Default)]
struct State {
    viewers: Vec<Viewer>,
    /// Those that wait for their first frame, and how much of the window they want before it.
    joining: Vec<(Viewer, Duration)>,
    window: Option<Window>,
    /// The latest report, for viewers that join.
    report: Option<Bytes>,
    frames: u64,
    is_closed: bool,
}

impl Feed {
    /// A feed that nobody looks at. Segments of an earlier run are read from the folder.
    pub fn new(options: FeedOptions) -> Self {
        let window = (!options.window.is_zero()).then(|| {
            let segments = options.folder.as_ref().map(|folder| folder::load(folder, options.window));
            Window::new(options.window, segments.unwrap_or_default())
        });
        let state = Mutex::new(State { window, ..State::default() });
        Self(Arc::new(Shared { options, encoder: Mutex::default(), state, arrival: Notify::new() }))
    }

    /// Looks from the next frame on, after those of the window that lie up to `history` back.
    ///
    /// # Errors
    /// [`ViewerRefused`] if there are too many, or the host stops.
    pub fn view(&self, history: Duration) -> Result<Frames, ViewerRefused> {
        let mut state = self.state();
        if state.is_closed {
            return Err(ViewerRefused::Stopping);
        }
        state.forget_gone();
        if state.viewers.len() + state.joining.len() >= limits::VIEWERS {
            return Err(ViewerRefused::TooMany);
        }
        let (viewer, frames) = viewer();
        state.joining.push((viewer, history));
        state.count_viewers();
        self.0.arrival.notify_one();
        Ok(frames)
    }

    /// How much is kept; zero: nothing.
    pub fn window(&self) -> Duration {
        self.0.options.window
    }

    /// The last part of the window; none if the recorder is off.
    pub fn dump(&self, last: Duration) -> Option<Dump> {
        self.state().window.as_ref().map(|window| window.dump(last))
    }

    /// Writes the whole window into the folder for recordings, and returns the file.
    ///
    /// # Errors
    /// [`SaveError`] if the recorder is off, there is no folder, or it cannot be written to.
    pub async fn save(&self) -> Result<PathBuf, SaveError> {
        let dump = self.dump(Duration::MAX).ok_or(SaveError::Off)?;
        let folder = self.0.options.folder.clone().ok_or(SaveError::NoFolder)?;
        let path = folder.clone();
        let write = spawn_blocking(move || folder::save(&folder, &dump));
        write.await.unwrap_or_else(|error| Err(SaveError::Write { path, source: error.into() }))
    }

    /// Records and serves viewers until `stop` changes; then viewers' streams end, and the open segment is written to the folder.
    pub async fn run(self, handle: Handle, mut stop: watch::Receiver<()>) {
        while !stop.has_changed().unwrap_or(true) {
            if !self.is_wanted() {
                *self.encoder() = Encoder::default();
                tokio::select! {
                    () = self.0.arrival.notified() => {}
                    _ = stop.changed() => break,
                }
                continue;
            }
            let started = Instant::now();
            if self.step(&handle).await == Err(HandleError::Stopped) {
                break;
            }
            let spent = started.elapsed();
            let next = started + limits::FRAME.max(spent * (limits::FRAME_REST + 1));
            tokio::select! {
                () = sleep_until(next) => {}
                _ = stop.changed() => break,
            }
        }
        self.close().await;
    }

    async fn step(&self, handle: &Handle) -> Result<(), HandleError> {
        let feed = self.clone();
        let deadline = std::time::Instant::now() + limits::SCRAPE;
        let frame = handle.collect(deadline, move |collection| {
            let time = (unix_seconds(SystemTime::now()) * 1e3) as u64;
            (feed.encoder().frame(collection, time), time)
        });
        match frame.await {
            Ok((frame, time)) => self.publish(&frame.into(), time),
            Err(HandleError::Busy) => return Ok(()), // others wait for the agent; there is another second
            Err(HandleError::Stopped) => return Err(HandleError::Stopped),
        }
        self.report(handle).await?;
        self.pack().await;
        Ok(())
    }

    /// Hands a frame to everybody.
    fn publish(&self, frame: &Bytes, time_ms: u64) {
        let encoder = self.encoder();
        let mut state = self.state();
        let state = &mut *state;
        // A keyframe is first: the frame itself, or all that is known by now.
        let keyframe = || if state.frames == 0 { frame.clone() } else { encoder.keyframe(time_ms).into() };
        if let Some(window) = &mut state.window {
            let is_first = window.open().is_none();
            window.push(if is_first { keyframe() } else { frame.clone() }, time_ms);
        }
        state.viewers.retain(|viewer| viewer.send(vec![frame.clone()]));
        let joining = std::mem::take(&mut state.joining);
        if !joining.is_empty() {
            let now = Dump { chunks: vec![Bytes::from_static(&HEADER), keyframe()] };
            for (viewer, history) in joining {
                let first = state.window.as_ref().map_or_else(|| now.clone(), |window| window.dump(history));
                let report = state.report.clone();
                if viewer.send(first.chunks.into_iter().chain(report).collect()) {
                    state.viewers.push(viewer);
                }
            }
        }
        state.frames += 1;
        state.count_viewers();
        feed().frames.increment();
    }

    /// Every few seconds, and for the first frame: the report on host and packages.
    async fn report(&self, handle: &Handle) -> Result<(), HandleError> {
        let is_due = {
            let state = self.state();
            state.frames % limits::FRAMES_PER_REPORT == 1 || state.report.is_none()
        };
        if !is_due {
            return Ok(());
        }
        let report = match handle.status().await {
            Ok(report) => report,
            Err(HandleError::Busy) => return Ok(()),
            Err(HandleError::Stopped) => return Err(HandleError::Stopped),
        };
        let report: Bytes = block(BlockKind::Status, &(self.0.options.status)(report)).into();
        let mut state = self.state();
        state.viewers.retain(|viewer| viewer.send(vec![report.clone()]));
        if let Some(window) = &mut state.window {
            let time = (unix_seconds(SystemTime::now()) * 1e3) as u64;
            window.push(report.clone(), time);
        }
        state.report = Some(report);
        Ok(())
    }

    /// Packs the open segment once it is long enough.
    async fn pack(&self) {
        let (due, frames) = {
            let state = self.state();
            (state.window.as_ref().and_then(Window::is_due), state.frames)
        };
        if let Some(open) = due {
            self.close_segment(open).await;
        }
        if frames % (limits::RECORDER_SEGMENT.as_secs() + 1) == 0 {
            self.encoder().forget_absent();
        }
        let state = self.state();
        let (bytes, covered) =
            state.window.as_ref().map_or((0, Duration::ZERO), |window| (window.bytes(), window.covered()));
        feed().recorded_bytes.set(bytes as u64);
        feed().recorded_seconds.set(covered.as_secs());
    }

    async fn close_segment(&self, open: OpenSegment) {
        let Ok(segment) = spawn_blocking(move || open.pack()).await else { return };
        let left = self.state().window.as_mut().map(|window| window.close(segment.clone())).unwrap_or_default();
        if let Some(folder) = self.0.options.folder.clone() {
            // Whether it worked is in the log; the window in memory is whole in any case.
            let _ = spawn_blocking(move || on_disk(&folder, &segment, &left)).await;
        }
    }

    async fn close(&self) {
        let open = {
            let mut state = self.state();
            state.is_closed = true;
            state.viewers.clear();
            state.joining.clear();
            state.count_viewers();
            state.window.as_ref().and_then(Window::open)
        };
        if let (Some(open), Some(_)) = (open, &self.0.options.folder) {
            self.close_segment(open).await;
        }
    }

    fn is_wanted(&self) -> bool {
        let mut state = self.state();
        state.forget_gone();
        state.count_viewers();
        let is_wanted = state.window.is_some() || !state.viewers.is_empty() || !state.joining.is_empty();
        if !is_wanted {
            state.frames = 0;
            state.report = None;
        }
        is_wanted
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn encoder(&self) -> MutexGuard<'_, Encoder> {
        self.0.encoder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn on_disk(folder: &Path, segment: &Segment, left: &[Segment]) {
    if let Err(error) = folder::store(folder, segment) {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        warn!("{error}{cause}");
    }
    left.iter().for_each(|segment| folder::remove(folder, segment));
}

impl State {
    fn forget_gone(&mut self) {
        self.viewers.retain(|viewer| !viewer.is_gone());
        self.joining.retain(|(viewer, _)| !viewer.is_gone());
    }

    fn count_viewers(&self) {
        feed().viewers.set((self.viewers.len() + self.joining.len()) as u64);
    }
}
