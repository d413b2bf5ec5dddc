//! Where servers go wrong: each of these failed, crashed or lied in C blktap's tapdisk.

use std::io::Write;

use crate::client::{
    BLOCK_STATUS, CACHE, Client, DF, DISCONNECT, FAST_ZERO, FLUSH, FUA, NO_HOLE, READ, TRIM, WRITE, WRITE_ZEROES,
};
use crate::served::{MIB, SIZE, Served, content, images};

const EPERM: u32 = 1;
const EINVAL: u32 = 22;
const ENOSPC: u32 = 28;
const EOVERFLOW: u32 = 75;
const ENOTSUP: u32 = 95;

#[test]
fn failed_reads_are_errors_without_data_and_errors_are_positive() {
    let images = images();
    let served = Served::new(&images.path().join("dynamic.vhd"), &[]);
    for mut client in [Client::simple(&served.socket), Client::structured(&served.socket)] {
        assert_eq!(client.read(SIZE as u64, 512), Err(EINVAL));
        assert_eq!(client.read(SIZE as u64 - 511, 512), Err(EINVAL));
        assert_eq!(client.read(u64::MAX - 100, 512), Err(EINVAL));
        assert_eq!(client.ask(0, TRIM, SIZE as u64, 512), EINVAL);
        assert_eq!(client.write(0, SIZE as u64, &[1; 512]), ENOSPC);
        assert_eq!(client.ask(0, WRITE_ZEROES, SIZE as u64, 512), ENOSPC);
        assert_eq!(client.ask(0, 99, 0, 512), EINVAL);
        assert_eq!(client.ask(1 << 15, FLUSH, 0, 0), EINVAL);
        // After all of that it goes on.
        assert_eq!(client.read(0, 512), Ok(vec![0; 512]));
    }
}

#[test]
fn every_command_and_its_flags_are_known() {
    let images = images();
    let served = Served::new(&images.path().join("child.vhd"), &[]);
    let mut client = served.client();
    assert_eq!(client.write(FUA, 4096, &[9; 512]), 0);
    assert_eq!(client.flush(), 0);
    assert_eq!(client.ask(0, CACHE, 0, MIB), 0);
    assert_eq!(client.ask(FUA, TRIM, 4096, 512), 0);
    assert_eq!(client.ask(FUA | NO_HOLE, WRITE_ZEROES, MIB as u64, 4096), 0);
    assert_eq!(client.read(MIB as u64, 4097).unwrap()[4090..], [0, 0, 0, 0, 0, 0, 0x77]);
    // Only what is zeros already is zeroed at once.
    assert_eq!(client.ask(FAST_ZERO, WRITE_ZEROES, 4 * MIB as u64, MIB), 0);
    assert_eq!(client.ask(FAST_ZERO, WRITE_ZEROES, MIB as u64, MIB), ENOTSUP);
    assert_eq!(client.ask(FAST_ZERO | NO_HOLE, WRITE_ZEROES, 4 * MIB as u64, MIB), ENOTSUP);
    client.send(DF, READ, MIB as u64, MIB, &[]);
    assert_eq!(client.take_read(MIB as u64, MIB).unwrap()[4096..], [0x77; MIB - 4096]);
    client.send(DF, READ, 0, MIB + 1, &[]);
    assert_eq!(client.take_read(0, MIB + 1), Err(EOVERFLOW));
    assert_eq!(client.read(0, 0), Ok(vec![]));
    assert_eq!(client.write(0, 0, &[]), 0);
}

#[test]
fn extents_are_those_of_the_image() {
    let images = images();
    let served = Served::new(&images.path().join("child.vhd"), &[]);
    let mut client = served.client();
    assert_eq!(client.write(0, 5 * MIB as u64 + 512, &[1; 1024]), 0);
    let all = client.extents(0, SIZE);
    let mib = 1 << 20;
    let expected = [(mib, 3), (mib, 0), (3 * mib + 512, 3), (1024, 0), (3 * mib - 1536, 3)];
    assert_eq!(all, expected);
    // Inside of sectors too.
    assert_eq!(client.extents((1 << 20) - 3, 7), [(3, 3), (4, 0)]);
    let mut without = Client::simple(&served.socket);
    assert_eq!(without.ask(0, BLOCK_STATUS, 0, 512), EINVAL);
}

