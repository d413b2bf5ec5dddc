//! What a patch file says of itself: its hunks, its commit's subject, the commit it was made on. Pure; nothing is applied here.

/// Which hunk `git apply` could not place, from what it said: `hunk 2 of 3 of `f`, at line 22`.
pub fn failed_hunk(patch: &str, said: &str) -> Option<String> {
    if let Some((file, line)) =
        said.lines().find_map(|line| line.strip_prefix("error: patch failed: ")?.rsplit_once(':'))
    {
        let starts = hunks(patch, file);
        let wanted: u32 = line.parse().ok()?;
        let number = starts.iter().position(|start| *start == wanted)? + 1;
        return Some(format!("hunk {number} of {} of `{file}`, at line {line}, does not fit", starts.len()));
    }
    let reasons = [
        (": No such file or directory", "which is not there"),
        (": does not exist in index", "which is not there"),
        (": already exists in working directory", "which is there already"),
        (": already exists in index", "which is there already"),
    ];
    let lines = said.lines().filter_map(|line| line.strip_prefix("error: "));
    lines.into_iter().find_map(|line| {
        let (file, why) = reasons.iter().find_map(|(end, why)| Some((line.strip_suffix(end)?, why)))?;
        Some(format!("it is for `{file}`, {why}"))
    })
}

/// The commit that a series was made on: git's own `base-commit:` line.
pub fn base_commit(patch: &str) -> Option<&str> {
    patch.lines().rev().find_map(|line| line.strip_prefix("base-commit: "))
}

/// The subject of its commit, without `[PATCH]`.
pub fn subject(patch: &str) -> Option<String> {
    let mut lines = patch.lines();
    let first = lines.by_ref().take_while(|line| !line.is_empty()).collect::<Vec<_>>();
    let at = first.iter().position(|line| line.starts_with("Subject: "))?;
    let mut subject = first[at]["Subject: ".len()..].to_owned();
    for more in first[at + 1..].iter().take_while(|line| line.starts_with(' ')) {
        subject.push_str(more);
    }
    let plain = subject.strip_prefix('[').and_then(|rest| rest.split_once("] ")).map(|(_, rest)| rest.to_owned());
    Some(plain.unwrap_or(subject))
}

/// The old lines at which the hunks of a file begin.
fn hunks(patch: &str, file: &str) -> Vec<u32> {
    let mut starts = Vec::new();
    let (mut lines, mut is_it) = (patch.lines(), false);
    let names = |line: &str| {
        let name = line.split('\t').next().unwrap_or(line);
        name.split_once('/').is_some_and(|(_, name)| name == file)
    };
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("--- ") {
            is_it = names(name);
        } else if let Some(name) = line.strip_prefix("+++ ") {
            is_it |= names(name);
        } else if let Some((mut old, mut new)) = hunk_lengths(line) {
            let start = line["@@ -".len()..].split([',', ' ']).next().and_then(|start| start.parse::<u32>().ok());
            starts.extend(start.filter(|_| is_it));
            while old > 0 || new > 0 {
                match lines.next().map(|line| line.as_bytes().first().copied()) {
                    None => return starts,
                    Some(Some(b'-')) => old = old.saturating_sub(1),
                    Some(Some(b'+')) => new = new.saturating_sub(1),
                    Some(Some(b'\\')) => {}
                    Some(_) => (old, new) = (old.saturating_sub(1), new.saturating_sub(1)),
                }
            }
        }
    }
    starts
}

/// How many lines of the old and the new file a hunk has: `@@ -1,2 +3,4 @@`.
pub fn hunk_lengths(line: &str) -> Option<(u32, u32)> {
    let (ranges, _) = line.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let length = |range: &str| range.split_once(',').map_or(Some(1), |(_, length)| length.parse().ok());
    Some((length(old)?, length(new)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "From 0000 Mon Sep 17 00:00:00 2001\nFrom: A <a@b>\nSubject: [PATCH 1/2] Change\n two things\n\n---\n\
        diff --git a/g b/g\n--- a/g\n+++ b/g\n@@ -1 +1 @@\n-@@ -9 +9 @@\n+x\n\
        diff --git a/d/f b/d/f\n--- a/d/f\n+++ b/d/f\n@@ -2,3 +2,3 @@\n a\n-b\n+c\n d\n@@ -22 +22 @@ main()\n-x\n+y\n\nbase-commit: 0123\n";

    #[test]
    fn the_hunk_that_does_not_fit_is_counted_in_its_file() {
        let check = |said: &str| failed_hunk(PATCH, said);
        assert_eq!(
            check("error: patch failed: d/f:22\nerror: d/f: patch does not apply\n").as_deref(),
            Some("hunk 2 of 2 of `d/f`, at line 22, does not fit")
        );
        assert_eq!(check("error: patch failed: g:1").as_deref(), Some("hunk 1 of 1 of `g`, at line 1, does not fit"));
        let gone = check("error: d/f: No such file or directory");
        assert_eq!(gone.as_deref(), Some("it is for `d/f`, which is not there"));
        assert_eq!(check("error: corrupt patch"), None);
    }

    #[test]
    fn subject_and_base_are_read_as_git_writes_them() {
        assert_eq!(subject(PATCH).as_deref(), Some("Change two things"));
        assert_eq!(base_commit(PATCH), Some("0123"));
        assert_eq!((subject("--- a/x\n"), base_commit("")), (None, None));
    }
}
