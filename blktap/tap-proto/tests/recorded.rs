//! What blktap 4's tap-ctl and tapdisk said to each other on 2026-11-23 (amd64), byte for byte. Frames of XENBLKIF_CONNECT's
//! kind come from tapback, which wants Xen: of those only tapdisk's refusals are here.
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing there")]

use tap_proto::{Decoded, Decoder, Disk, FRAME_BYTES, Frame, Kind, Listed, Open, Reply, Request, Text};

/// Hexadecimal bytes; `0*N` is so many zeros, and so is the rest of the frame.
fn frame(recorded: &str) -> Frame {
    let mut bytes = vec![];
    for word in recorded.split_whitespace() {
        match word.split_once("0*") {
            Some(("", zeros)) => bytes.resize(bytes.len() + zeros.parse::<usize>().unwrap(), 0),
            _ => bytes.extend((0..word.len()).step_by(2).map(|at| u8::from_str_radix(&word[at..at + 2], 16).unwrap())),
        }
    }
    bytes.resize(FRAME_BYTES, 0);
    bytes.try_into().unwrap()
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

/// tap-ctl sent this, and we send the same.
fn check_request(recorded: &str, cookie: u16, request: Request) {
    let bytes = frame(recorded);
    assert_eq!(request.encode(cookie).as_slice(), bytes, "{request:?}");
    assert_eq!(Decoder::default().push(&bytes).unwrap(), Decoded::Request { cookie, request });
}

/// tapdisk answered this.
fn check_reply(recorded: &str, cookie: u16, reply: Reply) {
    let bytes = frame(recorded);
    assert_eq!(Reply::decode(&bytes).unwrap(), (cookie, reply.clone()));
    assert_eq!(reply.encode(cookie), bytes, "{reply:?}");
}

#[test]
fn requests_of_tap_ctl() {
    check_request("03", 0, Request::Pid);
    check_request("05", 0, Request::Attach);
    check_request("09", 0, Request::Pause);
    check_request("0d", 0, Request::Close);
    check_request("0f", 0, Request::Detach);
    check_request("1300ffff", 0xffff, Request::List);
    check_request("15", 0, Request::Stats);
    check_request("17", 0, Request::ForceShutdown);
    let path = text("vhd:/tmp/rec/b.vhd");
    // `open -t 60`, and `open` without a time.
    let open = Open { path: path.clone(), parent_devnum: u32::MAX, timeout_secs: 60, ..Open::default() };
    check_request("07 0*19 7668643a2f746d702f7265632f622e766864 0*238 ffffffff3c", 0, Request::Open(open));
    let open = Open { path: text("vhd:/tmp/rec/nothere"), parent_devnum: u32::MAX, ..Open::default() };
    check_request("07 0*19 7668643a2f746d702f7265632f6e6f7468657265 0*236 ffffffff", 0, Request::Open(open));
    let resume = Open { path, ..Open::default() };
    check_request("0b 0*19 7668643a2f746d702f7265632f622e766864", 0, Request::Resume(resume));
}

#[test]
fn answers_of_tapdisk() {
    let disk = Disk { sectors: 0x4000, sector_bytes: 512, info: 0 };
    let done = |kind| Reply::Done { kind, errno: 0 };
    let error = |errno| Reply::Error { errno, message: Text::default() };
    check_reply("04 0*7 d21f", 0, Reply::Pid(0x1fd2));
    check_reply("06", 0, done(Kind::AttachRsp));
    check_reply("08 0*8 40 0*7 02", 0, Reply::Opened(disk));
    check_reply("0a", 0, done(Kind::PauseRsp));
    check_reply("0c", 0, done(Kind::ResumeRsp));
    check_reply("0e", 0, done(Kind::CloseRsp));
    check_reply("10", 0, done(Kind::DetachRsp));
    check_reply("16 0*15 9e01", 0, Reply::Stats { length: 0x19e });
    check_reply("1d 0*8 40 0*7 02", 0, Reply::DiskInfo(disk));
    // A disk that is open already; types that it does not answer, and rings without Xen.
    check_reply("01 0*7 72", 0, error(114));
    check_reply("01 0*7 16", 0, error(22));
    check_reply("01 0*7 13", 0, error(19));
    check_reply("01 0*7 02", 0, error(2));
}

#[test]
fn the_last_entry_of_a_list_has_leftovers_that_mean_nothing() {
    let listed = Listed { count: 1, minor: 0, state: 0, path: text("vhd:/tmp/rec/b.vhd") };
    check_reply("1400ffff 0*4 01 0*11 7668643a2f746d702f7265632f622e766864", 0xffff, Reply::List(listed));
    let last = frame("1400ffff 0*8 ffffffff 0*5 68643a2f746d702f7265632f622e766864");
    let (_, reply) = Reply::decode(&last).unwrap();
    assert!(matches!(reply, Reply::List(Listed { count: 0, minor: -1, .. })), "{reply:?}");
}
