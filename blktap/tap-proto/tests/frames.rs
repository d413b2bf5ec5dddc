//! Frames byte for byte as blktap 4 sends them, in any pieces, and whatever else arrives.
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing there")]

use proptest::prelude::*;
use tap_proto::{
    Blkif, Decoded, Decoder, Disk, Extra, FRAME_BYTES, Flags, Frame, Kind, Listed, Open, Reply, Request, Ring, Text,
};
use zeroize::Zeroizing;

/// A frame of zeros but for these bytes.
fn frame(parts: &[(usize, &[u8])]) -> Frame {
    let mut frame = [0; FRAME_BYTES];
    for (at, bytes) in parts {
        frame[*at..][..bytes.len()].copy_from_slice(bytes);
    }
    frame
}

fn u16s(number: u16) -> [u8; 2] {
    number.to_ne_bytes()
}

fn u32s(number: u32) -> [u8; 4] {
    number.to_ne_bytes()
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

/// A request is these bytes, in one piece and in any two.
fn check(cookie: u16, request: &Request, bytes: &[u8]) {
    assert_eq!(request.encode(cookie).as_slice(), bytes);
    for cut in 0..bytes.len() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.push(&bytes[..cut]).unwrap(), Decoded::More, "{cut}");
        let decoded = Decoded::Request { cookie, request: request.clone() };
        assert_eq!(decoder.push(&bytes[cut..]).unwrap(), decoded, "{cut}");
    }
}

#[test]
fn plain_requests_are_a_type_and_a_minor() {
    let plain = [
        (Request::Pid, 3),
        (Request::Attach, 5),
        (Request::Pause, 9),
        (Request::Close, 13),
        (Request::Detach, 15),
        (Request::ListMinors, 17),
        (Request::List, 19),
        (Request::Stats, 21),
        (Request::ForceShutdown, 23),
        (Request::DiskInfo, 28),
        (Request::Exit, 30),
    ];
    for (request, number) in plain {
        check(7, &request, &frame(&[(0, &u16s(number)), (2, &u16s(7))]));
    }
}

#[test]
fn open_and_resume_have_one_layout_and_what_follows() {
    let open = Open {
        flags: Flags::RDONLY | Flags::SECONDARY,
        path: text("vhd:/sr/a.vhd"),
        parent_devnum: 3,
        timeout_secs: 40,
        secondary: text("aio:/dev/b"),
        ..Open::default()
    };
    let parts: &[(usize, &[u8])] = &[
        (2, &u16s(1)),
        (8, &u32s(0x82)),
        (20, b"vhd:/sr/a.vhd"),
        (276, &u32s(3)),
        (280, &u16s(40)),
        (282, b"aio:/dev/b"),
    ];
    let with = |kind: u16| frame(&[parts, &[(0, &u16s(kind))]].concat());
    check(1, &Request::Open(open.clone()), &with(7));
    check(1, &Request::Resume(open), &with(11));

    let extra = Extra { log_path: Some(text("/log")), key: Some(Zeroizing::new(vec![9; 32])) };
    let open = Open { flags: Flags::ADD_LOG | Flags::OPEN_ENCRYPTED, extra, ..Open::default() };
    let mut bytes = frame(&[(0, &u16s(7)), (8, &u32s(0x410))]).to_vec();
    bytes.extend(b"/log");
    bytes.resize(FRAME_BYTES + 256, 0);
    bytes.push(32);
    bytes.extend([9; 32]);
    check(0, &Request::Open(open.clone()), &bytes);
    assert!(!format!("{open:?}").contains("9, 9"), "a key is never shown");
}

