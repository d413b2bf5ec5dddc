//! New logs, headers, and disks that grow.

use std::os::unix::fs::symlink;

use cbt::{BLOCK_BYTES, ErrorKind, HEADER_BYTES, Header, Log};

use crate::bench::{Bench, header, log};

#[test]
fn a_new_log_says_that_nothing_changed() {
    for (size_bytes, bitmap_bytes) in [(1, 1), (10 << 20, 20), (1 << 40, 2 << 20)] {
        let bench = Bench::new();
        Log::create(&bench.path("new"), &header(size_bytes)).unwrap();
        assert!(bench.bytes("new") == log(size_bytes, &vec![0; bitmap_bytes]));
    }
}

#[test]
fn a_new_log_takes_the_place_of_an_older_one() {
    for older in [log(100 << 20, &[0xff; 200]), log(1, &[0xff]), b"something else".to_vec()] {
        let bench = Bench::new();
        bench.put("log", &older);
        Log::create(&bench.path("log"), &Header::new(10 << 20)).unwrap();
        assert_eq!(bench.bytes("log"), [&Header::new(10 << 20).to_bytes()[..], &[0; 20]].concat());
    }
}

#[test]
fn a_symbolic_link_to_nothing_is_followed() {
    let bench = Bench::new();
    symlink(bench.path("target"), bench.path("link")).unwrap();
    Log::create(&bench.path("link"), &Header::new(1)).unwrap();
    assert_eq!(bench.bytes("target").len(), HEADER_BYTES + 1);
}

#[test]
fn a_header_is_replaced_and_the_bitmap_stays() {
    let bench = Bench::new();
    let path = bench.put("log", &log(BLOCK_BYTES, &[9]));
    let opened = Log::open_rw(&path).unwrap();
    let new = Header { consistent: -7, ..opened.header().unwrap() };
    opened.write_header(&new).unwrap();
    assert_eq!(Log::open(&path).unwrap().header().unwrap(), new);
    assert_eq!(bench.bitmap("log"), [9]);
}

#[test]
fn a_bitmap_grows_by_zeros_whatever_stood_there() {
    for after in [&[][..], &[0xff; 3], &[0xff; 100]] {
        let bench = Bench::new();
        let bytes = [&log(10 << 20, &[0xaa; 20])[..], after].concat();
        let opened = Log::open_rw(&bench.put("log", &bytes)).unwrap();
        opened.grow_bitmap(&header(10 << 20), &header(20 << 20)).unwrap();
        let bitmap = bench.bitmap("log");
        assert_eq!((&bitmap[..20], &bitmap[20..40]), (&[0xaa; 20][..], &[0; 20][..]));
        // The header is the caller's next step: a kill before it leaves the old log.
        assert_eq!(opened.header().unwrap(), header(10 << 20));
    }
}

#[test]
fn a_log_never_shrinks() {
    let bench = Bench::new();
    let opened = Log::open_rw(&bench.put("log", &log(BLOCK_BYTES, &[1]))).unwrap();
    let error = opened.grow_bitmap(&header(BLOCK_BYTES), &header(BLOCK_BYTES - 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    opened.grow_bitmap(&header(BLOCK_BYTES), &header(BLOCK_BYTES)).unwrap();
    assert_eq!(bench.bytes("log"), log(BLOCK_BYTES, &[1]));
}

#[test]
fn a_long_bitmap_comes_in_pieces() {
    let bench = Bench::new();
    let path = bench.put("log", &log(4 << 40, &[]));
    std::fs::File::options().write(true).open(&path).unwrap().set_len(header(4 << 40).end()).unwrap();
    let log = Log::open(&path).unwrap();
    let pieces: Vec<_> = log.bitmap(&header(4 << 40)).unwrap().map(|piece| piece.unwrap().1.len()).collect();
    assert_eq!(pieces, [1 << 20; 8]);
}
