//! Any bytes as an image: it opens or not, and whatever is asked of it is an answer or an error. Input: [`How`], image.

use arbitrary::{Arbitrary, Unstructured};
use vhd::footer::{Footer, RawFooter};
use vhd::header::RawHeader;
use vhd::{Image, Medium};

use super::input::How;
use super::sound;
use crate::sparse_disk::SparseDisk;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    how: How,
    image: &'a [u8],
}

/// The target.
pub fn run(data: &[u8]) {
    let Ok(Input { how, image }) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    if let Some(image) = sound(Image::on(how.disk(image))) {
        ask(&image);
    }
}

fn ask(image: &Image<SparseDisk>) {
    let footer = image.footer();
    assert_eq!(
        Footer::try_from(&RawFooter::from(footer)).unwrap(),
        *footer,
        "a footer that is written is the one read"
    );
    if let Some(bat) = sound(image.bat()) {
        let header = image.header().unwrap();
        assert_eq!(bat.entries().len() as u64, footer.current_bytes.div_ceil(header.block_size.bytes()));
        assert!(bat.allocated_blocks() <= bat.entries().len());
        assert_eq!(bat.end_of_data().is_some(), bat.allocated_blocks() > 0);
        assert!(bat.encode().len() as u64 <= image.file().len_bytes());
    }
    if let Some(header) = sound(image.header()) {
        assert_eq!(Some(&RawHeader::from(header)), image.raw_header(), "a header that is written is the one read");
        drop(header.parent_name.decode());
        for locator in &header.locators {
            if let Some(path) = sound(image.locator_path(locator)) {
                assert!(path.as_os_str().len() <= 2 * locator.len_bytes as usize);
            }
        }
    }
    if let Some(Some(batmap)) = sound(image.batmap()) {
        let blocks = footer.current_bytes.div_ceil(image.header().unwrap().block_size.bytes());
        let full = (0..u32::try_from(blocks).unwrap()).filter(|&block| batmap.is_full(block)).count();
        assert!(full as u64 <= image.file().len_bytes() * 8);
        assert_eq!(sound(image.marker()), Some(batmap.header().marker));
    }
    drop((
        sound(image.raw_batmap_header()),
        sound(image.marker()),
        sound(image.max_virtual_bytes()),
        format!("{image:?}"),
    ));
    if let Some(bytes) = sound(image.physical_bytes()) {
        assert!(bytes >= 512);
    }
}
