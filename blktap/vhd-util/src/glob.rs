//! Names that match a pattern, as glob(3): `*`, `?`, `[a-z]`, `[!a]`, `{a,b}`, `\` before a letter; sorted. No shell.
//! The crate `glob` knows neither `\\` nor names outside UTF-8, and storage managers pass patterns that C's glob(3) understood.

use std::ffi::OsStr;
use std::fs;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Patterns that one with braces may stand for.
const MAX_ALTERNATIVES: usize = 1024;

/// Files that match. What cannot be listed matches nothing.
pub(crate) fn files(pattern: &OsStr) -> Vec<PathBuf> {
    alternatives(pattern.as_bytes()).iter().flat_map(|pattern| of_one(pattern)).collect()
}

/// What a pattern with `{a,b}` stands for, in order. Braces that do not match, and `{}`, are letters.
fn alternatives(pattern: &[u8]) -> Vec<Vec<u8>> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_vec()];
    while let Some(pattern) = open.pop() {
        match braces(&pattern) {
            Some((start, parts, end)) if open.len() + done.len() + parts.len() <= MAX_ALTERNATIVES => {
                let with = |part: &Range<usize>| [&pattern[..start], &pattern[part.clone()], &pattern[end..]].concat();
                open.extend(parts.iter().rev().map(with));
            }
            _ => done.push(pattern),
        }
    }
    done
}

/// The first braces: where they begin, the parts between their commas, and where they are over.
fn braces(pattern: &[u8]) -> Option<(usize, Vec<Range<usize>>, usize)> {
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            b'\\' => at += 1,
            b'{' if pattern.get(at + 1) != Some(&b'}') => break,
            _ => {}
        }
        at += 1;
    }
    let start = at;
    let (mut depth, mut parts, mut from) = (0, Vec::new(), start + 1);
    while at < pattern.len() {
        match pattern[at] {
            b'\\' => at += 1,
            b'{' => depth += 1,
            b',' if depth == 1 => {
                parts.push(from..at);
                from = at + 1;
            }
            b'}' if depth == 1 => {
                parts.push(from..at);
                return Some((start, parts, at + 1));
            }
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

fn of_one(bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = vec![if bytes.starts_with(b"/") { PathBuf::from("/") } else { PathBuf::new() }];
    if bytes.starts_with(b"./") {
        found = vec![PathBuf::from(".")];
    }
    if bytes.is_empty() {
        return Vec::new();
    }
    for part in bytes.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && part != b".") {
        found = found.iter().flat_map(|directory| matching(directory, part)).collect();
    }
    found.retain(|path| fs::symlink_metadata(path).is_ok());
    found.sort_unstable();
    found
}

fn matching(directory: &Path, part: &[u8]) -> Vec<PathBuf> {
    if !part.iter().any(|byte| b"*?[\\".contains(byte)) {
        return vec![directory.join(OsStr::from_bytes(part))];
    }
    let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = fs::read_dir(listed) else { return Vec::new() };
    let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
    let is_hidden = |name: &[u8]| name.starts_with(b".") && !part.starts_with(b".");
    names
        .filter(|name| !is_hidden(name.as_bytes()) && is_match(part, name.as_bytes()))
        .map(|name| directory.join(name))
        .collect()
}

/// Whether a name without slashes matches. Goes back to the last `*` only, so that no pattern takes more than pattern × name steps.
pub(crate) fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut taken, mut star) = (0, 0, None);
    while taken < name.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, taken));
            at += 1;
        } else if let Some(next) = one(pattern, at, name[taken]) {
            (at, taken) = (next, taken + 1);
        } else if let Some((star_at, star_taken)) = star {
            star = Some((star_at, star_taken + 1));
            (at, taken) = (star_at + 1, star_taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// Where the pattern goes on when the letter matches at `at`.
fn one(pattern: &[u8], at: usize, letter: u8) -> Option<usize> {
    match *pattern.get(at)? {
        b'?' => Some(at + 1),
        b'\\' if at + 1 < pattern.len() => (pattern[at + 1] == letter).then_some(at + 2),
        b'[' => match set(&pattern[at + 1..], letter) {
            Some((len, is_in)) => is_in.then_some(at + 1 + len),
            None => (letter == b'[').then_some(at + 1),
        },
        byte => (byte == letter).then_some(at + 1),
    }
}

/// Length of the set after `[`, its `]` included, and whether the letter is in it; `None` when it never ends.
fn set(pattern: &[u8], letter: u8) -> Option<(usize, bool)> {
    let is_negated = matches!(pattern.first(), Some(b'!' | b'^'));
    let start = usize::from(is_negated);
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|&byte| byte == b']')?;
    let mut members = &pattern[start..end];
    let mut is_in = false;
    while let [first, rest @ ..] = members {
        match rest {
            [b'-', last, rest @ ..] => {
                is_in |= (*first..=*last).contains(&letter);
                members = rest;
            }
            _ => {
                is_in |= *first == letter;
                members = rest;
            }
        }
    }
    Some((end + 1, is_in != is_negated))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, name: &str, expected: bool) {
        assert_eq!(is_match(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
    }

    #[test]
    fn patterns_match_as_in_glob() {
        check("*.vhd", "a.vhd", true);
        check("*.vhd", ".a.vhd", true);
        check("*.vhd", "a.vhdx", false);
        check("a?c*", "abcdef", true);
        check("[a-c]*[!0-9]", "bx1y", true);
        check("[a-c]*[!0-9]", "bx1", false);
        check("[]]", "]", true);
        check("[a", "[a", true);
        check("\\*", "*", true);
        check("\\*", "a", false);
        check(&"*a".repeat(50), &"a".repeat(49), false);
        check("VHD-*", "VHD-", true);
    }

    #[test]
    fn braces_stand_for_each_of_their_parts() {
        let check = |pattern: &str, expected: &[&str]| {
            let found = alternatives(pattern.as_bytes());
            assert_eq!(found, expected.iter().map(|one| one.as_bytes()).collect::<Vec<_>>(), "{pattern}");
        };
        check("a*", &["a*"]);
        check("{a,b}.vhd", &["a.vhd", "b.vhd"]);
        check("x{a,{b,c}d,}y{1,2}", &["xay1", "xay2", "xbdy1", "xbdy2", "xcdy1", "xcdy2", "xy1", "xy2"]);
        check("{a}", &["a"]);
        check("{}{a", &["{}{a"]);
        check("\\{a,b}", &["\\{a,b}"]);
        check("", &[""]);
        assert!(alternatives("{a,b}".repeat(30).as_bytes()).len() <= MAX_ALTERNATIVES);
    }

    #[test]
    fn files_are_found_and_hidden_ones_are_not() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.vhd", "a.vhd", ".c.vhd", "d"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let found = |pattern: &str| -> Vec<_> {
            let found = files(directory.path().join(pattern).as_os_str());
            found.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(found("*.vhd"), ["a.vhd", "b.vhd"]);
        assert_eq!(found(".*.vhd"), [".c.vhd"]);
        assert_eq!(found("{d,[ab].vhd,x}"), ["d", "a.vhd", "b.vhd"]);
    }
}
