//! Statistics of written sectors, as `check -s` prints them. Counts are `vhd::check`'s.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use vhd::Error;
use vhd::check::{SectorCounts, UniqueSectors, unique_sectors};

use crate::terminal::Terminal;

/// The statistics of one image.
#[derive(Clone, Debug)]
pub(crate) struct Stats {
    pub(crate) name: PathBuf,
    pub(crate) counts: SectorCounts,
    /// What its parents do not hold; `None` for the last image of the chain that is looked at.
    pub(crate) unique: Option<UniqueSectors>,
}

/// The statistics of a chain, leaf first.
pub(crate) fn of_chain(images: Vec<(PathBuf, SectorCounts)>) -> Result<Vec<Stats>, Error> {
    let names: Vec<PathBuf> = images.iter().map(|(name, _)| name.clone()).collect();
    // One image alone has no need of a second look at its bitmaps.
    let unique = if names.len() > 1 { unique_sectors(&names)? } else { Vec::new() };
    let with_parent = images.len().saturating_sub(1);
    let unique = unique.into_iter().map(Some).take(with_parent).chain([None]);
    Ok(images.into_iter().zip(unique).map(|((name, counts), unique)| Stats { name, counts, unique }).collect())
}

/// Prints the statistics of a chain, the last image first.
pub(crate) fn print(chain: &[Stats], terminal: &mut Terminal) {
    for Stats { name, counts: SectorCounts { allocated, written }, unique } in chain.iter().rev() {
        terminal.print_path(file_name(name));
        let share = percent(*written, *allocated);
        terminal.print(format_args!(": secs allocated: {allocated:#x} secs written: {written:#x} ({share})"));
        if let Some(UniqueSectors { not_in_parent, not_in_ancestors }) = unique {
            let (parent, ancestors) = (percent(*not_in_parent, *written), percent(*not_in_ancestors, *written));
            terminal.print(format_args!(
                " secs not in parent: {not_in_parent:#x} ({parent}) secs not in ancestors: {not_in_ancestors:#x} ({ancestors})"
            ));
        }
        terminal.print("\n");
    }
}

/// What follows the last slash, as libvhd's tool names images here.
fn file_name(name: &Path) -> &Path {
    let after_slash = name.as_os_str().as_bytes().rsplit(|&byte| byte == b'/').next();
    after_slash.map_or(name, |after| Path::new(std::ffi::OsStr::from_bytes(after)))
}

/// A share as libvhd's tool rounds it.
#[expect(clippy::cast_possible_truncation, reason = "C keeps it in a float")]
fn percent(part: u64, whole: u64) -> String {
    let share = if whole == 0 { 0.0 } else { f64::from(part as f32 / whole as f32) * 100.0 };
    format!("{:.2}%", share as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(part: u64, whole: u64, expected: &str) {
        assert_eq!(percent(part, whole), expected);
    }

    #[test]
    fn shares_are_those_of_printf() {
        check(0, 0, "0.00%");
        check(6, 0x4000, "0.04%");
        check(1, 6, "16.67%");
        // Half of a hundredth: to the even side.
        check(5, 4000, "0.12%");
        check(15, 4000, "0.38%");
        check(u64::MAX, u64::MAX, "100.00%");
    }
}
