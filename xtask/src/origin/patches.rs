//! Applies patches strictly with `git apply`: no fuzz, no rejects, nothing skipped.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;

use super::Fetching;
use super::git::program;
use crate::error::{Context, Error, Result};
use crate::patch::{failed_hunk, hunk_lengths};

/// One patch and how many leading path parts its names carry too much.
pub(super) struct Patch<'a> {
    pub(super) name: &'a str,
    pub(super) file: &'a Path,
    pub(super) strip: usize,
}

/// Applies one patch to the plain directory `tree`.
pub(super) fn apply(ctx: &Fetching<'_>, tree: &Path, patch: &Patch<'_>) -> Result<()> {
    let cannot = || format!("cannot apply patch `{}`", patch.name);
    // Inside a repository `git apply` silently skips every path outside the current directory's part of it, and our scratch
    // directory is inside one. So git is told not to look for one above the tree, and what it skips is an error.
    let tree = tree.canonicalize().context(cannot)?;
    let above = tree.parent().unwrap_or(&tree);
    let bytes = fs::read(patch.file).context(cannot)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mended = with_renames_of_submodules(&bytes);
    let mut file = tempfile::NamedTempFile::new_in(above).context(cannot)?;
    file.write_all(&mended).context(cannot)?;
    let strip = format!("-p{}", patch.strip);
    let mut words = vec!["apply", "--verbose", "--whitespace=nowarn", &strip];
    // Without it a hunk with no context would have to match at the very end of the file.
    words.extend(has_hunk_without_context(&text).then_some("--unidiff-zero"));
    // diff(1) says of two binary files only that they differ; patch(1), which Debian applies its series with, passes over it.
    let left_out = binaries_without_content(&text, patch.strip);
    let excluded: Vec<String> = left_out.iter().map(|path| format!("--exclude={path}")).collect();
    words.extend(excluded.iter().map(String::as_str));
    words.push("--");
    let argv = words.into_iter().map(OsStr::new).chain([file.path().as_os_str()]);
    let ended = program(argv).env("GIT_CEILING_DIRECTORIES", above).dir(&tree).run(ctx.cancel)?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    if !ended.status.success() {
        let reasons: Vec<&str> = said.lines().filter(|line| !line.starts_with("Checking patch")).collect();
        let hunk = failed_hunk(&text, &said).map(|hunk| format!(": {hunk}")).unwrap_or_default();
        return Err(Error::machine(format!("{}{hunk}", cannot())).because(reasons.join("\n    ")));
    }
    match left_out.as_slice() {
        [] => {}
        [path] => (ctx.say)(&format!(
            "patch `{}` names the binary file `{path}` without its content; it stays as it is",
            patch.name
        )),
        [first, .., last] => (ctx.say)(&format!(
            "patch `{}` names {} binary files without their content, `{first}` to `{last}`; they stay as they are",
            patch.name,
            left_out.len()
        )),
    }
    let is_expected = |line: &str| left_out.iter().any(|path| line.contains(path.as_str()));
    match said.lines().find(|line| line.starts_with("Skipped patch") && !is_expected(line)) {
        Some(line) => Err(Error::machine(cannot()).because(line.to_owned())),
        None => Ok(()),
    }
}

/// Paths in lines `Binary files a/x and b/x differ`.
fn binaries_without_content(patch: &str, strip: usize) -> Vec<String> {
    let named = patch.lines().filter_map(|line| line.strip_prefix("Binary files ")?.strip_suffix(" differ"));
    let new = named.filter_map(|names| names.split_once(" and ").map(|(_, new)| new));
    new.filter_map(|path| path.splitn(strip + 1, '/').nth(strip)).map(str::to_owned).collect()
}

/// Says a file's full name in `rename from` and `copy to` lines too: `git diff --submodule=diff` leaves the submodule's own path
/// out of those lines only (as in qemu's 7.2.13), and `git apply` then refuses the patch as inconsistent. patch(1) takes it.
fn with_renames_of_submodules(patch: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(patch.len());
    let mut names = None;
    for line in patch.split_inclusive(|byte| *byte == b'\n') {
        let text = std::str::from_utf8(line).unwrap_or_default().trim_end_matches('\n');
        if let Some(both) = text.strip_prefix("diff --git a/") {
            names = both.split_once(" b/");
        } else if text.starts_with("--- ") || text.starts_with("@@ ") {
            names = None;
        }
        let full = names.and_then(|(old, new)| {
            ["rename from ", "copy from "]
                .iter()
                .map(|say| (say, old))
                .chain(["rename to ", "copy to "].iter().map(|say| (say, new)))
                .find_map(|(say, full)| {
                    let short = text.strip_prefix(say)?;
                    full.strip_suffix(short)?.ends_with('/').then(|| format!("{say}{full}\n"))
                })
        });
        match full {
            Some(full) => out.extend_from_slice(full.as_bytes()),
            None => out.extend_from_slice(line),
        }
    }
    out
}

/// Some hunk has no context but takes lines away, which then are what it is found by. (One that only adds could go anywhere; git
/// refuses it, and so do we.)
fn has_hunk_without_context(patch: &str) -> bool {
    let mut lines = patch.lines();
    while let Some(line) = lines.next() {
        let Some((mut old, mut new)) = hunk_lengths(line) else { continue };
        let (mut has_context, mut has_removed) = (false, false);
        while old > 0 || new > 0 {
            let Some(line) = lines.next() else { return false };
            match line.as_bytes().first() {
                Some(b'-') => (has_removed, old) = (true, old.saturating_sub(1)),
                Some(b'+') => new = new.saturating_sub(1),
                Some(b'\\') => {}
                _ => (has_context, old, new) = (true, old.saturating_sub(1), new.saturating_sub(1)),
            }
        }
        if has_removed && !has_context {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_files_without_content_are_named() {
        let text = "--- a/x\n+++ b/x\nBinary files a/t/DSDT.cxl and b/t/DSDT.cxl differ\nBinary files differ\n";
        assert_eq!(binaries_without_content(text, 1), ["t/DSDT.cxl"]);
        assert_eq!(binaries_without_content(text, 0), ["b/t/DSDT.cxl"]);
    }

    #[test]
    fn renames_within_a_submodule_get_its_path() {
        let text = "diff --git a/sub/m/old b/sub/m/new\nrename from old\nrename to new\n--- a/sub/m/old\n+++ b/sub/m/new\n@@ -1 +1 @@\n-rename from old\n+x\n";
        let mended = text.replacen("from old", "from sub/m/old", 1).replacen("to new", "to sub/m/new", 1);
        assert_eq!(String::from_utf8(with_renames_of_submodules(text.as_bytes())).unwrap(), mended);
        assert_eq!(with_renames_of_submodules(mended.as_bytes()), mended.as_bytes());
    }

    #[test]
    fn hunks_without_context_are_found() {
        let without = "--- a/x\n+++ b/x\n@@ -2787 +2787 @@ subdir('tools')\n-a\n+b\n";
        assert!(has_hunk_without_context(without));
        assert!(!has_hunk_without_context("@@ -1,2 +1,2 @@\n-a\n+b\n c\n"));
        assert!(!has_hunk_without_context("@@ -1,0 +2 @@\n+b\n"));
        assert!(has_hunk_without_context("@@ -1,2 +1,2 @@\n-a\n+b\n c\n@@ -9 +8,0 @@\n-gone\n"));
    }
}
