//! Requests, which of them are refused, and replies byte for byte.

use nbd::{Command, CommandFlags, ErrorCode, Export, Extent, MAX_PAYLOAD_BYTES, Request, Session};
use proptest::prelude::*;

use crate::bytes::{SIZE_BYTES, contexts, export, session};

const COOKIE: u64 = 0x0102_0304_0506_0708;

fn simple() -> Session {
    session(export(), &[])
}

fn structured() -> Session {
    session(export(), &[(8, vec![]), (10, contexts("", &["base:allocation"]))])
}

fn extended() -> Session {
    session(export(), &[(11, vec![]), (10, contexts("", &["base:allocation"]))])
}

fn request(command: Command, flags: CommandFlags, offset: u64, len_bytes: u64) -> Request {
    Request { cookie: COOKIE, command, flags, offset, len_bytes, payload_bytes: 0 }
}

fn compact_bytes(flags: u16, kind: u16, offset: u64, len: u32) -> Vec<u8> {
    let head = [&0x2560_9513u32.to_be_bytes()[..], &flags.to_be_bytes(), &kind.to_be_bytes(), &COOKIE.to_be_bytes()];
    [&head.concat()[..], &offset.to_be_bytes(), &len.to_be_bytes()].concat()
}

fn extended_bytes(flags: u16, kind: u16, offset: u64, len: u64) -> Vec<u8> {
    let head = [&0x21e4_1c71u32.to_be_bytes()[..], &flags.to_be_bytes(), &kind.to_be_bytes(), &COOKIE.to_be_bytes()];
    [&head.concat()[..], &offset.to_be_bytes(), &len.to_be_bytes()].concat()
}

#[test]
fn heads_of_requests_are_read_when_they_are_all_there() {
    let bytes = compact_bytes(1, 1, 512, 4096);
    for len in 0..bytes.len() {
        assert_eq!(simple().request(&bytes[..len]), Ok(None));
    }
    let write = Request { payload_bytes: 4096, ..request(Command::Write, CommandFlags::FUA, 512, 4096) };
    assert_eq!(structured().request(&[&bytes[..], &[9; 99]].concat()), Ok(Some((write, 28))));
    let bytes = extended_bytes(32, 7, 0, 20);
    assert_eq!(extended().request(&bytes[..31]), Ok(None));
    let status = Request { payload_bytes: 20, ..request(Command::BlockStatus, CommandFlags::PAYLOAD_LEN, 0, 20) };
    assert_eq!(extended().request(&bytes), Ok(Some((status, 32))));
    // Without the flag, as QEMU 10 does.
    let write = Request { payload_bytes: 4096, ..request(Command::Write, CommandFlags::empty(), 0, 4096) };
    assert_eq!(extended().request(&extended_bytes(0, 1, 0, 4096)), Ok(Some((write, 32))));
    let huge = request(Command::Trim, CommandFlags::empty(), 0, u64::MAX);
    assert_eq!(extended().request(&extended_bytes(0, 4, 0, u64::MAX)), Ok(Some((huge, 32))));
}

#[test]
fn what_no_client_sends_ends_the_connection() {
    assert!(simple().request(&extended_bytes(0, 0, 0, 1)).is_err());
    assert!(extended().request(&[compact_bytes(0, 0, 0, 1), vec![0; 4]].concat()).is_err());
    assert!(simple().request(&compact_bytes(0, 1, 0, MAX_PAYLOAD_BYTES)).is_ok());
    assert!(simple().request(&compact_bytes(0, 1, 0, MAX_PAYLOAD_BYTES + 1)).is_err());
    assert!(extended().request(&extended_bytes(32, 0, 0, u64::MAX)).is_err());
}

