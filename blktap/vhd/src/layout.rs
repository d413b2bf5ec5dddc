//! Where the metadata of a sparse image lies, and where it goes when its tables grow. Decides only.

use crate::bat::Bat;
use crate::batmap::BatmapHeader;
use crate::error::{Error, Result};
use crate::footer::{FOOTER_BYTES, Footer};
use crate::header::{HEADER_BYTES, Header};
use crate::units::{Extent, SECTOR_BYTES, Sectors};

/// Room that is kept for one path to the parent. libvhd makes it as long as the path, a few sectors.
const MAX_LOCATOR_BYTES: u64 = 1 << 20;

/// The pieces of an image's metadata but its primary footer, none over another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) header: Extent,
    pub(crate) bat: Extent,
    /// Header and map.
    pub(crate) batmap: Option<(Extent, Extent)>,
    /// Slots that are used, and the room of their paths.
    pub(crate) locators: Vec<(usize, Extent)>,
}

impl Layout {
    /// The layout of an image whose primary footer is at `footer_offset`. An error when pieces lie over each other or
    /// behind the footer.
    pub(crate) fn of(
        footer: &Footer,
        header: &Header,
        batmap: Option<&BatmapHeader>,
        footer_offset: u64,
    ) -> Result<Self> {
        let bat = Bat::room(header)?;
        let batmap = match batmap {
            Some(batmap) => Some((BatmapHeader::extent(bat)?, map_room(batmap, footer_offset)?)),
            None => None,
        };
        let used = header.locators.iter().enumerate().filter(|(_, locator)| locator.is_used());
        let locators = used.map(|(slot, locator)| {
            let len_bytes = locator.space.bytes()?;
            if len_bytes == 0 || len_bytes > MAX_LOCATOR_BYTES {
                return Err(Error::corrupt(format!("parent locator {slot} has room for {len_bytes} bytes")));
            }
            Ok((slot, Extent::on_sector("parent locator", locator.offset, len_bytes)?))
        });
        let layout = Layout {
            header: Extent::on_sector("header", footer.data_offset, HEADER_BYTES as u64)?,
            bat,
            batmap,
            locators: locators.collect::<Result<_>>()?,
        };
        layout.check(footer_offset)?;
        Ok(layout)
    }

    /// All pieces in ascending order.
    pub(crate) fn pieces(&self) -> Vec<(&'static str, Extent)> {
        let footer_copy = Extent { offset: 0, len_bytes: FOOTER_BYTES as u64 };
        let mut pieces = vec![("footer copy", footer_copy), ("header", self.header), ("BAT", self.bat)];
        pieces.extend(self.batmap.iter().flat_map(|&(header, map)| [("batmap header", header), ("batmap", map)]));
        pieces.extend(self.locators.iter().map(|&(_, room)| ("parent locator", room)));
        pieces.sort_by_key(|(_, extent)| extent.offset);
        pieces
    }

    fn check(&self, limit: u64) -> Result<()> {
        let mut end = 0;
        for (what, extent) in self.pieces() {
            if extent.offset < end {
                return Err(Error::corrupt(format!("{what} at {} lies over other metadata", extent.offset)));
            }
            end = extent.end(what)?;
        }
        if end > limit {
            return Err(Error::corrupt(format!("metadata ends at {end}, behind the footer at {limit}")));
        }
        if self.header.offset > self.bat.offset {
            return Err(Error::corrupt("header lies behind the BAT, in its way"));
        }
        Ok(())
    }

    /// The byte position after all pieces.
    pub(crate) fn end(&self) -> u64 {
        self.pieces().last().map_or(0, |(_, extent)| extent.offset + extent.len_bytes)
    }

    /// With tables for so many blocks: the BAT grows where it is, and what lies behind it makes room.
    pub(crate) fn grown(&self, entries: u32) -> Result<Self> {
        let bat = Extent { len_bytes: Bat::room_bytes(entries), ..self.bat };
        let mut end = bat.end("BAT")?;
        let batmap = if self.batmap.is_some() {
            let header = BatmapHeader::extent(bat)?;
            let len_bytes = Sectors::holding(u64::from(entries.div_ceil(8))).0.max(1) * SECTOR_BYTES;
            let map = Extent { offset: header.end("batmap header")?, len_bytes };
            end = map.end("batmap")?;
            Some((header, map))
        } else {
            None
        };
        let mut locators = self.locators.clone();
        locators.sort_by_key(|(_, room)| room.offset);
        for (_, room) in locators.iter_mut().filter(|(_, room)| room.offset > self.bat.offset) {
            room.offset = room.offset.max(end);
            end = room.end("parent locator")?;
        }
        locators.sort_by_key(|&(slot, _)| slot);
        Ok(Layout { header: self.header, bat, batmap, locators })
    }
}

/// The room of the map. On some sizes libvhd declares a sector more than it has, so that the footer stands in it.
fn map_room(batmap: &BatmapHeader, footer_offset: u64) -> Result<Extent> {
    let room = batmap.map_room();
    Extent::on_sector("batmap", room.offset, room.len_bytes)?;
    let is_short = room.end("batmap")? == footer_offset.saturating_add(SECTOR_BYTES) && room.len_bytes > SECTOR_BYTES;
    Ok(Extent { len_bytes: room.len_bytes - if is_short { SECTOR_BYTES } else { 0 }, ..room })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `snapshot` makes of a disk of 64 MiB.
    fn snapshot() -> Layout {
        let extent = |offset, len_bytes| Extent { offset, len_bytes };
        Layout {
            header: extent(512, 1024),
            bat: extent(1536, 512),
            batmap: Some((extent(2048, 512), extent(2560, 512))),
            locators: vec![(0, extent(3072, 512)), (1, extent(3584, 1024)), (2, extent(4608, 512))],
        }
    }

    fn check(change: impl FnOnce(&mut Layout), limit: u64, is_accepted: bool) {
        let mut layout = snapshot();
        change(&mut layout);
        assert_eq!(layout.check(limit).is_ok(), is_accepted, "{layout:?}");
    }

    #[test]
    fn pieces_lie_over_nothing() {
        check(|_| (), 5120, true);
        check(|_| (), 5119, false);
        check(|layout| layout.locators[1].1.offset = 3072, 5120, false);
        check(|layout| layout.locators[1].1.offset = 2560, 5120, false);
        check(|layout| layout.header.offset = 0, 5120, false);
        check(|layout| layout.header.offset = 1 << 20, 2 << 20, false);
        check(|layout| layout.bat.len_bytes = u64::MAX - 1535, u64::MAX, false);
    }

    #[test]
    fn what_lies_behind_the_bat_makes_room() {
        let places = |layout: Layout| layout.pieces().into_iter().map(|(_, extent)| extent.offset).collect::<Vec<_>>();
        assert_eq!(snapshot().grown(128).unwrap(), snapshot());
        assert_eq!(places(snapshot().grown(129).unwrap()), [0, 512, 1536, 2560, 3072, 3584, 4096, 5120]);
        let grown = snapshot().grown(8192).unwrap();
        assert_eq!(grown.end(), 1536 + 32768 + 512 + 1024 + 2048);
        assert!(grown.check(grown.end()).is_ok());
    }

    #[test]
    fn what_is_in_nobodys_way_stays() {
        let mut layout = snapshot();
        layout.bat.offset = 8192;
        layout.batmap = None;
        layout.locators[2].1.offset = 1 << 20;
        let grown = layout.grown(1 << 16).unwrap();
        assert_eq!(grown.locators, layout.locators);
        assert_eq!(grown.bat.len_bytes, 4 << 16);
    }
}
