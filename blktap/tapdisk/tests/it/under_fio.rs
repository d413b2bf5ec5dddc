//! What the storage manager does to the chain of a disk, while fio writes the disk and verifies it.

use std::fs;
use std::io::ErrorKind;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::daemon::Daemon;
use crate::repository::{Repository, vhd_util};
use crate::served::MIB;

/// MiB of the disk. fio has the first half.
const SIZE: usize = 16;
const HALF: usize = SIZE / 2;

/// An fio that writes to disk 0 and verifies it all the time, killed when this is dropped.
struct Fio {
    child: Child,
}

impl Fio {
    /// `None` where it is not installed.
    fn start(test: &str, daemon: &Daemon) -> Option<Self> {
        let uri = format!("--uri=nbd+unix:///?socket={}", daemon.nbd(0).display());
        let log = fs::File::create(daemon.path("fio.log")).unwrap();
        let mut command = Command::new("fio");
        command.args(["--name=v", "--ioengine=nbd", &uri, &format!("--size={HALF}M"), "--rw=randwrite"]);
        command.args(["--bsrange=512-64k", "--blockalign=512", "--iodepth=8", "--time_based", "--runtime=3600"]);
        command.args(["--verify=crc32c", "--verify_fatal=1", "--verify_backlog=64", "--verify_state_save=0"]);
        command.arg(format!("--aux-path={}", daemon.path("").display()));
        command.stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        match command.spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                println!("SKIPPED {test}: needs fio");
                None
            }
            child => Some(Fio { child: child.unwrap() }),
        }
    }

    /// Ends it; nothing may have been wrong.
    fn stop(mut self, daemon: &Daemon) {
        let early = self.child.try_wait().unwrap();
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let status = self.child.wait().unwrap();
        let said = fs::read_to_string(daemon.path("fio.log")).unwrap();
        assert!(
            early.is_none() && said.contains("err= 0") && !said.contains("bad magic"),
            "{early:?} {status}: {said}"
        );
    }
}

impl Drop for Fio {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The half of the disk that fio leaves alone: each image of the chain holds some of it, over what others hold.
struct Still {
    bytes: Vec<u8>,
    writes: usize,
}

impl Still {
    fn new() -> Self {
        Still { bytes: vec![0; HALF * MIB], writes: 0 }
    }

    /// Writes to two MiB, one of which was written before.
    fn write(&mut self, daemon: &Daemon) {
        let at = self.writes % (HALF - 1) * MIB;
        self.writes += 1;
        let held = &mut self.bytes[at..][..2 * MIB];
        held.fill(u8::try_from(self.writes).unwrap());
        assert_eq!(daemon.client(0).write(0, (HALF * MIB + at) as u64, held), 0);
    }

    fn check(&self, daemon: &Daemon) {
        let mut client = daemon.client(0);
        for (number, held) in self.bytes.chunks(MIB).enumerate() {
            let offset = ((HALF + number) * MIB) as u64;
            assert!(client.read(offset, MIB).unwrap() == held, "after {} writes, at {offset}", self.writes);
        }
    }
}

/// Time for some writes and reads.
fn settle() {
    std::thread::sleep(Duration::from_millis(400));
}

fn check(daemon: &Daemon, repository: &Repository<'_>) {
    daemon.done("destroy -p PID -m 0");
    let leaf = repository.text("leaf");
    assert_eq!(vhd_util(&["check", "-n", &leaf]), format!("{leaf} is valid\n"));
}

/// Chains of four, of which the third goes, and then the second after it was killed time and again. With `is_shared` the live
/// leaf gets its parent without a pause.
fn coalesces(test: &str, daemon: &Daemon, repository: &Repository<'_>, is_shared: bool) -> Option<()> {
    repository.create("leaf", SIZE);
    daemon.open("vhd:DIR/leaf.vhd");
    let fio = Fio::start(test, daemon)?;
    let mut still = Still::new();
    for base in ["one", "two", "three"] {
        still.write(daemon);
        settle();
        repository.snapshot("leaf", base);
    }
    still.write(daemon);
    let settled = || {
        settle();
        still.check(daemon);
    };
    let replace = |image: &str, parent: &str| {
        settled();
        if is_shared {
            repository.relink("leaf", parent);
            settled();
            repository.refresh("leaf");
        } else {
            repository.pause();
            repository.relink("leaf", parent);
            repository.unpause("leaf");
        }
        repository.remove(image);
        settled();
    };
    settled();
    repository.coalesce("three", "two");
    replace("three", "two");
    for delay in [0, 1, 2, 4, 8, 16, 32, 64] {
        repository.kill_coalesce("two", "one", Duration::from_millis(delay));
        still.check(daemon);
        vhd_util(&["repair", "-n", &repository.text("one")]);
    }
    repository.coalesce("two", "one");
    replace("two", "one");
    fio.stop(daemon);
    Some(())
}

#[test]
fn images_between_go_under_fio() {
    let daemon = Daemon::new();
    let repository = Repository::of_files(&daemon);
    if coalesces("images_between_go_under_fio", &daemon, &repository, true).is_some() {
        check(&daemon, &repository);
    }
}

fn on_volumes(test: &str, sector_bytes: u32, is_shared: bool) {
    let daemon = Daemon::new();
    match Repository::of_volumes(&daemon, sector_bytes) {
        Err(why) => println!("SKIPPED {test}: no loop devices (they need root): {why}"),
        Ok(repository) => {
            if coalesces(test, &daemon, &repository, is_shared).is_some() {
                check(&daemon, &repository);
            }
        }
    }
}

#[test]
fn volumes_between_go_under_fio() {
    on_volumes("volumes_between_go_under_fio", 512, true);
}

/// Sectors of 4096 bytes have the header and the beginning of the BAT in one: whoever changes it writes both, so the leaf must
/// not be in use.
#[test]
fn volumes_with_long_sectors_between_go_under_fio() {
    on_volumes("volumes_with_long_sectors_between_go_under_fio", 4096, false);
}

#[test]
fn pauses_and_snapshots_lose_nothing_under_fio() {
    let daemon = Daemon::new();
    let repository = Repository::of_files(&daemon);
    repository.create("leaf", SIZE);
    daemon.open("vhd:DIR/leaf.vhd");
    let Some(fio) = Fio::start("pauses_and_snapshots_lose_nothing_under_fio", &daemon) else { return };
    let mut still = Still::new();
    for turn in 0..60 {
        std::thread::sleep(Duration::from_millis(turn * 7 % 60));
        match turn % 5 {
            0 => repository.snapshot("leaf", &format!("base-{turn}")),
            1 => still.write(&daemon),
            2 => still.check(&daemon),
            _ => repository.refresh("leaf"),
        }
    }
    still.check(&daemon);
    settle();
    fio.stop(&daemon);
    check(&daemon, &repository);
}
