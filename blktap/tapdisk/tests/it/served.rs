//! An image that is being served, in a directory of its own.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use snapbox::cmd::cargo_bin;
use testkit::sample;
use vhd::Disk;
use vhd::create::Storage;
use vhd::snapshot::{self, Base};

use crate::client::Client;

pub(crate) const MIB: usize = 1 << 20;
/// Bytes of the disks that [`images`] makes.
pub(crate) const SIZE: usize = 8 * MIB;

/// A directory with `fixed.vhd`, `dynamic.vhd`, and `child.vhd` on `parent.vhd`, which holds 0x77 in its second MiB.
pub(crate) fn images() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name);
    vhd::create_image(&path("fixed.vhd"), &sample::request(8, Storage::Fixed)).unwrap();
    for name in ["dynamic.vhd", "parent.vhd"] {
        vhd::create_image(&path(name), &sample::request(8, Storage::Dynamic { max_bytes: None })).unwrap();
    }
    let mut parent = Disk::open_rw(&path("parent.vhd")).unwrap();
    parent.write_at(MIB as u64, &[0x77; MIB]).unwrap();
    parent.flush().unwrap();
    let base = Base::vhd(&path("parent.vhd")).unwrap();
    let request = sample::request(8, Storage::Dynamic { max_bytes: None });
    let request = vhd::create::Request { uuid: uuid::Uuid::from_u128(77), ..request };
    snapshot::create(&path("child.vhd"), &request, &base).unwrap();
    directory
}

/// What a disk that [`images`] made reads at first.
pub(crate) fn content(name: &str) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    if name == "child.vhd" {
        bytes[MIB..2 * MIB].fill(0x77);
    }
    bytes
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Writeback,
    Uring,
    Threads,
}

impl Mode {
    pub(crate) const ALL: [Mode; 3] = [Mode::Writeback, Mode::Uring, Mode::Threads];

    fn cache(self) -> &'static str {
        if self == Mode::Writeback { "--cache=writeback" } else { "--cache=direct" }
    }

    /// What the environment must say. io_uring is only asked for, so that machines without it test something.
    pub(crate) fn engine(self) -> &'static str {
        if self == Mode::Threads { "threads" } else { "" }
    }
}

/// A `tapdisk serve`, killed when this is dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) socket: PathBuf,
    /// What it said when it was ready.
    pub(crate) line: String,
}

impl Served {
    /// Serves the image with more arguments, and waits until clients can come.
    pub(crate) fn new(image: &Path, arguments: &[&str]) -> Self {
        Served::with(image, Mode::Writeback, arguments)
    }

    /// The same in another mode.
    pub(crate) fn with(image: &Path, mode: Mode, arguments: &[&str]) -> Self {
        let socket = image.with_extension("sock");
        let mut command = Command::new(cargo_bin!("tapdisk"));
        command.arg("serve").arg(image).arg("--socket").arg(&socket).args(arguments);
        command.arg(mode.cache()).env("BLKTAP_ENGINE", mode.engine());
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        errors.read_line(&mut line).unwrap();
        assert!(line.starts_with("serving"), "{line}");
        // What it says later must have somewhere to go.
        std::thread::spawn(move || errors.lines().for_each(drop));
        Served { child, socket, line }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn client(&self) -> Client {
        Client::structured(&self.socket)
    }

    pub(crate) fn uri(&self) -> String {
        format!("nbd+unix:///?socket={}", self.socket.display())
    }

    /// Sends a signal, and returns the exit status, or minus the signal that ended it.
    pub(crate) fn end(mut self, signal: Signal) -> i32 {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let status = self.child.wait().unwrap();
        status.code().unwrap_or_else(|| -status.signal().unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