#[test]
fn requests_out_of_order_are_refused() {
    use Command::*;
    use CommandFlags as Flags;
    let none = Flags::empty();
    let of = |session: &Session, command, flags, offset, len| {
        session.check(&request(command, flags, offset, len)).err().map(|(code, _)| code)
    };
    let invalid = Some(ErrorCode::Invalid);
    for session in [simple(), structured(), extended()] {
        for (command, past) in [
            (Read, invalid),
            (Trim, invalid),
            (Cache, invalid),
            (Write, Some(ErrorCode::NoSpace)),
            (WriteZeroes, Some(ErrorCode::NoSpace)),
        ] {
            assert_eq!(of(&session, command, none, SIZE_BYTES - 1, 1), None, "{command:?}");
            assert_eq!(of(&session, command, none, SIZE_BYTES, 1), past, "{command:?}");
            assert_eq!(of(&session, command, none, u64::MAX, 2), past, "{command:?}");
            assert_eq!(of(&session, command, Flags::FUA, 0, 1), None, "{command:?}");
            assert_eq!(of(&session, command, Flags::REQ_ONE, 0, 1), invalid, "{command:?}");
            assert_eq!(of(&session, command, Flags::from_bits_retain(1 << 15), 0, 1), invalid, "{command:?}");
        }
        assert_eq!(of(&session, Unknown(8), none, 0, 0), invalid);
        assert_eq!(of(&session, Unknown(u16::MAX), none, 0, 0), invalid);
        assert_eq!(of(&session, Flush, Flags::FUA, u64::MAX, 7), None);
        assert_eq!(of(&session, WriteZeroes, Flags::NO_HOLE | Flags::FAST_ZERO | Flags::FUA, 0, 1), None);
        assert_eq!(of(&session, Write, Flags::NO_HOLE, 0, 1), invalid);
        assert_eq!(of(&session, Read, Flags::PAYLOAD_LEN, 0, 1), invalid);
    }
    let long = u64::from(MAX_PAYLOAD_BYTES) + 1;
    assert_eq!(of(&simple(), Read, none, 0, long), invalid);
    assert_eq!(of(&structured(), Read, none, 0, long), Some(ErrorCode::TooLarge));
    assert_eq!(of(&simple(), Read, Flags::DF, 0, 1), invalid);
    assert_eq!(of(&structured(), Read, Flags::DF, 0, 1 << 20), None);
    assert_eq!(of(&structured(), Read, Flags::DF, 0, (1 << 20) + 1), Some(ErrorCode::TooLarge));
    assert_eq!(of(&simple(), BlockStatus, none, 0, 1), invalid);
    assert_eq!(of(&structured(), BlockStatus, Flags::REQ_ONE, 0, 1), None);
    assert_eq!(of(&structured(), BlockStatus, none, 0, 0), invalid);
    assert_eq!(of(&extended(), Write, Flags::PAYLOAD_LEN, 0, 1), None);
    // The context was set for another export.
    let other = session(export(), &[(8, vec![]), (10, contexts("other", &["base:allocation"]))]);
    assert_eq!(of(&other, BlockStatus, none, 0, 1), invalid);
    let read_only = session(Export { is_read_only: true, ..export() }, &[]);
    for command in [Write, WriteZeroes, Trim] {
        assert_eq!(of(&read_only, command, none, 0, 1), Some(ErrorCode::NotPermitted));
    }
    for command in [Read, Flush, Cache] {
        assert_eq!(of(&read_only, command, none, 0, 1), None);
    }
}

fn check(write: impl FnOnce(&mut Vec<u8>), expected: &str) {
    let mut out = Vec::new();
    write(&mut out);
    let found: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, expected.replace([' ', '\n'], ""));
}

#[test]
fn replies_have_the_form_that_was_agreed_on() {
    let read = request(Command::Read, CommandFlags::empty(), 0x1000, 0x2000);
    let (simple, structured, extended) = (simple(), structured(), extended());
    check(|out| simple.done(&read, out), "67446698 00000000 0102030405060708");
    check(|out| simple.data(&read, out), "67446698 00000000 0102030405060708");
    check(|out| simple.failed(&read, ErrorCode::Io, "no", out), "67446698 00000005 0102030405060708");
    check(|out| structured.done(&read, out), "67446698 00000000 0102030405060708");
    check(|out| structured.end(&read, out), "668e33ef 0001 0000 0102030405060708 00000000");
    check(
        |out| structured.failed(&read, ErrorCode::Invalid, "no", out),
        "668e33ef 0001 8001 0102030405060708 00000008 00000016 0002 6e6f",
    );
    check(
        |out| structured.piece(&read, 0x1200, 0x100, false, out),
        "668e33ef 0000 0001 0102030405060708 00000108 0000000000001200",
    );
    check(
        |out| structured.hole(&read, 0x1200, 0x100, true, out),
        "668e33ef 0001 0002 0102030405060708 0000000c 0000000000001200 00000100",
    );
    check(|out| extended.done(&read, out), "6e8a278c 0001 0000 0102030405060708 0000000000001000 0000000000000000");
    check(
        |out| extended.failed(&read, ErrorCode::NoSpace, "", out),
        "6e8a278c 0001 8001 0102030405060708 0000000000001000 0000000000000006 0000001c 0000",
    );
    check(
        |out| extended.piece(&read, 0x1200, 0x100, true, out),
        "6e8a278c 0001 0001 0102030405060708 0000000000001000 0000000000000108 0000000000001200",
    );
}

#[test]
fn extents_have_the_width_that_was_agreed_on() {
    let status = request(Command::BlockStatus, CommandFlags::empty(), 0, 0x3000);
    let extents = [
        Extent { len_bytes: 0x1000, is_hole: false, is_zero: false },
        Extent { len_bytes: 0x2000, is_hole: true, is_zero: true },
    ];
    check(
        |out| structured().status(&status, &extents, out),
        "668e33ef 0001 0005 0102030405060708 00000014 00000001 00001000 00000000 00002000 00000003",
    );
    check(
        |out| extended().status(&status, &extents, out),
        "6e8a278c 0001 0006 0102030405060708 0000000000000000 0000000000000028 00000001 00000002
         0000000000001000 0000000000000000 0000000000002000 0000000000000003",
    );
}

#[test]
fn long_messages_are_cut_between_characters() {
    let mut out = Vec::new();
    let read = request(Command::Read, CommandFlags::empty(), 0, 1);
    structured().failed(&read, ErrorCode::Io, &"ä€".repeat(1000), &mut out);
    let text = std::str::from_utf8(&out[26..]).unwrap();
    assert!(text.len() <= 4096 && text.len() > 4090);
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_not(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        for session in [simple(), structured(), extended()] {
            if let Ok(Some((request, len))) = session.request(&bytes) {
                prop_assert!(len <= bytes.len());
                if session.check(&request).is_ok() && !matches!(request.command, Command::Flush | Command::Disconnect) {
                    prop_assert!(request.offset + request.len_bytes <= SIZE_BYTES);
                }
            }
        }
    }
}
