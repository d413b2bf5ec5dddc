//! Random requests of two clients, at any alignment, beside a vector of bytes; then the image by itself, and its check.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rustix::process::Signal;
use vhd::check::{self, Options};
use vhd::{Disk, Timestamp};

use crate::client::{FUA, NO_HOLE, TRIM, WRITE_ZEROES};
use crate::served::{Mode, SIZE, Served, content, images};

#[derive(Clone, Copy, Debug)]
enum Op {
    Write { byte: u8, flags: u16 },
    Zero { flags: u16 },
    Trim,
    Read,
    Status,
    Flush,
}

fn op() -> impl Strategy<Value = (Op, usize, usize)> {
    let kind = prop_oneof![
        4 => (1u8.., prop_oneof![Just(0), Just(FUA)]).prop_map(|(byte, flags)| Op::Write { byte, flags }),
        2 => prop_oneof![Just(0), Just(NO_HOLE), Just(FUA)].prop_map(|flags| Op::Zero { flags }),
        1 => Just(Op::Trim),
        3 => Just(Op::Read),
        1 => Just(Op::Status),
        1 => Just(Op::Flush),
    ];
    let len = prop_oneof![3 => 1usize..2000, 1 => Just(4096), 1 => 1usize..300_000];
    let at = prop_oneof![0..SIZE, (0..SIZE / 4096).prop_map(|page| page * 4096)];
    (kind, at, len).prop_map(|(kind, at, len)| (kind, at, len.min(SIZE - at)))
}

fn check(name: &str, mode: Mode, ops: &[(Op, usize, usize)]) -> Result<(), TestCaseError> {
    let images = images();
    let image = images.path().join(name);
    let served = Served::with(&image, mode, &[]);
    let mut clients = [served.client(), served.client()];
    let mut oracle = content(name);
    for (turn, &(op, at, len)) in ops.iter().enumerate() {
        let (client, offset) = (&mut clients[turn % 2], at as u64);
        let held = &mut oracle[at..][..len];
        match op {
            Op::Write { byte, flags } => {
                held.fill(byte);
                assert_eq!(client.write(flags, offset, held), 0);
            }
            Op::Zero { flags } => {
                held.fill(0);
                assert_eq!(client.ask(flags, WRITE_ZEROES, offset, len), 0);
            }
            Op::Trim => {
                assert_eq!(client.ask(0, TRIM, offset, len), 0);
                // Whatever is there now, it is there to stay.
                held.copy_from_slice(&client.read(offset, len).unwrap());
            }
            Op::Read => assert!(client.read(offset, len).unwrap() == held, "{op:?} of {len} at {at}"),
            Op::Status => {
                let mut start = 0;
                for (len, state) in client.extents(offset, len) {
                    let part = start..start + len as usize;
                    assert!(state == 0 || held[part.clone()].iter().all(|&byte| byte == 0), "{part:?} is not zero");
                    start = part.end;
                }
                assert_eq!(start, len);
            }
            Op::Flush => assert_eq!(client.flush(), 0),
        }
    }
    assert!(clients[0].read(0, SIZE).unwrap() == oracle);
    assert_eq!(served.end(Signal::TERM), 0);
    reads(&image, &oracle);
    Ok(())
}

/// Without a server too.
pub(crate) fn reads(image: &Path, oracle: &[u8]) {
    let mut bytes = vec![0xee; oracle.len()];
    Disk::open(image).unwrap().read_at(0, &mut bytes).unwrap();
    assert!(bytes == oracle, "the image reads something else");
    let options = Options { now: Timestamp(u32::MAX), ..Options::default() };
    assert_eq!(check::check(image, &options).unwrap().findings, []);
}

fn storm(name: &str) {
    let is_full = std::env::var("XTASK_TIER").is_ok_and(|tier| tier == "full");
    for mode in Mode::ALL {
        let config = ProptestConfig { cases: if is_full { 60 } else { 6 }, ..ProptestConfig::default() };
        let mut runner = TestRunner::new(config);
        runner.run(&prop::collection::vec(op(), 1..120), |ops| check(name, mode, &ops)).unwrap();
    }
}

#[test]
fn a_fixed_disk_holds_what_was_written() {
    storm("fixed.vhd");
}

#[test]
fn a_dynamic_disk_holds_what_was_written() {
    storm("dynamic.vhd");
}

#[test]
fn a_differencing_disk_holds_what_was_written() {
    storm("child.vhd");
}