#[test]
fn rings_travel() {
    let blkif = Blkif { domid: 5, devid: 768 };
    check(
        2,
        &Request::XenblkifDisconnect(blkif),
        &frame(&[(0, &u16s(26)), (2, &u16s(2)), (8, &u32s(5)), (12, &u32s(768))]),
    );
    let ring = Ring {
        blkif,
        grants: [8, 9, 0, 0, 0, 0, 0, 0],
        order: 1,
        protocol: 3,
        pool: text("td-pool"),
        port: 11,
        poll_duration: 1000,
        poll_idle_threshold: 50,
    };
    let bytes = frame(&[
        (0, &u16s(24)),
        (2, &u16s(2)),
        (8, &u32s(5)),
        (12, &u32s(768)),
        (16, &u32s(8)),
        (20, &u32s(9)),
        (48, &u32s(1)),
        (52, &u32s(3)),
        (56, b"td-pool"),
        (312, &u32s(11)),
        (316, &u32s(1000)),
        (320, &u32s(50)),
    ]);
    check(2, &Request::XenblkifConnect(ring), &bytes);
}

#[test]
fn answers_have_the_layouts_of_blktap() {
    let disk = Disk { sectors: 1 << 40, sector_bytes: 512, info: 4 };
    let sectors = (1u64 << 40).to_ne_bytes();
    let disk_parts: &[(usize, &[u8])] = &[(2, &u16s(3)), (8, &sectors), (16, &u32s(512)), (20, &u32s(4))];
    let listed = Listed { count: 1, minor: 3, state: 0x2a, path: text("aio:/x") };
    let error = Reply::Error { errno: 19, message: Text::cut(&"é".repeat(200)) };
    let message = "é".repeat(127);
    let cases: [(Reply, Frame); 7] = [
        (Reply::Pid(77), frame(&[(0, &u16s(4)), (2, &u16s(3)), (8, &u32s(77))])),
        (Reply::Opened(disk), frame(&[disk_parts, &[(0, &u16s(8))]].concat())),
        (Reply::DiskInfo(disk), frame(&[disk_parts, &[(0, &u16s(29))]].concat())),
        (Reply::Done { kind: Kind::PauseRsp, errno: 0 }, frame(&[(0, &u16s(10)), (2, &u16s(3))])),
        (Reply::Stats { length: 99 }, frame(&[(0, &u16s(22)), (2, &u16s(3)), (16, &99u64.to_ne_bytes())])),
        (
            Reply::List(listed),
            frame(&[(0, &u16s(20)), (2, &u16s(3)), (8, &u32s(1)), (12, &u32s(3)), (16, &u32s(0x2a)), (20, b"aio:/x")]),
        ),
        (error, frame(&[(0, &u16s(1)), (2, &u16s(3)), (8, &u32s(19)), (12, message.as_bytes())])),
    ];
    for (reply, bytes) in cases {
        assert_eq!(reply.encode(3), bytes, "{reply:?}");
        assert_eq!(Reply::decode(&bytes).unwrap(), (3, reply));
    }
}

#[test]
fn what_is_no_request_is_refused() {
    let refused = |bytes: &[u8]| Decoder::default().push(bytes).unwrap_err().to_string();
    assert_eq!(refused(&frame(&[(0, &u16s(99))])), "99 is no message type");
    assert_eq!(refused(&frame(&[(0, &u16s(4))])), "PidRsp is no request");
    // Whatever the message is.
    assert_eq!(refused(&frame(&[(0, &u16s(3)), (20, &[1; 256])])), "a text of 256 bytes does not end");
    let mut bytes = frame(&[(0, &u16s(7)), (8, &u32s(0x400))]).to_vec();
    bytes.push(0);
    assert_eq!(refused(&bytes), "key has 0 bytes, not 1 to 128");
    *bytes.last_mut().unwrap() = 129;
    assert_eq!(refused(&bytes), "key has 129 bytes, not 1 to 128");
    assert!(Text::new("x".repeat(256)).is_err() && Text::new("a\0b").is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic_or_take_memory(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..4), kind in 0u16..32) {
        let mut decoder = Decoder::default();
        let mut first = true;
        for mut piece in pieces {
            if first && piece.len() > 2 {
                piece[..2].copy_from_slice(&kind.to_ne_bytes());
            }
            first = false;
            if let Ok(Decoded::Request { cookie, request }) = decoder.push(&piece) {
                let again = request.encode(cookie);
                let decoded = Decoder::default().push(&again).unwrap();
                prop_assert_eq!(decoded, Decoded::Request { cookie, request });
                break;
            }
        }
    }
}
