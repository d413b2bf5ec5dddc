//! Any two files as logs of changed blocks: no bit is lost, nothing but what is asked for changes. Input: size, length of the
//! first log, logs.

use std::fs;
use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};
use cbt::{HEADER_BYTES, Header, Log};

use super::input::cut;

/// Sizes that a log is grown to: up to 64 GiB of disk, 128 KiB of log.
const SIZE_MASK: u64 = (64 << 30) - 1;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    size: u64,
    lens: [u16; 1],
    logs: &'a [u8],
}

/// The target.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let directory = tempfile::tempdir().unwrap();
    let [parent, child] = ["parent", "child"].map(|name| directory.path().join(name));
    let logs = cut(input.logs, &input.lens);
    fs::write(&parent, logs[0]).unwrap();
    fs::write(&child, logs[1]).unwrap();
    if let Some((header, bitmap)) = read(&child) {
        assert_eq!(bitmap.len() as u64, header.bitmap_bytes());
    }
    coalesce(&parent, &child);
    grow(&child, input.size & SIZE_MASK);
}

/// The value, if there is one. No log is a reason for EIO or EAGAIN, which callers try again.
fn sound<T>(result: cbt::Result<T>) -> Option<T> {
    result.inspect_err(|error| assert!(error.errno() > 0 && ![5, 11].contains(&error.errno()), "{error:?}")).ok()
}

/// Header and bitmap of a whole log.
fn read(path: &Path) -> Option<(Header, Vec<u8>)> {
    let log = sound(Log::open(path))?;
    let header = sound(log.header())?;
    assert_eq!(header, Header::from_bytes(&header.to_bytes()));
    let mut bitmap = Vec::new();
    for chunk in sound(log.bitmap(&header))? {
        let (offset, bytes) = sound(chunk)?;
        assert_eq!(offset, (HEADER_BYTES + bitmap.len()) as u64);
        bitmap.extend(bytes);
    }
    Some((header, bitmap))
}

fn coalesce(parent: &Path, child: &Path) {
    let (before, bytes) = (read(parent).zip(read(child)), fs::read(child).unwrap());
    let (Some(parent_log), Some(child_log)) = (sound(Log::open(parent)), sound(Log::open_rw(child))) else { return };
    let done = sound(child_log.coalesce(&parent_log));
    let mut expected = bytes;
    if done.is_some() {
        let ((_, theirs), _) = before.expect("logs that coalesce can be read");
        for (ours, theirs) in expected[HEADER_BYTES..].iter_mut().zip(theirs) {
            *ours |= theirs;
        }
    }
    assert!(fs::read(child).unwrap() == expected, "a log has the blocks of both, or is as it was");
}

fn grow(path: &Path, size_bytes: u64) {
    let before = read(path);
    let Some((log, (old, bitmap))) = sound(Log::open_rw(path)).zip(before) else { return };
    let new = Header { size_bytes, ..old };
    let done = sound(log.grow_bitmap(&old, &new)).and_then(|()| sound(log.write_header(&new)));
    let found = read(path).expect("a log that grows, or is refused, can be read");
    if done.is_none() {
        assert!(found == (old, bitmap), "what is refused stays as it was");
        return;
    }
    assert!(found.0 == new && found.1.starts_with(&bitmap));
    assert!(found.1[bitmap.len()..].iter().all(|&byte| byte == 0), "nothing new has changed");
}
