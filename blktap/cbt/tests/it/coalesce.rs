//! Coalescing, against a vector of bytes.

use cbt::{BLOCK_BYTES, ErrorKind, Log};
use proptest::prelude::*;

use crate::bench::{Bench, log};

/// Lengths of bitmaps: small ones, and those around the pieces in which they are moved.
fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1usize..200, 1 => (1usize << 20) - 2..(1 << 20) + 3, 1 => Just((2 << 20) + 5)]
}

/// A bitmap of this length with some bits set.
fn bitmap(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec((0..len, 1u8..), 0..20).prop_map(move |marks| {
        let mut bytes = vec![0; len];
        for (at, bits) in marks {
            bytes[at] |= bits;
        }
        bytes
    })
}

fn logs() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    (lengths(), lengths()).prop_flat_map(|(one, other)| (bitmap(one.min(other)), bitmap(one.max(other))))
}

fn size_bytes(bitmap: &[u8]) -> u64 {
    bitmap.len() as u64 * 8 * BLOCK_BYTES
}

/// Coalesces two logs, of which the child has the bits of `interrupted` already, and compares all bytes of both.
fn check(parent: &[u8], child: &[u8], interrupted: &[u8]) {
    let bench = Bench::new();
    let or = |one: &[u8], other: &[u8]| -> Vec<u8> {
        let padded = other.iter().chain(std::iter::repeat(&0));
        one.iter().zip(padded).map(|(one, other)| one | other).collect()
    };
    let parent_log = log(size_bytes(parent), parent);
    let parent_path = bench.put("parent", &parent_log);
    let child_path = bench.put("child", &log(size_bytes(child), &or(child, interrupted)));
    Log::open_rw(&child_path).unwrap().coalesce(&Log::open(&parent_path).unwrap()).unwrap();
    assert!(bench.bytes("parent") == parent_log);
    assert!(bench.bytes("child") == log(size_bytes(child), &or(child, parent)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_child_gets_the_blocks_of_its_parent((parent, child) in logs()) {
        check(&parent, &child, &[]);
    }

    #[test]
    fn it_can_be_done_again_after_a_kill((parent, child) in logs(), done in any::<prop::sample::Index>()) {
        check(&parent, &child, &parent[..done.index(parent.len() + 1)]);
        check(&parent, &child, &parent);
    }
}

#[test]
fn a_parent_may_be_the_larger_disk_as_long_as_its_bitmap_is_not() {
    let bench = Bench::new();
    let parent = Log::open(&bench.put("parent", &log(8 * BLOCK_BYTES, &[0x80]))).unwrap();
    let child = Log::open_rw(&bench.put("child", &log(1, &[0x01]))).unwrap();
    child.coalesce(&parent).unwrap();
    assert_eq!(bench.bitmap("child"), [0x81]);
}

#[test]
fn a_parent_with_the_longer_bitmap_is_refused() {
    let bench = Bench::new();
    let parent = Log::open(&bench.put("parent", &log(8 * BLOCK_BYTES + 1, &[1, 1]))).unwrap();
    let child = Log::open_rw(&bench.put("child", &log(8 * BLOCK_BYTES, &[2]))).unwrap();
    assert_eq!(child.coalesce(&parent).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(bench.bitmap("child"), [2]);
}

#[test]
fn a_log_can_be_its_own_parent() {
    let bench = Bench::new();
    let path = bench.put("log", &log(BLOCK_BYTES, &[5]));
    Log::open_rw(&path).unwrap().coalesce(&Log::open(&path).unwrap()).unwrap();
    assert_eq!(bench.bytes("log"), log(BLOCK_BYTES, &[5]));
}
