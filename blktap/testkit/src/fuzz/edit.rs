//! Any image and the edits that it takes: one that is refused writes nothing, one that is done shows, and what was not
//! edited stays. Input: [`How`], edits, image.

use std::path::PathBuf;

use arbitrary::{Arbitrary, Unstructured};
use vhd::bat::{Bat, UNUSED};
use vhd::footer::Footer;
use vhd::header::{BlockSize, Header};
use vhd::parent_name::ParentName;
use vhd::relink::{self, Until};
use vhd::{ErrorKind, Image, Medium, ParentLink, Timestamp, edit};

use super::input::How;
use super::sound;
use crate::sparse_disk::SparseDisk;

const MAX_EDITS: usize = 8;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    how: How,
    edits: Vec<(u8, u16)>,
    image: &'a [u8],
}

/// What an image says about itself. What cannot be read must stay so.
#[derive(Clone, Debug, PartialEq)]
struct View {
    footer: Footer,
    header: Option<Header>,
    bat: Option<Bat>,
    batmap_header: Option<Option<Vec<u8>>>,
    /// Blocks that the batmap calls full.
    full: Option<Vec<u32>>,
}

impl View {
    fn of(image: &Image<SparseDisk>) -> Self {
        let (bat, batmap) = (image.bat().ok(), image.batmap().ok().flatten());
        let blocks = bat.as_ref().map_or(0, |bat| u32::try_from(bat.entries().len()).unwrap());
        View {
            footer: image.footer().clone(),
            header: image.header().ok().cloned(),
            bat,
            batmap_header: image.raw_batmap_header().ok().map(|raw| raw.map(|raw| raw.bytes().to_vec())),
            full: batmap.map(|batmap| (0..blocks).filter(|&block| batmap.is_full(block)).collect()),
        }
    }
}

/// The target.
pub fn run(data: &[u8]) {
    let Ok(Input { how, edits, image }) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let disk = how.disk(image);
    let Some(mut image) = sound(Image::on(disk.clone())) else { return };
    for &(kind, value) in edits.iter().take(MAX_EDITS) {
        let (before, writes) = (View::of(&image), disk.writes());
        let is_whole = image.physical_bytes().is_ok_and(|bytes| bytes - 512 <= disk.len_bytes());
        let done = apply(&image, &before, kind, value);
        match &done {
            Err(error) if error.kind() == ErrorKind::Io => {}
            Err(_) => assert_eq!(disk.writes(), writes, "what is refused writes nothing"),
            Ok(_) => {}
        }
        image = Image::on(disk.clone()).expect("an edited image opens");
        if let Ok(mut expected) = done {
            let found = View::of(&image);
            if !is_whole {
                // What lies past the end of a file is there once its footer is.
                expected = View { footer: expected.footer, ..found.clone() };
            }
            assert_eq!(found, expected, "edit {}", kind % 6);
        }
    }
}

/// Does an edit; what the image must say afterwards.
fn apply(image: &Image<SparseDisk>, before: &View, kind: u8, value: u16) -> vhd::Result<View> {
    let mut after = before.clone();
    let [high, low] = value.to_be_bytes();
    match kind % 6 {
        0 => {
            edit::set_hidden(image, low)?;
            after.footer.hidden = low;
        }
        1 => {
            edit::set_marker(image, low)?;
            batmap_header(&mut after)[28] = low;
        }
        2 => {
            let size_bytes = u64::from(low) << (high % 32);
            edit::set_physical_size(image, size_bytes)?;
            if image.file().target() == vhd::plan::Target::File {
                image.file().resize(size_bytes);
            }
        }
        3 => {
            edit::kill_data(image)?;
            after.bat = after.bat.map(|bat| Bat::new(vec![UNUSED; bat.entries().len()], block_size(before)));
            if after.full.is_some() {
                after.full = Some(vec![]);
                // The sum of zeros.
                batmap_header(&mut after)[24..28].fill(0xff);
            }
        }
        4 => {
            let size_bytes = u64::from(value) << 16;
            let old_blocks = before.bat.as_ref().map_or(0, |bat| bat.entries().len());
            edit::grow(image, size_bytes)?;
            let image = Image::on(image.file().clone())?;
            assert!(image.footer().current_bytes >= size_bytes.max(before.footer.current_bytes));
            let bat = image.bat()?;
            assert!(bat.entries()[old_blocks..].iter().all(|&entry| entry == UNUSED), "new blocks are not there");
            assert_eq!(Some(&bat.entries()[..old_blocks]), before.bat.as_ref().map(Bat::entries));
            (after.footer, after.bat) = (image.footer().clone(), Some(bat));
        }
        _ => {
            let name = ParentName::encode(&format!("p{value}.vhd"))?;
            let (uuid, timestamp) = (uuid::Uuid::from_u128(value.into()), Timestamp(value.into()));
            let path = PathBuf::from(format!("./p{value}.vhd"));
            relink::apply(
                image,
                &ParentLink { uuid, timestamp, name, path: path.clone(), key_hash: None },
                Until::End,
            )?;
            let image = Image::on(image.file().clone())?;
            let header = image.header()?;
            assert_eq!((header.parent_uuid, header.parent_timestamp, header.parent_name), (uuid, timestamp, name));
            for locator in header.locators.iter().filter(|locator| locator.is_used()) {
                assert_eq!(image.locator_path(locator)?.file_name(), path.file_name());
            }
            after.header = Some(header.clone());
        }
    }
    Ok(after)
}

fn block_size(view: &View) -> BlockSize {
    view.header.as_ref().expect("a disk with blocks has a header").block_size
}

fn batmap_header(view: &mut View) -> &mut [u8] {
    view.batmap_header.iter_mut().flatten().next().expect("there is a batmap")
}
