//! Faults of the BAT's entries, of the batmap, and of blocks' bitmaps.

use std::ops::Range;

use super::{Options, Place, Report, SectorCounts};
use crate::bat::{Bat, UNUSED};
use crate::image::Image;
use crate::units::SECTOR_BYTES;
use crate::version::Version;

/// Checks that blocks lie in `room` (between metadata and footer) and on nothing else.
/// Returns for each block whether its data is worth reading: it is in the file, and no other block's (a BAT can name
/// one place a million times).
pub(super) fn check(bat: &Bat, room: &Range<u64>, options: &Options, report: &mut Report) -> Vec<bool> {
    let entries = bat.entries();
    let block_sectors = bat.block_sectors();
    let pairs = if options.ignore_overlaps { Vec::new() } else { overlaps(entries, block_sectors) };
    let mut partners = pairs.iter().peekable();
    let mut is_readable = vec![false; entries.len()];
    for ((block, &sector), is_readable) in (0u32..).zip(entries).zip(&mut is_readable) {
        if sector == UNUSED {
            continue;
        }
        let start = u64::from(sector) * SECTOR_BYTES;
        let end = start + block_sectors * SECTOR_BYTES;
        *is_readable = end <= room.end;
        let at = format_args!("block {block} (offset {sector:#x})");
        if start < room.start {
            report.add(Place::Bat, format_args!("{at} clobbers headers"));
        }
        if end > room.end {
            report.add(Place::Bat, format_args!("{at} clobbers footer"));
        }
        while let Some(&(_, other)) = partners.next_if(|&&(first, _)| first == block) {
            let at_other = usize::try_from(other).ok().and_then(|other| entries.get(other)).copied().unwrap_or(UNUSED);
            report.add(Place::Bat, format_args!("{at} clobbers block {other} (offset {at_other:#x})"));
        }
    }
    for overlapping in pairs.iter().flat_map(|&(first, second)| [first, second]) {
        if let Some(is_readable) = usize::try_from(overlapping).ok().and_then(|block| is_readable.get_mut(block)) {
            *is_readable = false;
        }
    }
    is_readable
}

/// Pairs of blocks (lower number first) that lie on each other, in order. Not every pair, which could be n², but every
/// block that overlaps is in one, and the first pair is the first of all.
fn overlaps(entries: &[u32], block_sectors: u64) -> Vec<(u32, u32)> {
    let mut placed: Vec<(u32, u32)> = (0u32..)
        .zip(entries)
        .filter(|&(_, &sector)| sector != UNUSED)
        .map(|(block, &sector)| (sector, block))
        .collect();
    placed.sort_unstable();
    let are_close = |low: u32, high: u32| u64::from(high - low) < block_sectors;
    let mut pairs: Vec<(u32, u32)> = placed
        .windows(2)
        .filter(|pair| are_close(pair[0].0, pair[1].0))
        .map(|pair| (pair[0].1.min(pair[1].1), pair[0].1.max(pair[1].1)))
        .collect();
    if let Some(first) = pairs.iter().map(|pair| pair.0).min() {
        let at = usize::try_from(first).ok().and_then(|first| entries.get(first)).copied().unwrap_or(UNUSED);
        let near = (0u32..)
            .zip(entries)
            .find(|&(block, &sector)| block > first && sector != UNUSED && are_close(at.min(sector), at.max(sector)));
        pairs.extend(near.map(|(block, _)| (first, block)));
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// Checks that the batmap lies before the footer, and that blocks that it calls full exist.
pub(super) fn check_batmap(image: &Image, entries: &[u32], data_end: u64, report: &mut Report) {
    // One that cannot be read is reported with the end of the metadata.
    let Ok(Some(batmap)) = image.batmap() else { return };
    if ![Version::new(1, 1), Version::new(1, 2)].contains(&batmap.header().version) {
        report.add(Place::Batmap, "error calculating end of metadata: -22");
    }
    if batmap.header().map_room().end("batmap").map_or(true, |end| end > data_end) {
        report.add(Place::Batmap, "batmap is invalid: invalid batmap size");
    }
    for (block, &sector) in (0u32..).zip(entries) {
        if sector == UNUSED && batmap.is_full(block) {
            report.add(Place::Batmap, format_args!("batmap shows unallocated block {block} full"));
        }
    }
}

/// Counts sectors, and looks for data where bitmaps say there is none: one finding per block.
pub(super) fn check_bitmaps(
    image: &Image,
    bat: &Bat,
    is_readable: &[bool],
    options: &Options,
    report: &mut Report,
    progress: &mut dyn FnMut(u64, u64),
) {
    let mut counts = SectorCounts::default();
    let block_bytes = bat.data_sectors() * SECTOR_BYTES;
    let disk_bytes = is_readable.len() as u64 * block_bytes;
    for ((block, &sector), _) in (0u32..).zip(bat.entries()).zip(is_readable).filter(|&(_, &is_readable)| is_readable) {
        progress(u64::from(block) * block_bytes, disk_bytes);
        counts.allocated += bat.data_sectors();
        match look_at(image, bat, sector, options.check_bitmaps) {
            Ok((written, stray)) => {
                counts.written += written;
                if let Some(sector) = stray {
                    let message = format!("sector {sector:#x} of block {block:#x} has data where bitmap is clear");
                    report.add(Place::Bitmap, message);
                }
            }
            Err(error) => {
                let message = format!("error reading block {block:#x}: -{}", error.errno());
                report.add_errno(Place::Bitmap, message, error.errno());
            }
        }
    }
    report.sectors = options.count_sectors.then_some(counts);
}

/// How many sectors of a block are present, and the first absent one that is not zero.
fn look_at(image: &Image, bat: &Bat, sector: u32, with_data: bool) -> crate::Result<(u64, Option<u64>)> {
    let bitmap = image.bitmap(sector)?;
    let runs = bitmap.runs(0..bat.data_sectors());
    let written = runs.filter(|(is_present, _)| *is_present).map(|(_, run)| run.end - run.start).sum();
    if !with_data || written == bat.data_sectors() {
        return Ok((written, None));
    }
    let data = image.block_data(sector)?;
    let mut data = (0u64..).zip(data.chunks(crate::units::in_memory("sector", SECTOR_BYTES)?));
    let stray = data.find(|&(sector, bytes)| !bitmap.is_present(sector) && bytes.iter().any(|&byte| byte != 0));
    Ok((written, stray.map(|(sector, _)| sector)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow(entries: &[u32], block_sectors: u64) -> Vec<(u32, u32)> {
        let mut pairs = Vec::new();
        for (first, &low) in (0u32..).zip(entries) {
            for (second, &high) in (0u32..).zip(entries).skip(first as usize + 1) {
                if low != UNUSED && high != UNUSED && u64::from(low.abs_diff(high)) < block_sectors {
                    pairs.push((first, second));
                }
            }
        }
        pairs
    }

    proptest! {
        #[test]
        fn the_first_pair_is_that_of_all_pairs_and_no_block_is_forgotten(
            entries in proptest::collection::vec(prop_oneof![0..200u32, Just(UNUSED)], 0..40),
        ) {
            let (found, all) = (overlaps(&entries, 9), slow(&entries, 9));
            prop_assert_eq!(found.first(), all.first());
            let blocks = |pairs: &[(u32, u32)]| pairs.iter().flat_map(|&(a, b)| [a, b]).collect::<std::collections::BTreeSet<_>>();
            prop_assert_eq!(blocks(&found), blocks(&all));
            prop_assert!(found.len() <= entries.len() + 1);
        }
    }
}
