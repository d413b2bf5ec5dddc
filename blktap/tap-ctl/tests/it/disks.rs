//! Commands about one disk: what is sent, and what each answer means.

use tap_proto::{Disk, Extra, Flags, Kind, Open, Reply, Request, Text};
use zeroize::Zeroizing;

use crate::bench::{Bench, frames};

const MINOR: u16 = 3;

fn error(errno: i32) -> Reply {
    Reply::Error { errno, message: Text::default() }
}

fn done(kind: Kind) -> Reply {
    Reply::Done { kind, errno: 0 }
}

/// Runs a command about disk 3 of tapdisk 10, which is asked this and answers that.
fn check(arguments: &[&str], request: Request, reply: Reply, status: i32, stdout: &str) {
    let bench = Bench::new();
    let tapdisk = bench.tapdisk(10, vec![(MINOR, request, frames(MINOR, &[reply]))]);
    let (command, options) = arguments.split_first().unwrap();
    let arguments = [&[*command, "-p", "10", "-m", "3"], options].concat();
    let output = bench.run(&arguments).code(status).stdout_eq(stdout.to_owned()).get_output().stderr.clone();
    assert_eq!(output.is_empty(), status == 0, "{arguments:?}");
    tapdisk.join().unwrap();
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn open(path: &str) -> Open {
    Open { devnum: 3, parent_devnum: u32::MAX, path: text(path), ..Open::default() }
}

#[test]
fn answers_are_success_or_the_number_of_the_refusal() {
    let disk = Disk { sectors: 8, sector_bytes: 512, info: 0 };
    check(&["attach"], Request::Attach, done(Kind::AttachRsp), 0, "");
    check(&["detach"], Request::Detach, done(Kind::DetachRsp), 0, "");
    check(&["close"], Request::Close, done(Kind::CloseRsp), 0, "");
    check(&["close", "-f"], Request::ForceShutdown, done(Kind::CloseRsp), 0, "");
    check(&["pause"], Request::Pause, done(Kind::PauseRsp), 0, "");
    check(&["open", "-a", "vhd:/a"], Request::Open(open("vhd:/a")), Reply::Opened(disk), 0, "");
    for errno in [2, 16, 28, 123, 124, 126] {
        check(&["open", "-a", "vhd:/a"], Request::Open(open("vhd:/a")), error(errno), errno, "");
        check(&["close"], Request::Close, error(errno), errno, "");
        check(&["pause", "-t", "9"], Request::Pause, error(errno), errno, "");
        check(&["unpause"], Request::Resume(Open::default()), error(errno), errno, "");
        check(&["unpause"], Request::Resume(Open::default()), Reply::Done { kind: Kind::ResumeRsp, errno }, errno, "");
    }
}

#[test]
fn a_refused_attach_or_detach_is_22_as_in_blktap() {
    check(&["attach"], Request::Attach, error(17), 22, "");
    check(&["detach"], Request::Detach, error(16), 22, "got unexpected result 'error' from 10\n");
    check(&["attach"], Request::Attach, done(Kind::CloseRsp), 22, "");
}

#[test]
fn options_of_open_are_flags_and_fields() {
    let all = ["open", "-a", "vhd:/a", "-R", "-D", "-r", "-e", "5", "-2", "aio:/b", "-s", "-t", "40", "-C", "/log"];
    let request = Open {
        flags: Flags::RDONLY
            | Flags::NO_O_DIRECT
            | Flags::ADD_LCACHE
            | Flags::REUSE_PRT
            | Flags::SECONDARY
            | Flags::STANDBY
            | Flags::ADD_LOG,
        parent_devnum: 5,
        secondary: text("aio:/b"),
        timeout_secs: 40,
        extra: Extra { log_path: Some(text("/log")), key: None },
        ..open("vhd:/a")
    };
    check(&all, Request::Open(request), Reply::Opened(Disk::default()), 0, "");
    let request = Open {
        flags: Flags::SECONDARY | Flags::ADD_LOG,
        path: text("vhd:/b"),
        secondary: text("aio:/c"),
        extra: Extra { log_path: Some(text("/log")), key: None },
        ..Open::default()
    };
    let arguments = ["unpause", "-a", "vhd:/b", "-2", "aio:/c", "-c", "/log"];
    check(&arguments, Request::Resume(request), done(Kind::ResumeRsp), 0, "");
}

#[test]
fn a_key_comes_from_standard_input() {
    let bench = Bench::new();
    let extra = Extra { log_path: None, key: Some(Zeroizing::new(vec![7; 32])) };
    let request = Open { flags: Flags::OPEN_ENCRYPTED, extra, ..open("vhd:/a") };
    let answer = frames(MINOR, &[Reply::Opened(Disk::default())]);
    let tapdisk = bench.tapdisk(10, vec![(MINOR, Request::Open(request), answer)]);
    let run = |key: &[u8]| {
        let arguments = ["open", "-p", "10", "-m", "3", "-a", "vhd:/a", "-E"];
        bench.command().args(arguments).stdin(key.to_vec()).assert()
    };
    for len in [0, 31, 33, 65, 1000] {
        run(&vec![7; len]).code(1).stderr_eq("Unsupported keysize, use either 256 bit or 512 bit key\n");
    }
    run(&[7; 32]).code(0).stdout_eq("").stderr_eq("");
    tapdisk.join().unwrap();
}

#[test]
fn debug_tells_the_messages() {
    let bench = Bench::new();
    let tapdisk = bench.tapdisk(10, vec![(3, Request::Pause, frames(3, &[done(Kind::PauseRsp)]))]);
    let expected = "sending 'pause' message (uuid = 3)\nreceived 'pause response' message (uuid = 3)\n";
    bench.run(["pause", "--debug", "-p", "10", "-m", "3"]).code(0).stdout_eq(expected);
    tapdisk.join().unwrap();
}

#[test]
fn stats_are_json_and_an_empty_line() {
    let json = br#"{ "name": "vhd:/a" }"#;
    let bench = Bench::new();
    let stats = [frames(3, &[Reply::Stats { length: json.len() as u64 }]), json.to_vec()].concat();
    let endless = frames(3, &[Reply::Stats { length: u64::MAX }]);
    let script = vec![(3, Request::Stats, stats), (3, Request::Stats, endless), (3, Request::Stats, vec![1; 544])];
    let tapdisk = bench.tapdisk(10, script);
    bench.run(["stats", "-p", "10", "-m", "3"]).code(0).stdout_eq("{ \"name\": \"vhd:/a\" }\n\n");
    bench.run(["stats", "-p", "10", "-m", "3"]).code(71).stdout_eq("");
    bench.run(["stats", "-p", "10", "-m", "3"]).code(71).stdout_eq("");
    tapdisk.join().unwrap();
}

#[test]
fn a_silent_tapdisk_is_not_waited_for_longer_than_asked() {
    let bench = Bench::new();
    let listener = std::os::unix::net::UnixListener::bind(bench.path("ctl10")).unwrap();
    bench.run(["close", "-p", "10", "-m", "3", "-t", "1"]).code(110).stderr_eq("error: [..]\nConnection timed out\n");
    drop(listener);
    bench.run(["close", "-p", "10", "-m", "3"]).code(111);
    bench.run(["close", "-p", "11", "-m", "3"]).code(2);
}

#[test]
fn paths_that_do_not_fit_a_message_are_refused() {
    let bench = Bench::new();
    let path = format!("vhd:/{}", "x".repeat(251));
    bench.run(["open", "-p", "10", "-m", "3", "-a", &path]).code(36).stderr_eq("error: [..]\nFile name too long\n");
}