#[test]
fn leaving_is_the_end_of_a_connection() {
    let images = images();
    let served = Served::new(&images.path().join("dynamic.vhd"), &[]);
    let mut client = served.client();
    assert_eq!(client.write(0, 0, &[1; 512]), 0);
    client.send(0, DISCONNECT, 0, 0, &[]);
    assert!(client.sees_the_end());
}

#[test]
fn requests_that_arrive_byte_by_byte_or_all_at_once_are_the_same() {
    let images = images();
    let served = Served::new(&images.path().join("dynamic.vhd"), &[]);
    let mut client = Client::simple(&served.socket);
    let request = [Client::bytes(0, WRITE, 700, 1000, &[5; 1000]), Client::bytes(0, READ, 699, 3, &[])].concat();
    for byte in &request {
        client.stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(client.status(700), 0);
    assert_eq!(client.take_read(699, 3), Ok(vec![0, 5, 5]));
    // A thousand at once, and replies in the order of requests.
    let many: Vec<u8> =
        (0..1000u64).flat_map(|at| Client::bytes(0, WRITE, at * 512, 512, &[at.to_le_bytes()[0]; 512])).collect();
    let mut writer = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || writer.write_all(&many).unwrap());
    for at in 0..1000 {
        assert_eq!(client.status(at * 512), 0);
    }
    sender.join().unwrap();
    assert_eq!(client.read(999 * 512, 512), Ok(vec![231; 512]));
}

#[test]
fn noise_ends_its_own_connection_and_no_other() {
    let images = images();
    let served = Served::new(&images.path().join("dynamic.vhd"), &[]);
    let mut other = served.client();
    for noise in
        [&[0; 28][..], b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", &Client::bytes(0, WRITE, 0, 65 * MIB, &[])]
    {
        let mut client = served.client();
        client.stream.write_all(noise).unwrap();
        assert!(client.sees_the_end(), "{noise:x?}");
        assert_eq!(other.read(0, 512), Ok(vec![0; 512]));
    }
}

#[test]
fn who_takes_no_replies_is_waited_for_by_nobody_else() {
    let images = images();
    let served = Served::new(&images.path().join("child.vhd"), &[]);
    let mut greedy = served.client();
    // 64 times 8 MiB, none of it read yet.
    for _ in 0..64 {
        greedy.send(0, READ, 0, SIZE, &[]);
    }
    let mut half = served.client();
    half.stream.write_all(&Client::bytes(0, WRITE, 0, MIB, &[3; 1000])).unwrap();
    let mut other = served.client();
    for at in 0..100u64 {
        assert_eq!(other.write(0, at * 512, &[1; 512]), 0);
        assert_eq!(other.read(at * 512, 512), Ok(vec![1; 512]));
    }
    for _ in 0..64 {
        let bytes = greedy.take_read(0, SIZE).unwrap();
        assert!(bytes[MIB..] == content("child.vhd")[MIB..]);
    }
}

#[test]
fn what_is_read_only_cannot_be_written() {
    let images = images();
    let image = images.path().join("child.vhd");
    let before = std::fs::read(&image).unwrap();
    let served = Served::new(&image, &["--read-only"]);
    let mut client = served.client();
    assert_eq!((client.flags & 2, client.size_bytes), (2, SIZE as u64));
    assert_eq!(client.write(0, 0, &[1; 512]), EPERM);
    assert_eq!(client.ask(0, WRITE_ZEROES, 0, 512), EPERM);
    assert_eq!(client.ask(0, TRIM, 0, 512), EPERM);
    assert_eq!(client.flush(), 0);
    assert_eq!(client.read(MIB as u64, 512), Ok(vec![0x77; 512]));
    drop(served);
    assert!(std::fs::read(&image).unwrap() == before);
}
