//! Who serves: what is installed, and how each is started. Starts nothing that stays.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::images::Disk;
use crate::rows::{Cache, How, Row};

/// A server, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Server {
    /// `tapdisk serve`, or the daemon where that is what is measured.
    Ours,
    /// A raw file: nbdkit knows no VHD.
    Nbdkit,
    QemuNbd,
    QemuStorageDaemon,
    /// blktap's own.
    CTapdisk,
}

impl Server {
    pub(crate) const ALL: [Server; 5] =
        [Server::Ours, Server::Nbdkit, Server::QemuNbd, Server::QemuStorageDaemon, Server::CTapdisk];
    pub(crate) const PEERS: &[Server] = Self::ALL.split_at(1).1;

    /// As the yardstick's results and the table call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Server::Ours => "ours",
            Server::Nbdkit => "nbdkit",
            Server::QemuNbd => "qemu-nbd",
            Server::QemuStorageDaemon => "qemu-storage-daemon",
            Server::CTapdisk => "C tapdisk",
        }
    }
}

/// What can be run here.
#[derive(Debug)]
pub(crate) struct Programs {
    /// For the sockets of daemons, and what else belongs to no image.
    directory: tempfile::TempDir,
    /// Installed peers, with their versions.
    pub(crate) versions: Vec<(Server, String)>,
    /// Ours can bypass the page cache.
    has_cache_modes: bool,
}

/// Where the C tapdisk and its tap-ctl are.
const C_PROGRAMS: [&str; 2] = ["C_TAPDISK", "C_TAP_CTL"];
const TAPDISK: &str = env!("CARGO_BIN_EXE_tapdisk");

impl Programs {
    pub(crate) fn find() -> Self {
        let mut versions: Vec<(Server, String)> = [Server::Nbdkit, Server::QemuNbd, Server::QemuStorageDaemon]
            .into_iter()
            .filter_map(|server| Some((server, said(server.name(), &["--version"])?.lines().next()?.to_owned())))
            .collect();
        if C_PROGRAMS.iter().all(|variable| std::env::var_os(variable).is_some()) {
            versions.push((Server::CTapdisk, "C tapdisk, blktap 4".to_owned()));
        }
        for peer in Server::PEERS.iter().filter(|peer| versions.iter().all(|(server, _)| server != *peer)) {
            let why = if *peer == Server::CTapdisk { "$C_TAPDISK and $C_TAP_CTL name none" } else { "not installed" };
            println!("SKIPPED {}: {why}", peer.name());
        }
        if testkit::find_program("tap-ctl").is_none() {
            println!("SKIPPED memory of ours: tap-ctl is not built. help: cargo build --release -p tap-ctl");
        }
        let has_cache_modes = said(TAPDISK, &["serve", "--help"]).is_some_and(|help| help.contains("--cache"));
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("control.sh"), include_str!("control.sh")).unwrap();
        std::fs::create_dir(directory.path().join("shm")).unwrap();
        Programs { directory, versions, has_cache_modes }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Who is here, and does what the row asks for.
    pub(crate) fn of(&self, row: &Row) -> Vec<Server> {
        let peers = self.versions.iter().map(|(server, _)| *server);
        let does = |server: &Server| !self.is_yet_to_come(*server, row) && does(*server, row);
        std::iter::once(Server::Ours).chain(peers).filter(does).collect()
    }

    pub(crate) fn is_yet_to_come(&self, server: Server, row: &Row) -> bool {
        server == Server::Ours && row.cache == Cache::Direct && !self.has_cache_modes
    }

    /// Serves an image at `{sock}`, until SIGTERM.
    pub(crate) fn command(&self, server: Server, row: &Row, image: &Path) -> Vec<String> {
        let image = image.to_str().expect("we made this path");
        let is_direct = row.cache == Cache::Direct;
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let format = match (server, image.ends_with(".qcow2")) {
            (Server::QemuNbd | Server::QemuStorageDaemon, true) => "qcow2",
            _ => "vpc",
        };
        match server {
            Server::Ours if matches!(row.how, How::Memory) => self.daemon(image),
            Server::Ours => {
                let cache = if is_direct { "direct" } else { "writeback" };
                let mut command = [TAPDISK, "serve", image, "--socket", "{sock}"].map(str::to_owned).to_vec();
                command.extend(self.has_cache_modes.then(|| format!("--cache={cache}")));
                command
            }
            Server::Nbdkit => words(&format!("nbdkit -f -U {{sock}} file {image}")),
            Server::QemuNbd => {
                let cache = if is_direct { "none" } else { "writeback" };
                words(&format!("qemu-nbd -t -e 16 -k {{sock}} -f {format} --cache={cache} --aio=threads {image}"))
            }
            Server::QemuStorageDaemon => {
                let direct = if is_direct { "on" } else { "off" };
                words(&format!(
                    "qemu-storage-daemon \
                     --blockdev file,node-name=f,filename={image},aio=io_uring,cache.direct={direct} \
                     --blockdev {format},node-name=n,file=f \
                     --nbd-server addr.type=unix,addr.path={{sock}},max-connections=16 \
                     --export nbd,id=e,node-name=n,name=,writable=on"
                ))
            }
            Server::CTapdisk => {
                let [tapdisk, tap_ctl] = C_PROGRAMS.map(|variable| std::env::var(variable).unwrap_or_default());
                self.controlled(&tapdisk, &tap_ctl, image)
            }
        }
    }

    fn daemon(&self, image: &str) -> Vec<String> {
        let tap_ctl = testkit::find_program("tap-ctl").unwrap_or_else(|| PathBuf::from("tap-ctl"));
        let place = |name: &str, directory| format!("BLKTAP_{name}_DIR={}/{directory}", self.directory().display());
        let mut command = vec!["env".to_owned(), place("RUN", "run"), place("LOG", "log"), place("SHM", "shm")];
        command.extend(self.controlled(TAPDISK, &tap_ctl.to_string_lossy(), image));
        command
    }

    fn controlled(&self, tapdisk: &str, tap_ctl: &str, image: &str) -> Vec<String> {
        let script = self.directory().join("control.sh").display().to_string();
        ["sh", &script, tapdisk, tap_ctl, image, "{sock}"].map(str::to_owned).to_vec()
    }
}

fn does(server: Server, row: &Row) -> bool {
    match server {
        Server::Ours => !matches!(row.how, How::Memory) || testkit::find_program("tap-ctl").is_some(),
        // It has the page cache only, and neither blocks that are yet to be placed nor chains.
        Server::Nbdkit => row.cache == Cache::Cached && row.disk == Disk::Full && !matches!(row.how, How::Memory),
        Server::QemuNbd | Server::QemuStorageDaemon => true,
        // A start is that of two programs. A flush ends the connection.
        Server::CTapdisk => !matches!(row.how, How::Opening | How::Flushes) && !is_cached_on_disk(row),
    }
}

/// C tapdisk is always direct; in memory that is all the same.
fn is_cached_on_disk(row: &Row) -> bool {
    row.cache == Cache::Cached && row.place == crate::images::Place::Disk
}

/// What a program prints, if there is such a program.
pub(crate) fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
