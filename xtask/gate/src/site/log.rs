//! What a step said, as a page: its beginning and its end where it is long.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use serde::Serialize;

use super::branch::{Branch, Link};
use crate::error::{Context, Result};
use crate::model::{Flight, Job, Step};

/// Of a long log that much of its beginning and of its end is shown.
const HEAD: u64 = 32 << 10;
const TAIL: u64 = 96 << 10;

/// A log, as far as it is shown.
#[derive(Debug)]
pub(super) struct Log {
    file: String,
    head: String,
    left_out: u64,
    tail: String,
}

#[derive(Debug, Serialize)]
struct Page<'a> {
    branch: Link,
    flight: Link,
    job: Link,
    step: &'a Step,
    file: String,
    head: String,
    left_out: u64,
    tail: String,
}

impl Log {
    /// Nothing where there is none any more.
    pub(super) fn read(state_dir: &Path, name: &str) -> Result<Option<Log>> {
        // The file is ours, and still: it names nothing that is elsewhere.
        if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
            return Ok(None);
        }
        let path = state_dir.join(name);
        let reading = || format!("cannot read `{}`", path.display());
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context(reading),
        };
        let length = file.metadata().context(reading)?.len();
        let is_long = length > HEAD + TAIL;
        let mut head = Vec::new();
        (&mut file).take(if is_long { HEAD } else { HEAD + TAIL }).read_to_end(&mut head).context(reading)?;
        let mut tail = Vec::new();
        if is_long {
            file.seek(SeekFrom::Start(length - TAIL)).context(reading)?;
            (&mut file).take(TAIL).read_to_end(&mut tail).context(reading)?;
        }
        let left_out = if is_long { length - HEAD - TAIL } else { 0 };
        Ok(Some(Log { file: name.to_owned(), head: plain(&head), left_out, tail: plain(&tail) }))
    }

    /// A build said that it ran nothing.
    pub(super) fn is_from_store(&self, testid: &str) -> bool {
        let Some(component) = testid.strip_prefix("build/") else { return false };
        let says = |what: &str| {
            let line = format!(" {component}: {what}");
            self.head.lines().chain(self.tail.lines()).any(|text| text.contains(&line))
        };
        says("restored from the store") || (self.left_out == 0 && !says("building") && self.head.contains("up to date"))
    }
}

/// Text that a browser shows as it is: without escape sequences of terminals, and what is no UTF-8 replaced.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' if letters.peek() == Some(&'[') => {
                letters.next();
                while letters.next_if(|letter| !('@'..='~').contains(letter)).is_some() {}
                letters.next();
            }
            '\r' if letters.peek() == Some(&'\n') => {}
            '\r' => plain.push('\n'),
            '\n' | '\t' => plain.push(letter),
            letter if letter.is_control() => plain.push('\u{fffd}'),
            letter => plain.push(letter),
        }
    }
    plain
}

pub(super) fn page(
    branch: &Branch<'_>,
    flight: &Flight,
    job: &Job,
    step: &Step,
    path: &str,
    log: Log,
) -> Result<(String, String)> {
    let Log { file, head, left_out, tail } = log;
    let flight_link = branch.flight_link(flight.flight);
    let title = format!("Log of {} {}, flight {}", job.name, step.testid, flight.flight);
    let job_link =
        Link { href: format!("{}#{}", flight_link.href, super::place::slug(&job.name)), text: job.name.clone() };
    let page = Page { branch: branch.link(), flight: flight_link, job: job_link, step, file, head, left_out, tail };
    branch.renderer.page("log.html", path, &title, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_keeps_its_two_ends_and_a_terminals_colours_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let middle = "x".repeat(300 << 10);
        std::fs::write(dir.path().join("a.log"), format!("first \u{1b}[31mred\u{1b}[0m\r\n{middle}\nlast\u{7}\n"))
            .unwrap();
        let log = Log::read(dir.path(), "a.log").unwrap().unwrap();
        assert!(log.head.starts_with("first red\nxx"), "{}", &log.head[..20]);
        assert!(log.tail.ends_with("x\nlast\u{fffd}\n"));
        let shown = (log.head.len() + log.tail.len()) as u64;
        assert!(shown < 200 << 10 && log.left_out > 100 << 10);
        assert!(Log::read(dir.path(), "b.log").unwrap().is_none());
        for elsewhere in ["../a.log", "/etc/passwd", "a/../../b"] {
            assert!(Log::read(&dir.path().join("deeper"), elsewhere).unwrap().is_none());
        }
    }
}
