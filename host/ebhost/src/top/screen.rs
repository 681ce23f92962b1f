//! The view that keys change and that is shown: the state of `ebhost top` in a terminal.

use std::time::{Duration, Instant, SystemTime};

use termion::event::Key;

use super::{
    args::View,
    cost,
    exposition::Histogram,
    reading::Reading,
    rows::{self, bytes},
    table::{Direction, Sort, Table},
};
use ebhost_telemetry::unix_seconds;

/// The state of the terminal view.
pub(super) struct Screen {
    /// Name and port of the host.
    host: String,
    pub(super) view: View,
    /// How each view is sorted, in the order of [`View::ALL`].
    sorts: [Sort; 4],
    pub(super) filter: String,
    pub(super) input: Input,
    /// Index of the row that is marked.
    pub(super) marked: usize,
    /// Which observations a histogram shows.
    pub(super) observations: Observations,
    now: Option<Reading>,
    before: Option<Reading>,
    /// Why the last reading failed, and since when readings fail.
    failure: Option<(String, Instant)>,
}

/// Where keys go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// They are commands.
    Commands,
    /// They are the text of the filter.
    Filter,
}

/// Which observations of a histogram are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Observations {
    /// All since the host began to count.
    All,
    /// Those since the reading before.
    Recent,
}

/// A request of a key beyond the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    None,
    /// Another view is shown: read at once.
    Read,
    Quit,
}

impl Screen {
    pub(super) fn new(host: String, view: View, sort: Option<Sort>, filter: String) -> Self {
        let usual = |view| Sort { column: rows::usual_column(view), direction: Direction::Usual };
        let mut sorts = View::ALL.map(usual);
        if let Some(sort) = sort {
            sorts[view as usize] = sort;
        }
        let (input, observations) = (Input::Commands, Observations::All);
        Self { host, view, sorts, filter, input, marked: 0, observations, now: None, before: None, failure: None }
    }

    /// Takes a reading, or why there is none. Rates are between the last two readings.
    pub(super) fn take(&mut self, reading: Result<Reading, String>) {
        match reading {
            Ok(reading) => {
                self.before = self.now.replace(reading);
                self.failure = None;
            }
            Err(why) => {
                let since = self.failure.take().map_or_else(Instant::now, |(_, since)| since);
                self.failure = Some((why, since));
            }
        }
    }

    pub(super) fn sort(&self) -> Sort {
        self.sorts[self.view as usize]
    }

    /// The rows to show, in order; none before the first reading.
    pub(super) fn table(&self) -> Option<Table> {
        let table = rows::table(self.view, self.now.as_ref()?, self.before.as_ref());
        Some(table.arranged(&self.filter, self.sort()))
    }

    /// The histogram of the marked row.
    pub(super) fn histogram(&self) -> Option<Histogram> {
        let table = self.table()?;
        let row = table.rows.get(self.marked.min(table.rows.len().checked_sub(1)?))?;
        let of = |reading: &Reading| {
            let mut all = reading.histograms.iter().flatten();
            all.find(|it| it.family == row.cells[0].shown() && it.labels == row.cells[1].shown()).cloned()
        };
        let now = of(self.now.as_ref()?)?;
        match (self.observations, self.before.as_ref().and_then(of)) {
            (Observations::Recent, Some(before)) => Some(now.since(&before)),
            _ => Some(now),
        }
    }

    /// One line on the host and its packages.
    pub(super) fn title(&self) -> String {
        let Some(now) = &self.now else { return format!("ebhost at {}", self.host) };
        let packages = &now.status.packages;
        let up = packages.iter().filter(|package| package.is_up).count();
        let version = &now.status.build.version;
        let down = packages.len() - up;
        format!("ebhost {version} at {}: {} packages, {up} up, {down} down", self.host, packages.len())
    }

    /// One line on what the host and its programs cost together.
    pub(super) fn summary(&self) -> String {
        self.now.as_ref().map_or_else(String::new, |now| summary(now, self.before.as_ref()))
    }

    /// A fault, or a fact that has to be known about the numbers.
    pub(super) fn notice(&self) -> Option<String> {
        if let Some((why, since)) = &self.failure {
            let shown = if self.now.is_some() { "; the numbers are those of before" } else { "" };
            return Some(format!("for {} s: {why}{shown}", since.elapsed().as_secs()));
        }
        self.now.as_ref()?.status.unknown_cost()
    }

    /// Changes what a key asks for.
    pub(super) fn press(&mut self, key: Key) -> Reaction {
        match (key, self.input) {
            (Key::Ctrl('c' | 'd'), _) => Reaction::Quit,
            (key, Input::Filter) => {
                self.edit_filter(key);
                Reaction::None
            }
            (key, Input::Commands) => self.command(key),
        }
    }

    fn edit_filter(&mut self, key: Key) {
        match key {
            Key::Char('\n') => self.input = Input::Commands,
            Key::Esc => {
                self.filter.clear();
                self.input = Input::Commands;
            }
            Key::Backspace => drop(self.filter.pop()),
            Key::Char(c) if !c.is_control() && self.filter.len() < 60 => self.filter.push(c),
            _ => {}
        }
        self.marked = 0;
    }

