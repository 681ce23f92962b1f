//! A process that causes a known number of events on command. Each line of its standard input is `pages N`, `getppid N`
//! or `spin MS`, and is answered with `done`.
//!
//! Between two commands it sleeps, so all events it caused are over.

#![allow(unsafe_code, reason = "it touches memory that it maps itself")]

use std::{
    hint::black_box,
    io::{self, BufRead, Write},
    time::{Duration, Instant},
};

const PAGE: usize = 4096;

fn main() -> io::Result<()> {
    // SAFETY: it takes numbers and touches no memory. Without it a fault may bring 512 pages at once.
    let done = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    assert_eq!(done, 0, "huge pages can be switched off");
    let mut answers = io::stdout();
    writeln!(answers, "done")?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (what, number) = line.split_once(' ').expect("a word and a number");
        let number: usize = number.parse().expect("a number");
        match what {
            "pages" => {
                let mut fresh = vec![0u8; number * PAGE];
                fresh.iter_mut().step_by(PAGE).for_each(|byte| *black_box(byte) = 1);
                black_box(&fresh);
            }
            "getppid" => {
                for _ in 0..number {
                    black_box(rustix::process::getppid());
                }
            }
            "spin" => {
                let end = Instant::now() + Duration::from_millis(number as u64);
                while Instant::now() < end {}
            }
            other => panic!("found `{other}`, expected pages, getppid or spin"),
        }
        writeln!(answers, "done")?;
        answers.flush()?;
    }
    Ok(())
}
