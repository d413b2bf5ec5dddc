//! Names that match a pattern, as glob(3): `*`, `?`, `[a-z]`, `[!a]`, `\` before a letter; sorted. No shell.
//! The crate `glob` knows neither `\\` nor names outside UTF-8, and storage managers pass patterns that C's glob(3) understood.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Files that match. What cannot be listed matches nothing.
pub(crate) fn files(pattern: &OsStr) -> Vec<PathBuf> {
    let bytes = pattern.as_bytes();
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
    names.filter(|name| is_match(part, name.as_bytes())).map(|name| directory.join(name)).collect()
}

/// Goes back to the last `*` only, so that no pattern takes more than pattern × name steps.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
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
        check("*.vhd", ".a.vhd", false);
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
}
