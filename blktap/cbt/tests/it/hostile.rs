//! Files that are no logs, or not the logs that their headers say: an error each, no write, and little memory.

use cbt::{BLOCK_BYTES, Error, ErrorKind, HEADER_BYTES, Header, Log};

use crate::bench::{Bench, header, log};

/// Does everything that needs a bitmap with these bytes and compares the kind of every error.
fn check(bytes: &[u8], expected: ErrorKind) {
    let bench = Bench::new();
    let hostile = Log::open_rw(&bench.put("hostile", bytes)).unwrap();
    let good = Log::open_rw(&bench.put("good", &log(BLOCK_BYTES, &[1]))).unwrap();
    let huge = Log::open_rw(&bench.put("huge", &log(u64::MAX, &[1]))).unwrap();
    let errors: [Error; 5] = [
        hostile.header().and_then(|header| hostile.bitmap(&header).map(|_| ())).unwrap_err(),
        hostile.header().and_then(|old| hostile.grow_bitmap(&old, &header(u64::MAX))).unwrap_err(),
        hostile.coalesce(&good).unwrap_err(),
        huge.coalesce(&hostile).unwrap_err(),
        hostile.coalesce(&hostile).unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.errno()), (expected, 22), "{error}");
    }
    assert!(bench.bytes("hostile") == bytes);
}

#[test]
fn a_file_shorter_than_a_header_is_no_log() {
    for len in [0, 1, 16, HEADER_BYTES - 1] {
        check(&log(BLOCK_BYTES, &[])[..len], ErrorKind::Corrupt);
    }
}

#[test]
fn a_bitmap_shorter_than_the_size_says_is_refused() {
    for (size_bytes, bitmap_bytes) in
        [(1, 0), (10 << 20, 0), (10 << 20, 19), (1 << 40, 20), (1 << 63, 20), (u64::MAX - 65536, 20), (u64::MAX, 20)]
    {
        check(&log(size_bytes, &vec![0; bitmap_bytes]), ErrorKind::Corrupt);
    }
}

#[test]
fn a_log_of_a_disk_of_no_size_has_no_bitmap() {
    for len in [HEADER_BYTES, 4096] {
        let bench = Bench::new();
        let zeros = Log::open_rw(&bench.put("zeros", &vec![0; len])).unwrap();
        let other = Log::open_rw(&bench.put("other", &log(BLOCK_BYTES, &[1]))).unwrap();
        let nothing = zeros.header().unwrap();
        assert_eq!(nothing, Header::new(0));
        assert_eq!(zeros.bitmap(&nothing).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(zeros.grow_bitmap(&nothing, &header(1)).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(zeros.coalesce(&other).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(other.coalesce(&zeros).unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(bench.bytes("zeros") == vec![0; len]);
    }
}

#[test]
fn a_size_beyond_all_disks_is_refused_and_leaves_the_log() {
    let bench = Bench::new();
    let bytes = log(BLOCK_BYTES, &[1]);
    let log = Log::open_rw(&bench.put("log", &bytes)).unwrap();
    for size_bytes in [1 << 62, u64::MAX] {
        let error = log.grow_bitmap(&header(BLOCK_BYTES), &header(size_bytes)).unwrap_err();
        assert!([27, 28].contains(&error.errno()), "{error}");
        let error = Log::create(&bench.path("log"), &Header::new(size_bytes)).unwrap_err();
        assert!([27, 28].contains(&error.errno()), "{error}");
        Log::create(&bench.path("new"), &Header::new(size_bytes)).unwrap_err();
    }
    assert!(bench.bytes("log") == bytes);
    assert!(!bench.path("new").exists());
}

#[test]
fn only_files_and_devices_are_logs() {
    let bench = Bench::new();
    assert_eq!(Log::open(&bench.path("")).unwrap_err().errno(), 21);
    assert_eq!(Log::create(&bench.path(""), &Header::new(1)).unwrap_err().errno(), 21);
    assert_eq!(Log::open(&bench.path("nope")).unwrap_err().errno(), 2);
    assert_eq!(Log::create(&bench.path("no/log"), &Header::new(1)).unwrap_err().errno(), 2);
    for path in ["/dev/null", "/dev/zero"] {
        let path = path.as_ref();
        assert_eq!(Log::open(path).unwrap_err().errno(), 22);
        assert_eq!(Log::open_rw(path).unwrap_err().errno(), 22);
        assert_eq!(Log::create(path, &Header::new(1)).unwrap_err().errno(), 22);
    }
}
