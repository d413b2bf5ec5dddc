//! Debian's patches: which of `debian/patches/series` are wanted, applied in its order.

use std::fs;
use std::path::Path;

use super::super::patches::{self, Patch};
use super::super::{Fetching, Order};
use crate::definition::{Apt, DebianPatches};
use crate::error::{Context, Error, Result};

/// Applies the wanted patches of `dir` (a `debian/patches`) to the prepared tree.
pub(super) fn apply(ctx: &Fetching<'_>, apt: &Apt, order: &Order<'_>, dir: &Path) -> Result<()> {
    let cannot = || format!("cannot apply Debian's patches to source `{}`", order.source);
    let file = dir.join("series");
    let text = fs::read_to_string(&file).map_err(|error| Error::input(cannot()).because(error))?;
    let series = parse(&text).map_err(|why| Error::machine(cannot()).because(why))?;
    let wanted: Vec<&Entry<'_>> = match &apt.debian_patches {
        DebianPatches::All(_) => series.iter().collect(),
        DebianPatches::Named(names) => {
            let unknown: Vec<&str> =
                names.iter().map(String::as_str).filter(|name| !series.iter().any(|entry| entry.is(name))).collect();
            if !unknown.is_empty() {
                let all: Vec<&str> = series.iter().map(|entry| entry.name).collect();
                return Err(Error::input(cannot()).because(format!(
                    "its series has no `{}`; it has {}",
                    unknown.join("`, `"),
                    all.join(", ")
                )));
            }
            series.iter().filter(|entry| names.iter().any(|name| entry.is(name))).collect()
        }
    };
    for entry in wanted {
        let file = dir.join(entry.name).canonicalize().context(cannot)?;
        patches::apply(ctx, order.into, &Patch { name: entry.name, file: &file, strip: entry.strip })
            .map_err(|error| Error::machine(cannot()).because(error.report()))?;
    }
    Ok(())
}

/// One line of a series.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    name: &'a str,
    strip: usize,
}

impl Entry<'_> {
    /// By its full name, or without the ending that says no more than that it is a patch.
    fn is(&self, name: &str) -> bool {
        let stem =
            |name: &str| name.strip_suffix(".patch").or_else(|| name.strip_suffix(".diff")).unwrap_or(name).to_owned();
        self.name == name || stem(self.name) == stem(name)
    }
}

/// `series` as quilt reads it: one patch a line, options after it, `#` comments.
fn parse(text: &str) -> Result<Vec<Entry<'_>>, String> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let line = line.split_once(" #").map_or(line, |(before, _)| before).trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        if name.starts_with('/') || name.split('/').any(|part| part == "..") {
            return Err(format!("the series names `{name}`, which is outside debian/patches"));
        }
        let mut strip = 1;
        for option in words {
            strip = option
                .strip_prefix("-p")
                .and_then(|number| number.parse().ok())
                .ok_or_else(|| format!("the series has the option `{option}` for `{name}`, which is not understood"))?;
        }
        entries.push(Entry { name, strip });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_read_as_quilt_reads_it() {
        let text = "# heading\nfix-a.patch\n\nsub/fix-b.diff -p0 # why\n#off.patch\n";
        let entries = parse(text).unwrap();
        assert_eq!(entries, [Entry { name: "fix-a.patch", strip: 1 }, Entry { name: "sub/fix-b.diff", strip: 0 }]);
        assert!(entries[0].is("fix-a") && !entries[0].is("fix-b"));
        assert!(parse("../../etc/x\n").is_err() && parse("a -R\n").is_err());
    }
}
