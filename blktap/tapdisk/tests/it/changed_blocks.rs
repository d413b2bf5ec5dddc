//! The log of changed blocks: what has changed is marked, however it changed and however it ended.

use rustix::process::Signal;

use crate::client::{TRIM, WRITE_ZEROES};
use crate::daemon::Daemon;
use crate::served::{SIZE, content};

const BLOCK: usize = 64 << 10;

fn create(daemon: &Daemon) {
    cbt::Log::create(&daemon.path("cbt"), &cbt::Header::new(SIZE as u64)).unwrap();
}

/// Every block that is different must be marked.
fn check(before: &[u8], after: &[u8], log: &std::path::Path) {
    let log = std::fs::read(log).unwrap();
    for (block, (before, after)) in before.chunks(BLOCK).zip(after.chunks(BLOCK)).enumerate() {
        let is_marked = log[cbt::HEADER_BYTES + block / 8] & 1 << (block % 8) != 0;
        assert!(is_marked || before == after, "block {block} changed and is not marked");
    }
}

#[test]
fn all_that_changes_is_marked_and_a_kill_loses_no_mark() {
    for end in [None, Some(Signal::KILL)] {
        let daemon = Daemon::new();
        create(&daemon);
        daemon.open("vhd:DIR/child.vhd -C DIR/cbt");
        let mut client = daemon.client(0);
        for turn in 0..20u64 {
            let at = turn * 397 * 1021 % (SIZE as u64 - 200_000);
            let bytes = vec![u8::try_from(turn + 1).unwrap(); 1 + usize::try_from(turn).unwrap() * 9000];
            assert_eq!(client.write(0, at, &bytes), 0);
        }
        assert_eq!(client.ask(0, WRITE_ZEROES, 1 << 20, 300_000), 0);
        assert_eq!(client.ask(0, TRIM, 3 << 19, 70_000), 0);
        let after = client.read(0, SIZE).unwrap();
        match end {
            None => drop(daemon.done("pause -p PID -m 0")),
            Some(signal) => daemon.signal(signal),
        }
        check(&content("child.vhd"), &after, &daemon.path("cbt"));
        let marked = std::fs::read(daemon.path("cbt")).unwrap()[cbt::HEADER_BYTES..]
            .iter()
            .map(|it| it.count_ones())
            .sum::<u32>();
        assert!(marked < 100, "what was not written is not marked: {marked}");
    }
}

#[test]
fn an_unpause_without_a_log_drops_it_and_a_log_must_fit() {
    let daemon = Daemon::new();
    create(&daemon);
    daemon.open("vhd:DIR/dynamic.vhd -C DIR/cbt");
    assert!(daemon.done("stats -p PID -m 0").contains(r#""name":"log""#));
    daemon.done("pause -p PID -m 0");
    daemon.done("unpause -p PID -m 0");
    let empty = std::fs::read(daemon.path("cbt")).unwrap();
    assert_eq!(daemon.client(0).write(0, 0, &[1; 512]), 0);
    daemon.done("pause -p PID -m 0");
    assert!(std::fs::read(daemon.path("cbt")).unwrap() == empty);
    std::fs::File::options().write(true).open(daemon.path("cbt")).unwrap().set_len(50).unwrap();
    assert_eq!(daemon.tap_ctl("unpause -p PID -m 0 -c DIR/cbt").status, 22);
    daemon.done("unpause -p PID -m 0");
}
