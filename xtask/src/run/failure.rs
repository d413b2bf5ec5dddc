//! What to say of a failed step: the first line of the log that is a cause and not a consequence, with its neighbours, and the
//! hints that a sandbox makes necessary.

use std::fs;
use std::path::Path;

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
        "ld: cannot find",
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
const INNOCENT: [&str; 6] = ["-Werror", "error.o", "errors.o", "strerror", "checking for", "Error 1 (ignored)"];
const BEFORE: usize = 3;
const AFTER: usize = 6;

/// The excerpt of a log around its first real error; its tail when no line looks like one; nothing for an empty log.
pub fn first_error(log: &str) -> Option<Excerpt> {
    let lines: Vec<&str> = log.lines().collect();
    let innocent = |line: &str| INNOCENT.iter().any(|word| line.contains(word)) && !line.contains(": error:");
    let found = SIGNS.iter().enumerate().find_map(|(rank, signs)| {
        lines.iter().position(|line| {
            let consequence = line.contains("*** ") || line.starts_with("ninja: build stopped");
            signs.iter().any(|sign| line.contains(sign)) && !innocent(line) && (rank == 3 || !consequence)
        })
    });
    let error = found.or_else(|| lines.iter().rposition(|line| !line.trim().is_empty()))?;
    let (start, end) = (error.saturating_sub(BEFORE), (error + AFTER + 1).min(lines.len()));
    let lines = lines[start..end].iter().map(|line| shorten(line)).collect();
    Some(Excerpt { first: start + 1, lines, error: error - start })
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

/// What the sandbox did that a recipe's author may not expect.
pub fn hints(log: &str) -> Vec<String> {
    let mut hints = Vec::new();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(log: &str) -> Option<String> {
        first_error(log).map(|excerpt| excerpt.lines[excerpt.error].clone())
    }

    #[test]
    fn the_cause_is_found_among_consequences() {
        let log = "gcc -Werror -c a.c\nchecking for error.h... no\na.c:3:1: error: expected `;'\nmake[1]: *** [a.o] Error 1\nmake: *** [all] Error 2\n";
        assert_eq!(check(log).as_deref(), Some("a.c:3:1: error: expected `;'"));
        assert_eq!(check("all is well\nmake: *** [all] Error 2\n").as_deref(), Some("make: *** [all] Error 2"));
        assert_eq!(check("sh: 1: foo: not found\nerror: later\n").as_deref(), Some("sh: 1: foo: not found"));
        assert_eq!(check("one\ntwo\n\n").as_deref(), Some("two"), "the last words of a silent failure");
        assert_eq!(check(""), None);
    }

    #[test]
    fn neighbours_are_numbered() {
        let log = "1\n2\n3\n4\nx: error: y\n6\n";
        assert_eq!(first_error(log).unwrap().render().lines().nth(3), Some("  >     5 | x: error: y"));
        assert_eq!(first_error(log).unwrap().first, 2);
    }
}
