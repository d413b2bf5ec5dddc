//! Resizes that are interrupted, and any bytes as a journal: taking a resize back leaves the image as it was, or says why
//! not and changes nothing. Input: [`How`], size, where to stop, length of the image, image, journal; without a journal
//! the image is resized.

use arbitrary::{Arbitrary, Unstructured};
use vhd::resize::{Resize, Subject};
use vhd::revert::{InDoubt, Reverted, revert};
use vhd::{Disk, ErrorKind, Image, Medium};

use super::input::{How, cut};
use super::sound;
use crate::checksums;
use crate::sparse_disk::SparseDisk;

/// Bytes that are compared at both ends of a disk.
const COMPARED: u64 = 256 << 10;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    how: How,
    size_mib: u16,
    stop: u8,
    in_doubt: bool,
    lens: [u16; 1],
    bytes: &'a [u8],
}

/// The target.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let parts = cut(input.bytes, &input.lens);
    let disk = input.how.disk(parts[0]);
    if parts[1].is_empty() {
        resize(&disk, u64::from(input.size_mib) << 20, input.stop.into());
    } else {
        let mut journal = parts[1].to_vec();
        if input.how.is_fixed() {
            checksums::fix_journal(&mut journal);
        }
        take_back(&disk, &journal, if input.in_doubt { InDoubt::Restore } else { InDoubt::Refuse });
    }
}

fn take_back(disk: &SparseDisk, journal: &[u8], in_doubt: InDoubt) {
    let journal = SparseDisk::file(journal);
    match revert(disk.clone(), &journal, in_doubt) {
        Ok(Reverted::WasWhole) => {}
        Ok(Reverted::Restored) => {
            let image = Image::on(disk.clone()).expect("an image that was taken back opens");
            assert!(!image.footer().is_poisoned, "it is not marked any more");
            revert(disk.clone(), &journal, in_doubt).expect("what was taken back once can be again");
        }
        Err(error) if error.kind() == ErrorKind::Io => {}
        Err(error) => {
            assert_eq!(disk.writes(), 0, "a journal that is refused changes nothing: {error:?}");
            _ = sound::<()>(Err(error));
        }
    }
    assert_eq!(journal.writes(), 0, "a journal is only read");
}

fn resize(disk: &SparseDisk, size_bytes: u64, stop: usize) {
    let Some(image) = sound(Image::on(disk.clone())) else { return };
    let Some(subject) = sound(Subject::of(&image)) else { return };
    let old_bytes = subject.size_bytes();
    // Where a block ends behind the footer, what it holds is the footer, which moves.
    let is_whole = sound(image.physical_bytes()).is_some_and(|bytes| bytes <= disk.len_bytes());
    // A disk is its whole sectors.
    let whole_bytes = old_bytes / 512 * 512;
    let before = contents(disk, whole_bytes).filter(|_| is_whole);
    let Some(resize) = sound(subject.grow(size_bytes)) else { return };
    assert_eq!(disk.writes(), 0, "a plan writes nothing");
    let journal = SparseDisk::file(&[]);
    let done = perform(&resize, &journal, stop);
    if let Err(error) = &done
        && error.kind() == ErrorKind::Io
    {
        return;
    }
    if done.is_ok_and(|is_done| is_done) {
        let image = Image::on(disk.clone()).expect("a larger image opens");
        assert!(image.footer().current_bytes >= size_bytes.max(old_bytes) && !image.footer().is_poisoned);
    } else {
        revert(disk.clone(), &journal, InDoubt::Refuse).expect("a resize that was interrupted can be taken back");
        let image = Image::on(disk.clone()).expect("an image that was taken back opens");
        assert_eq!(image.footer().current_bytes, old_bytes);
    }
    assert!(before.is_none() || contents(disk, whole_bytes) == before, "the disk reads as before");
}

/// Resizes up to a step; whether that was the last one.
pub(super) fn perform(resize: &Resize<'_, SparseDisk>, journal: &SparseDisk, stop: usize) -> vhd::Result<bool> {
    resize.write_journal(journal)?;
    if stop == 0 {
        return Ok(false);
    }
    resize.begin()?;
    for (step, stage) in resize.stages().into_iter().enumerate() {
        if stop == step + 1 {
            return Ok(false);
        }
        resize.perform(stage)?;
    }
    resize.commit()?;
    Ok(true)
}

/// What both ends of the first so many bytes of the disk hold; `None` where they cannot be read, or not be written.
fn contents(disk: &SparseDisk, len_bytes: u64) -> Option<(Vec<u8>, Vec<u8>)> {
    let disk = sound(Disk::of(sound(Image::on(disk.clone()))?, vec![], None))?;
    let len_bytes = len_bytes.min(disk.size_bytes());
    let read = |offset: u64| {
        let mut bytes = vec![0xee; usize::try_from(COMPARED.min(len_bytes)).unwrap()];
        disk.read_at(offset, &mut bytes).ok().map(|()| bytes)
    };
    read(0).zip(read(len_bytes.saturating_sub(COMPARED)))
}
