//! What to say of a failed step: the first line of the log that is a cause and not a consequence, with its neighbours, and the
//! hints that a sandbox makes necessary.

use std::fs;
use std::path::Path;

use super::missing::Missing;
use crate::machine::Family;

/// A few lines of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Line number of the first line here, from 1.
    pub first: usize,
    /// The lines.
    pub lines: Vec<String>,
    /// Which of them is the error.
    pub error: usize,
}

/// How sure a line is the cause: lower is surer. Consequences (`make: *** [all] Error 2`) count only when nothing else is there.
const SIGNS: [&[&str]; 4] = [
    &[
        ": error:",
        ": fatal error:",
        "configure: error:",
        "error: ",
        "error[E",
        "ERROR: ",
        "CMake Error",
        "undefined reference to",
        "multiple definition of",
        "DSO missing from command line",
        "file format not recognized",
        ": relocation R_",
        "ld: cannot find",
        "syntax error near unexpected token",
        "Permission denied",
        "Read-only file system",
        "No space left on device",
        "command not found",
        ": not found",
        "Network is unreachable",
        "Could not resolve host",
        "Temporary failure in name resolution",
        "Connection refused",
        "Failed to connect",
        "No rule to make target",
        "cannot stat",
        "fatal: ",
        "Traceback (most recent call last)",
        "Error: ",
    ],
    &[
        "No such file or directory",
        "FAILED: ",
        "undefined symbol",
        "Segmentation fault",
        "Killed",
        "cannot open",
        "Cannot",
    ],
    &["error", "Error", "ERROR"],
    &["*** "],
];
/// Lines that look like one and are not.
const INNOCENT: [&str; 10] = [
    "-Werror",
    "error.o",
    "errors.o",
    "strerror",
    "checking for",
    "Error 1 (ignored)",
    " (ignored)",
    // git describe in a tree that is no repository; what wants a version has another one.
    "fatal: not a git repository",
    "fatal: No names found",
    ": warning: ",
];
/// Consequences that look like causes.
const CONSEQUENCES: [&str; 6] = [
    "*** ",
    "ninja: build stopped",
    "collect2: error: ld returned",
    "error: could not compile `",
    // autoconf says where it was before it says what is wrong.
    "configure: error: in `",
    "configure: error: in '",
];
/// What says that something failed, and how a later line begins to say why.
const DOORS: [(&str, &[&str]); 4] = [
    ("failed to run custom build command", &["The system library `", "panicked at"]),
    ("error: linking with `", &["ld: cannot find", "undefined reference to", "rust-lld: error:", "ld.lld: error:"]),
    ("Traceback (most recent call last)", &["Error: ", "Exception: "]),
    // This one has all that was wanted, the other what is not there.
    ("configure: error: Package requirements", &["No package '", "', required by '"]),
];
const BEFORE: usize = 3;
const AFTER: usize = 6;

/// The excerpt of a log around its first real error; its tail when no line looks like one; nothing for an empty log.
pub fn first_error(log: &str) -> Option<Excerpt> {
    let lines: Vec<&str> = log.lines().collect();
    let innocent = |line: &str| INNOCENT.iter().any(|word| line.contains(word)) && !line.contains(": error:");
    let consequence = |line: &str| CONSEQUENCES.iter().any(|sign| line.contains(sign));
    let found = SIGNS.iter().enumerate().find_map(|(rank, signs)| {
        lines.iter().position(|line| {
            signs.iter().any(|sign| line.contains(sign)) && !innocent(line) && (rank == 3 || !consequence(line))
        })
    });
    let found = found.map(|found| behind_door(&lines, found));
    let error = found.or_else(|| lines.iter().rposition(|line| !line.trim().is_empty()))?;
    let (start, end) = (error.saturating_sub(BEFORE), (error + AFTER + 1).min(lines.len()));
    let lines = lines[start..end].iter().map(|line| shorten(line)).collect();
    Some(Excerpt { first: start + 1, lines, error: error - start })
}

/// The line after `found` that says why, where one that looks like it is known to.
fn behind_door(lines: &[&str], found: usize) -> usize {
    let Some((_, whys)) = DOORS.iter().find(|(door, _)| lines[found].contains(door)) else { return found };
    let why = |why: &&str| lines[found..].iter().skip(1).position(|line| line.contains(why));
    whys.iter().find_map(why).map_or(found, |after| found + 1 + after)
}

/// A compiler's command line may be thousands of characters long.
fn shorten(line: &str) -> String {
    const LONGEST: usize = 400;
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

impl Excerpt {
    /// As a block under a message, the error marked with `>`.
    pub fn render(&self) -> String {
        let numbered = self.lines.iter().enumerate().map(|(index, line)| {
            let mark = if index == self.error { '>' } else { ' ' };
            format!("  {mark} {:>5} | {line}\n", self.first + index)
        });
        numbered.collect()
    }
}

/// The end of a log as text, at most a few megabytes of it.
pub fn read_log(log: &Path) -> String {
    const MOST: usize = 8 << 20;
    let bytes = fs::read(log).unwrap_or_default();
    let start = bytes.len().saturating_sub(MOST);
    String::from_utf8_lossy(&bytes[start..]).into_owned()
}

/// A disk was full.
pub fn lacks_space(log: &str) -> bool {
    log.contains("No space left on device")
}

/// There was not enough memory.
pub fn lacks_memory(log: &str) -> bool {
    log.contains("Cannot allocate memory") || log.contains("virtual memory exhausted")
}

/// What the first real error says is not there.
fn missing(log: &str) -> Option<Missing> {
    let excerpt = first_error(log)?;
    let (before, from) = excerpt.lines.split_at(excerpt.error);
    // configure names the package in front of the requirement or behind it.
    from.iter().chain(before.iter().rev()).find_map(|line| Missing::of(line))
}

/// What is missing, and what the sandbox did that a recipe's author may not expect.
pub fn hints(log: &str, family: Option<Family>) -> Vec<String> {
    let mut hints = Vec::new();
    hints.extend(missing(log).map(|missing| missing.help(family)));
    if log.contains("Read-only file system") {
        hints.push(
            "a step wrote outside of its directories; an install that ignores DESTDIR does that. Let it install below {stage}"
                .to_owned(),
        );
    }
    let network = [
        "Network is unreachable",
        "Could not resolve host",
        "Temporary failure in name resolution",
        "unable to resolve host",
        "Name or service not known",
        // The sandbox has a loopback of its own, on which nobody listens.
        "Connection refused",
        "Failed to connect",
        "dial tcp",
    ];
    if network.iter().any(|sign| log.contains(sign)) {
        hints.push(
            "a step tried the network, which no build may; name what it fetches as a source in the manifest".to_owned(),
        );
    }
    hints
}
