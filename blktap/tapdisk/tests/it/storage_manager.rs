//! The command lines of XenServer's storage manager, one after the other, under a guest that writes and reads all the time.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::daemon::{Daemon, EndsOthers};
use crate::repository::{Repository, vhd_util};
use crate::served::{MIB, SIZE};

/// A guest: it writes and reads, and remembers.
fn guest(daemon: &Daemon, is_over: &AtomicBool, mut oracle: Vec<u8>) -> Vec<u8> {
    let mut client = daemon.client(0);
    for turn in 0usize.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let at = turn * 7919 * 512 % (SIZE - 65_536);
        let held = &mut oracle[at..][..512 * (1 + turn % 16)];
        held.fill(u8::try_from(turn % 251).unwrap());
        assert_eq!(client.write(0, at as u64, held), 0);
        let at = turn * 104_729 * 512 % (SIZE - MIB);
        assert!(client.read(at as u64, 16384).unwrap() == oracle[at..][..16384], "turn {turn}");
    }
    oracle
}

#[test]
fn a_disk_on_files_from_attach_to_detach() {
    let daemon = Daemon::new();
    let files = Repository::of_files(&daemon);
    files.create("leaf", 8);
    let allocated = daemon.done("allocate");
    assert_eq!(allocated, "DIR/run/tapdisk/tapdisk-0\n");
    daemon.done("attach -p PID -m 0");
    daemon.done("open -p PID -m 0 -a vhd:DIR/leaf.vhd -t 40 -D");
    assert_eq!(daemon.done("list -t vhd -f DIR/leaf.vhd"), "pid=PID minor=0 state=0 args=vhd:DIR/leaf.vhd\n");
    let is_over = AtomicBool::new(false);
    let oracle = std::thread::scope(|scope| {
        let end = EndsOthers(&is_over);
        let guest = scope.spawn(|| guest(&daemon, &is_over, vec![0; SIZE]));
        let settle = || std::thread::sleep(std::time::Duration::from_millis(40));
        for base in ["one", "two", "three"] {
            settle();
            files.snapshot("leaf", base);
            assert_eq!(daemon.done("list -t vhd -f DIR/leaf.vhd"), "pid=PID minor=0 state=0 args=vhd:DIR/leaf.vhd\n");
        }
        settle();
        // The middle is coalesced under the open chain, the live child gets another parent, and learns of it later.
        files.coalesce("two", "one");
        files.relink("three", "one");
        settle();
        files.refresh("leaf");
        files.remove("two");
        settle();
        // The live leaf gets another parent, without a pause around it.
        files.coalesce("three", "one");
        files.relink("leaf", "one");
        settle();
        files.refresh("leaf");
        files.remove("three");
        settle();
        // The leaf itself: under a pause, and its parent takes its name.
        files.pause();
        let size = vhd_util(&["query", "--debug", "-n", &files.text("leaf"), "-s"]);
        assert_eq!(size.trim_end(), std::fs::metadata(files.path("leaf")).unwrap().len().to_string());
        files.coalesce("leaf", "one");
        files.rename("one", "leaf");
        vhd_util(&["set", "--debug", "-n", &files.text("leaf"), "-f", "hidden", "-v", "0"]);
        files.unpause("leaf");
        settle();
        drop(end);
        guest.join().unwrap()
    });
    daemon.done("close -p PID -m 0 -t 30");
    daemon.done("detach -p PID -m 0");
    daemon.done("free -m 0");
    let leaf = files.text("leaf");
    assert_eq!(vhd_util(&["check", "-n", &leaf]), format!("{leaf} is valid\n"));
    crate::oracle::reads(Path::new(&leaf), &oracle);
    vhd_util(&["resize", "--debug", "-n", &leaf, "-s", "16", "-j", &files.text("journal")]);
    assert_eq!(vhd_util(&["query", "--debug", "-n", &leaf, "-v"]), "16\n");
    daemon.wait();
}

/// A coalesce that is killed and run again under an open chain.
#[test]
fn a_coalesce_may_be_killed_under_a_guest() {
    let daemon = Daemon::new();
    let files = Repository::of_files(&daemon);
    files.create("leaf", 8);
    daemon.open("vhd:DIR/leaf.vhd");
    let is_over = AtomicBool::new(false);
    let oracle = std::thread::scope(|scope| {
        let end = EndsOthers(&is_over);
        let guest = scope.spawn(|| guest(&daemon, &is_over, vec![0; SIZE]));
        let settle = || std::thread::sleep(std::time::Duration::from_millis(60));
        settle();
        files.snapshot("leaf", "one");
        settle();
        files.snapshot("leaf", "two");
        for delay in 0..12 {
            files.kill_coalesce("two", "one", std::time::Duration::from_millis(delay));
        }
        vhd_util(&["repair", "-n", &files.text("one")]);
        files.coalesce("two", "one");
        files.relink("leaf", "one");
        files.refresh("leaf");
        files.remove("two");
        settle();
        drop(end);
        guest.join().unwrap()
    });
    daemon.done("destroy -p PID -m 0");
    crate::oracle::reads(&files.path("leaf"), &oracle);
}
