//! Whether the pieces of an image's metadata lie apart. Of an image whose pieces lie over each other a write to one changes
//! another: it can be read, never written. Decides only.

use crate::bat::Bat;
use crate::batmap::{Batmap, BatmapHeader};
use crate::error::{Error, Result};
use crate::footer::{FOOTER_BYTES, Footer};
use crate::header::{HEADER_BYTES, Header};
use crate::units::Extent;

const PATH: &str = "parent locator";

/// An error when pieces of a sparse image lie over each other, or over the primary footer, if it has one that begins here.
/// Of tables only what is used counts: libvhd declares more than it has.
pub(crate) fn check(footer: &Footer, header: &Header, batmap: Option<&Batmap>, primary: Option<u64>) -> Result<()> {
    let footer_at = |offset| Extent { offset, len_bytes: FOOTER_BYTES as u64 };
    let mut pieces = vec![
        ("footer copy", footer_at(0)),
        ("header", Extent { offset: footer.data_offset, len_bytes: HEADER_BYTES as u64 }),
        ("BAT", Bat::extent(footer, header)?),
    ];
    if let Some(batmap) = batmap {
        pieces.push(("batmap header", Bat::room(header).and_then(BatmapHeader::extent)?));
        pieces.push(("batmap", batmap.header().map_extent(footer)?));
    }
    // Paths that cannot be read are nobody's loss.
    let paths = header.locators.iter().filter(|locator| locator.is_used()).filter_map(|it| it.extent().ok());
    pieces.extend(paths.map(|extent| (PATH, extent)));
    pieces.extend(primary.map(|offset| ("footer", footer_at(offset))));
    pieces.retain(|(_, extent)| extent.len_bytes > 0);
    pieces.sort_by_key(|(_, extent)| extent.offset);
    let (mut tables_end, mut paths_end) = (0, 0);
    for (what, extent) in pieces {
        // Paths may share a place.
        let is_path = what == PATH;
        if extent.offset < if is_path { tables_end } else { tables_end.max(paths_end) } {
            return Err(Error::corrupt(format!("{what} at {} lies over other metadata", extent.offset)));
        }
        let end = if is_path { &mut paths_end } else { &mut tables_end };
        *end = extent.end(what)?.max(*end);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::Timestamp;
    use crate::create::{Request, Storage};
    use crate::footer::RawFooter;
    use crate::header::RawHeader;
    use crate::locator::{DataSpace, Locator, PlatformCode};
    use crate::plan::{Step, Target};

    /// Footer, header and batmap of a new disk of 64 MiB: BAT at 1536, batmap at 2048 and 2560.
    fn sample() -> (Footer, Header, Batmap) {
        let storage = Storage::Dynamic { max_bytes: None };
        let request = Request { storage, size_bytes: 64 << 20, uuid: Uuid::from_u128(1), timestamp: Timestamp(0) };
        let steps = crate::create::plan(&request, Target::File).unwrap().steps;
        let bytes = |wanted| {
            steps.iter().find_map(|step| match step {
                Step::Write { what, bytes, .. } if *what == wanted => Some(bytes.clone()),
                _ => None,
            })
        };
        let footer = Footer::try_from(&RawFooter::from_prefix(&bytes("footer").unwrap())).unwrap();
        let header = Header::try_from(&RawHeader::from_prefix(&bytes("header").unwrap())).unwrap();
        let map = BatmapHeader::empty(Extent { offset: 2560, len_bytes: 512 }).unwrap();
        (footer, header, Batmap::new(map, vec![0; 512]).unwrap())
    }

    fn check_one(change: impl FnOnce(&mut Footer, &mut Header), primary: Option<u64>, is_accepted: bool) {
        let (mut footer, mut header, batmap) = sample();
        change(&mut footer, &mut header);
        assert_eq!(check(&footer, &header, Some(&batmap), primary).is_ok(), is_accepted, "{footer:?} {header:?}");
    }

    fn path(offset: u64, len_bytes: u32) -> Locator {
        Locator {
            code: PlatformCode::MacX,
            space: DataSpace(len_bytes.next_multiple_of(512)),
            len_bytes,
            reserved: 0,
            offset,
        }
    }

    #[test]
    fn a_new_image_has_its_pieces_apart() {
        check_one(|_, _| (), Some(3072), true);
        check_one(|_, _| (), None, true);
    }

    #[test]
    fn no_piece_lies_over_another() {
        check_one(|_, _| (), Some(3071), false);
        check_one(|footer, _| footer.data_offset = 511, None, false);
        check_one(|footer, _| footer.data_offset = 1024, None, false);
        check_one(|footer, _| footer.data_offset = u64::MAX - 1024, None, true);
        check_one(|footer, _| footer.data_offset = u64::MAX - 1023, None, false);
        for table_offset in [0, 512, 1024, 2560] {
            check_one(|_, header| header.table_offset = table_offset, None, false);
        }
    }

    #[test]
    fn paths_lie_over_no_table_but_may_share_a_place() {
        check_one(|_, header| header.locators[..2].fill(path(3072, 600)), Some(4096), true);
        check_one(|_, header| header.locators[..2].fill(path(3072, 600)), Some(3584), false);
        for offset in [0, 512, 1536, 2048, 2560] {
            check_one(|_, header| header.locators[7] = path(offset, 1), None, false);
        }
        check_one(|_, header| header.locators[7] = path(3072, 0), None, true);
    }
}
