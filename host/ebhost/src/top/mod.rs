//! `ebhost top`: a terminal view of a running host, with the cost of its packages, programs and maps, and their histograms.
//!
//! It is a client of the host's HTTP server, and needs no privilege: numbers come from `/status.json`, rates from two readings of it, and
//! histograms from `/metrics`. It never opens a map, a program or a file of the host, so it shows hosts of other machines as well.
//!
//! [`client`] fetches, [`status`] and [`exposition`] parse, [`reading`] is one reading of a host. [`cost`] and [`rows`] make tables of readings, which
//! are printed as they are ([`table`]) or shown in a terminal: [`screen`] is what keys change, [`draw`] draws it, [`terminal`] is the loop.

#![allow(clippy::print_stdout, reason = "the output of the command")]

mod address;
mod args;
mod client;
mod cost;
mod draw;
mod exposition;
mod reading;
mod rows;
mod screen;
mod status;
mod table;
mod terminal;
mod tls;

use std::{
    env, fs,
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
    thread,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};

pub use args::TopArgs;

use self::{
    args::View,
    client::{Client, FetchError},
    reading::{Reader, Reading},
    screen::Screen,
    table::{Direction, Sort, Table},
};
use ebhost_limits as limits;

/// Why a host is not shown.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    #[error(transparent)]
    Fetch(#[from] FetchFailure),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error("{path}: the password cannot be read: {source}")]
    Password { path: PathBuf, source: io::Error },
    #[error("found a user without a password, expected it in $EBHOST_PASSWORD or in the file of --password-file")]
    NoPassword,
    #[error("found the column `{found}`, expected one of {known} of the view `{view}`; --view chooses another view")]
    Column { found: String, view: &'static str, known: String },
    #[error("the terminal cannot be used: {0}; --once prints tables")]
    Terminal(#[source] io::Error),
    #[error("the thread that reads the host cannot be started: {0}")]
    Thread(#[source] io::Error),
    #[error("signals cannot be received: {0}")]
    Signals(#[source] io::Error),
    #[error("standard output: {0}")]
    Output(#[source] io::Error),
}

/// Why a host gave no answer that can be shown.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct FetchFailure(FetchError);

impl From<FetchError> for TopError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(FetchFailure(error))
    }
}

/// Shows a host: in a terminal until the user quits, otherwise as tables, once.
///
/// # Errors
/// The arguments do not fit, the terminal cannot be used or, for tables, the host cannot be read.
pub fn top(args: &TopArgs) -> Result<ExitCode, TopError> {
    let view = args.view.unwrap_or(View::Programs);
    let sort = args.sort.as_ref().map(|column| sort_by(view, column)).transpose()?;
    let client = Client::new(args.url.clone(), tls::configure(&args.tls)?, authorization(args)?);
    let reader = Reader::new(client);
    let is_interactive = !args.once && io::stdin().is_terminal() && io::stdout().is_terminal();
    if is_interactive {
        let screen = Screen::new(reader.host(), view, sort, args.filter.clone());
        terminal::show(reader, screen, args.interval)?;
    } else {
        let text = tables(reader, args, sort)?;
        io::stdout().write_all(text.as_bytes()).map_err(TopError::Output)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn sort_by(view: View, column: &str) -> Result<Sort, TopError> {
    let columns = rows::columns(view);
    let found = Table::column(columns, column).ok_or_else(|| {
        let known = columns.iter().map(|column| column.title.to_lowercase()).collect::<Vec<_>>().join(", ");
        TopError::Column { found: column.to_owned(), view: view.name(), known }
    })?;
    Ok(Sort { column: found, direction: Direction::Usual })
}

/// The value of the header `Authorization`, if there is a user.
fn authorization(args: &TopArgs) -> Result<Option<String>, TopError> {
    let Some(user) = &args.user else { return Ok(None) };
    let password = match &args.password_file {
        Some(path) => {
            let read = fs::read_to_string(path);
            let text = read.map_err(|source| TopError::Password { path: path.clone(), source })?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        None => env::var("EBHOST_PASSWORD").map_err(|_| TopError::NoPassword)?,
    };
    Ok(Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))))
}

/// The views as plain text. Two readings are needed for rates, if the kernel times every run.
fn tables(mut reader: Reader, args: &TopArgs, sort: Option<Sort>) -> Result<String, TopError> {
    let first = args.view.unwrap_or(View::Programs);
    let mut now = reader.read(first)?;
    let mut before: Option<Reading> = None;
    if now.status.bpf_stats_enabled {
        thread::sleep(args.interval.min(limits::TOP_ONCE));
        before = Some(std::mem::replace(&mut now, reader.read(first)?));
    }
    let mut screen = Screen::new(reader.host(), first, sort, args.filter.clone());
    screen.take(Ok(now.clone()));
    let mut out = format!("{}\n{}\n", screen.title(), screen::summary(&now, before.as_ref()));
    if let Some(notice) = screen.notice() {
        out += &format!("{}\n", table::printable(&notice));
    }
    let views = args.view.map_or_else(|| View::ALL[..3].to_vec(), |view| vec![view]);
    for view in views {
        let usual = Sort { column: rows::usual_column(view), direction: Direction::Usual };
        let sort = sort.filter(|_| view == first).unwrap_or(usual);
        out += "\n";
        out += &rows::table(view, &now, before.as_ref()).arranged(&args.filter, sort).plain();
    }
    Ok(out)
}
