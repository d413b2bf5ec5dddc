//! A run directory of a test's own, tapdisks that follow a script in it, and the program.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread::JoinHandle;

use snapbox::cmd::{Command, OutputAssert, cargo_bin};
use tap_proto::{Decoded, Decoder, Reply, Request};

/// The directory.
pub(crate) struct Bench(tempfile::TempDir);

/// What a tapdisk is asked, and what it sends.
pub(crate) type Script = Vec<(u16, Request, Vec<u8>)>;

/// Frames of replies to one request.
pub(crate) fn frames(cookie: u16, replies: &[Reply]) -> Vec<u8> {
    replies.iter().flat_map(|reply| reply.encode(cookie)).collect()
}

impl Bench {
    pub(crate) fn new() -> Self {
        Bench(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A tapdisk of this number. The thread ends well when it was asked just this, in this order.
    pub(crate) fn tapdisk(&self, pid: i32, script: Script) -> JoinHandle<()> {
        let listener = UnixListener::bind(self.path(&format!("ctl{pid}"))).unwrap();
        std::thread::spawn(move || {
            for (cookie, request, answer) in script {
                let (mut stream, _) = listener.accept().unwrap();
                let mut decoder = Decoder::default();
                let mut bytes = [0; 100];
                let decoded = loop {
                    let len = stream.read(&mut bytes).unwrap();
                    assert!(len > 0, "the request ends early");
                    match decoder.push(&bytes[..len]).unwrap() {
                        Decoded::More => {}
                        decoded => break decoded,
                    }
                };
                assert_eq!(decoded, Decoded::Request { cookie, request });
                // In pieces, as a socket may deliver it.
                answer.chunks(100).for_each(|piece| stream.write_all(piece).unwrap());
            }
        })
    }

    pub(crate) fn run<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> OutputAssert {
        self.command().args(arguments).assert()
    }

    pub(crate) fn command(&self) -> Command {
        let command = Command::new(cargo_bin!("tap-ctl")).env("BLKTAP_RUN_DIR", self.0.path());
        command.env("BLKTAP_TAPDISK", self.path("tapdisk-program"))
    }
}
