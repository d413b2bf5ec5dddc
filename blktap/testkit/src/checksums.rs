//! Making checksums right again after damage, so that the damage gets past them.

use vhd::bat::Bat;
use vhd::batmap::{BatmapHeader, RawBatmapHeader};
use vhd::footer::{FOOTER_BYTES, Footer, RawFooter};
use vhd::header::{HEADER_BYTES, Header, RawHeader};

const FOOTER_AT: usize = 64;
const HEADER_AT: usize = 36;
const BATMAP_AT: usize = 24;

/// Corrects both footers, the header and the batmap of an image, as far as they are there.
pub fn fix(image: &mut [u8]) {
    let Some(end) = image.len().checked_sub(FOOTER_BYTES) else { return };
    for at in [0, end] {
        let sum = RawFooter::from_prefix(&image[at..]).computed_checksum();
        put(image, at + FOOTER_AT, sum);
    }
    let footer = [end, 0].into_iter().find_map(|at| Footer::try_from(&RawFooter::from_prefix(&image[at..])).ok());
    let Some(footer) = footer else { return };
    let header = usize::try_from(footer.data_offset).ok().and_then(|at| {
        let bytes = image.get(at..)?.get(..HEADER_BYTES)?;
        let sum = RawHeader::from_prefix(bytes).computed_checksum();
        put(image, at + HEADER_AT, sum);
        Header::try_from(&RawHeader::from_prefix(&image[at..])).ok()
    });
    if let Some(header) = header {
        // `None`: no batmap, or one that is out of reach.
        _ = fix_batmap(image, &footer, &header);
    }
}

/// Corrects every entry of a resize's journal.
pub fn fix_journal(journal: &mut [u8]) {
    const HEADER_BYTES: usize = 512;
    const ENTRY_BYTES: usize = 32;
    const SUM_AT: usize = 24;
    let mut at = HEADER_BYTES;
    while let Some(entry) = journal.get(at..).and_then(|rest| rest.get(..ENTRY_BYTES)) {
        let len = u32::from_be_bytes([entry[12], entry[13], entry[14], entry[15]]);
        let end = usize::try_from(len).ok().and_then(|len| (at + ENTRY_BYTES).checked_add(len));
        let Some(bytes) = end.and_then(|end| journal.get(at..end)) else { return };
        let summed = bytes.iter().enumerate().filter(|(index, _)| !(SUM_AT..SUM_AT + 4).contains(index));
        let sum = !summed.fold(0u32, |sum, (_, &byte)| sum.wrapping_add(byte.into()));
        let next = at + bytes.len();
        put(journal, at + SUM_AT, sum);
        at = next;
    }
}

fn fix_batmap(image: &mut [u8], footer: &Footer, header: &Header) -> Option<()> {
    let at = usize::try_from(BatmapHeader::extent(Bat::room(header).ok()?).ok()?.offset).ok()?;
    let batmap = BatmapHeader::try_from(&RawBatmapHeader::from_prefix(image.get(at..)?)).ok()?;
    let map = batmap.map_extent(footer).ok()?;
    let map_at = usize::try_from(map.offset).ok()?;
    let bytes = image.get(map_at..)?.get(..usize::try_from(map.len_bytes).ok()?)?;
    let sum = batmap.computed_checksum(bytes);
    put(image, at + BATMAP_AT, sum);
    Some(())
}

fn put(image: &mut [u8], at: usize, sum: u32) {
    if let Some(field) = image.get_mut(at..at + 4) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use vhd::Image;

    use super::*;
    use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic};
    use crate::sparse_disk::SparseDisk;

    #[test]
    fn damage_gets_past_every_checksum() {
        for mut image in [dynamic(64), child("./a.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES)] {
            let sound = image.clone();
            fix(&mut image);
            assert!(image == sound, "what is right stays");
            // Hidden flags, name of the parent, the batmap's last byte.
            for at in [85, image.len() - 512 + 85, 512 + 64, 3071] {
                image[at] ^= 1;
            }
            let opened = |image: &[u8]| Image::on(SparseDisk::file(image)).and_then(|image| image.batmap());
            assert!(opened(&image).is_err());
            fix(&mut image);
            assert!(opened(&image).unwrap().is_some());
        }
    }
}
