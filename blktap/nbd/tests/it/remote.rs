//! The client's half, against servers of a few bytes.

use std::io::Write;
use std::os::unix::net::UnixStream;

use nbd::Remote;

#[test]
fn a_disk_larger_than_any_is_refused() {
    for (size_bytes, is_right) in [(0, true), (u64::MAX >> 1, true), ((u64::MAX >> 1) + 1, false), (u64::MAX, false)] {
        let (client, mut server) = UnixStream::pair().unwrap();
        let info = [&size_bytes.to_be_bytes()[..], &[0, 1]].concat();
        server.write_all(&[&b"NBDMAGICIHAVEOPT\0\x03"[..], &info].concat()).unwrap();
        assert_eq!(Remote::new(client, "").is_ok(), is_right, "{size_bytes:#x}");
    }
}