    fn command(&mut self, key: Key) -> Reaction {
        match key {
            Key::Char('q') => return Reaction::Quit,
            Key::Char(digit @ '1'..='4') => return self.show(View::ALL[digit as usize - '1' as usize]),
            Key::Char('\t') => return self.show(View::ALL[(self.view as usize + 1) % View::ALL.len()]),
            Key::BackTab => return self.show(View::ALL[(self.view as usize + 3) % View::ALL.len()]),
            Key::Char('/') => self.input = Input::Filter,
            Key::Esc => self.filter.clear(),
            Key::Right | Key::Char('>' | 's') => self.sort_by_neighbour(1),
            Key::Left | Key::Char('<' | 'S') => self.sort_by_neighbour(-1),
            Key::Char('r') => {
                let sort = &mut self.sorts[self.view as usize];
                sort.direction = sort.direction.reversed();
            }
            Key::Char('d') => {
                self.observations = match self.observations {
                    Observations::All => Observations::Recent,
                    Observations::Recent => Observations::All,
                };
            }
            Key::Down | Key::Char('j') => self.mark(1),
            Key::Up | Key::Char('k') => self.mark(-1),
            Key::PageDown => self.mark(10),
            Key::PageUp => self.mark(-10),
            Key::Home => self.marked = 0,
            Key::End => self.mark(isize::MAX),
            _ => {}
        }
        Reaction::None
    }

    fn show(&mut self, view: View) -> Reaction {
        (self.view, self.marked) = (view, 0);
        Reaction::Read
    }

    fn sort_by_neighbour(&mut self, step: isize) {
        let columns = rows::columns(self.view).len() as isize;
        let sort = &mut self.sorts[self.view as usize];
        sort.column = (sort.column as isize + step).rem_euclid(columns) as usize;
        sort.direction = Direction::Usual;
    }

    fn mark(&mut self, step: isize) {
        let last = self.table().map_or(0, |table| table.rows.len().saturating_sub(1));
        self.marked = self.marked.min(last).saturating_add_signed(step).min(last);
    }
}

/// One line on what the host and its programs cost together, and when the maps were read.
pub(super) fn summary(now: &Reading, before: Option<&Reading>) -> String {
    let status = &now.status;
    let cost = cost::of_host(now, before);
    let programs: usize = status.packages.iter().map(|package| package.programs.len()).sum();
    let memory: u64 = status.packages.iter().flat_map(|package| &package.map_memory).map(|(_, bytes)| bytes).sum();
    let percent = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{:.2}", share * 100.0));
    let read = match status.collected_at_seconds {
        Some(at) => {
            let age = (unix_seconds(SystemTime::now()) - at).max(0.0);
            format!("maps read {} s ago", Duration::from_secs_f64(age.min(1e9)).as_secs())
        }
        None => "maps never read".to_owned(),
    };
    format!(
        "{programs} programs {} % of a CPU, maps {}; host {} %, {}; {read}",
        percent(cost.cpu),
        bytes(memory as f64),
        percent(cost::of_process(now, before)),
        bytes(status.process.resident_bytes as f64),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::status::Status;

    fn screen() -> Screen {
        let json = r#"{"packages": [{"name": "p", "is_up": true, "programs": [
            {"name": "a", "cpu_ratio": 0.1, "run_duration_seconds": 1e-6}, {"name": "b", "cpu_ratio": 0.2}]}], "kernel_cpu_measured": true}"#;
        let status: Status = serde_json::from_str(json).unwrap();
        let mut screen = Screen::new("localhost:9435".into(), View::Programs, None, String::new());
        screen.take(Ok(Reading { at: Instant::now(), status, histograms: None }));
        screen
    }

    fn press(screen: &mut Screen, keys: &str) -> Reaction {
        keys.chars().map(|key| screen.press(Key::Char(key))).last().unwrap()
    }

    fn names(screen: &Screen) -> Vec<String> {
        screen.table().unwrap().rows.iter().map(|row| row.cells[1].shown().to_owned()).collect()
    }

    #[test]
    fn keys_sort_by_the_next_column_and_the_other_way_round() {
        let mut screen = screen();
        assert_eq!(names(&screen), ["b", "a"], "by CPU");
        press(&mut screen, "r");
        assert_eq!(names(&screen), ["a", "b"]);
        press(&mut screen, "S");
        assert_eq!((screen.sort().column, names(&screen)), (3, vec!["a".to_owned(), "b".to_owned()]), "by ns a run");
        press(&mut screen, "ssss");
        assert_eq!(screen.sort().column, 1);
    }

    #[test]
    fn a_filter_is_typed_and_taken_back() {
        let mut screen = screen();
        press(&mut screen, "/b");
        assert_eq!((names(&screen), screen.input), (vec!["b".to_owned()], Input::Filter));
        assert_eq!(press(&mut screen, "q"), Reaction::None, "a letter of the filter");
        screen.press(Key::Backspace);
        screen.press(Key::Char('\n'));
        assert_eq!((names(&screen).len(), screen.input), (1, Input::Commands));
        screen.press(Key::Esc);
        assert_eq!(names(&screen).len(), 2);
    }

    #[test]
    fn quitting_works_from_everywhere() {
        let mut screen = screen();
        assert_eq!(press(&mut screen, "q"), Reaction::Quit);
        press(&mut screen, "/");
        assert_eq!(screen.press(Key::Ctrl('c')), Reaction::Quit);
    }

    #[test]
    fn views_change_and_the_mark_stays_within_the_rows() {
        let mut screen = screen();
        assert_eq!((press(&mut screen, "3"), screen.view), (Reaction::Read, View::Maps));
        press(&mut screen, "jjjj");
        assert_eq!(screen.marked, 0, "there is no map");
        press(&mut screen, "1jjjj");
        assert_eq!(screen.marked, 1);
        press(&mut screen, "k");
        assert_eq!(screen.marked, 0);
    }

    #[test]
    fn a_host_that_is_gone_leaves_the_numbers_of_before() {
        let mut screen = screen();
        assert_eq!(screen.notice(), None);
        screen.take(Err("refused".into()));
        assert_eq!(screen.notice().unwrap(), "for 0 s: refused; the numbers are those of before");
        assert_eq!(names(&screen).len(), 2);
    }
}
