//! The images that are served: made when they are first needed, all with the same disk in them. Ours are made by
//! `vhd-util` of this workspace, qcow2 by QEMU.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::args::Args;
use crate::rows::Row;
use crate::server::{Server, said};

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    /// Random bytes everywhere.
    Full,
    /// Nothing yet: each turn has a new one.
    Empty,
    /// Thirty images: [`Disk::Full`], and writes of 4 KiB to every 256th place, at random, in each child.
    Chain,
    /// As large as a VHD can be, and empty.
    Huge,
}

/// Where images are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tmpfs,
    Disk,
}

/// Images of a chain.
const DEPTH: usize = 30;
const HUGE_MIB: u64 = 2_088_960;
const WRITE_BYTES: u16 = 4096;

/// Numbers without a pattern.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Directories with images, which go with this.
#[derive(Debug)]
pub(crate) struct Images {
    tmpfs: io::Result<TempDir>,
    disk: io::Result<TempDir>,
    vhd_util: PathBuf,
    size_mib: u64,
}

impl Images {
    pub(crate) fn new(args: &Args, vhd_util: PathBuf) -> Self {
        let directory = |path: &Path| tempfile::Builder::new().prefix("servers").tempdir_in(path);
        let (tmpfs, disk) = (directory(&args.dir_tmpfs), directory(&args.dir_disk));
        Images { tmpfs, disk, vhd_util, size_mib: args.size_mib }
    }

    /// Why the images of a row cannot be made.
    pub(crate) fn shortage(&self, row: &Row) -> Option<String> {
        let directory = match self.place(row.place) {
            Ok(directory) => directory.path(),
            Err(error) => return Some(format!("no directory for images: {error}")),
        };
        let space = rustix::fs::statvfs(directory).unwrap();
        let free_mib = (space.f_bavail * space.f_frsize) >> 20;
        // A raw file, VHD and qcow2 with the same in them, and chains of both.
        let needed_mib = 5 * self.size_mib;
        let missing = free_mib < needed_mib && !self.path(row.place, "full.vhd").exists();
        missing.then(|| format!("{} MiB free where images go, {needed_mib} MiB needed", free_mib))
    }

    pub(crate) fn directory(&self, place: Place) -> &Path {
        self.place(place).as_ref().expect("asked for a shortage before").path()
    }

    pub(crate) fn size_mib(&self) -> u64 {
        self.size_mib
    }

    /// What a server is to serve. `None` where it cannot be made. New disks are [`Images::new_disk`]'s.
    pub(crate) fn image(&self, disk: Disk, place: Place, server: Server) -> Option<PathBuf> {
        let qemu = matches!(server, Server::QemuNbd | Server::QemuStorageDaemon);
        match (disk, server) {
            (Disk::Full, Server::Nbdkit) => Some(self.raw(place)),
            (Disk::Full, _) => Some(self.full(place)),
            (Disk::Chain, _) if qemu => self.qcow2_chain(place)?.pop(),
            (Disk::Chain, _) => self.chain(place).pop(),
            (Disk::Empty, _) => {
                self.made(place, "empty.vhd", |path| self.create(path, self.size_mib));
                Some(PathBuf::from("{tmpempty}"))
            }
            (Disk::Huge, _) => Some(self.made(place, "huge.vhd", |path| self.create(path, HUGE_MIB))),
        }
    }

    /// The image that a chain is compared with.
    pub(crate) fn one_image(&self, place: Place, server: Server) -> Option<PathBuf> {
        match server {
            Server::QemuNbd | Server::QemuStorageDaemon => self.qcow2_chain(place)?.into_iter().next(),
            _ => Some(self.full(place)),
        }
    }

    /// A copy of the empty image, where the yardstick puts its copies too.
    pub(crate) fn new_disk(&self, place: Place) -> PathBuf {
        let path = self.path(place, "tmpempty.vhd");
        fs::copy(self.path(place, "empty.vhd"), &path).unwrap();
        path
    }

    fn place(&self, place: Place) -> &io::Result<TempDir> {
        match place {
            Place::Tmpfs => &self.tmpfs,
            Place::Disk => &self.disk,
        }
    }

    fn path(&self, place: Place, name: &str) -> PathBuf {
        self.directory(place).join(name)
    }

    /// Makes a file unless it is there, and has it on the disk, so that nobody is measured with the writing of it.
    fn made(&self, place: Place, name: &str, make: impl FnOnce(&Path)) -> PathBuf {
        let path = self.path(place, name);
        if !path.exists() {
            make(&path);
            File::open(&path).unwrap().sync_all().unwrap();
        }
        path
    }

    fn vhd_util(&self, arguments: &[&str]) {
        let output = Command::new(&self.vhd_util).args(arguments).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "vhd-util {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn create(&self, path: &Path, size_mib: u64) {
        self.vhd_util(&["create", "-n", text(path), "-s", &size_mib.to_string()]);
    }

    fn raw(&self, place: Place) -> PathBuf {
        self.made(place, "raw.img", |path| {
            let (mut file, mut random) = (File::create(path).unwrap(), Random(1));
            for _ in 0..self.size_mib {
                let bytes: Vec<u8> = (0..1 << 17).flat_map(|_| random.next().to_le_bytes()).collect();
                file.write_all(&bytes).unwrap();
            }
        })
    }

    fn full(&self, place: Place) -> PathBuf {
        let raw = self.raw(place);
        let arguments = ["convert", "--from", "raw", "--to", "dynamic", "--no-sync", "-n", text(&raw), "-o"];
        self.made(place, "full.vhd", |path| self.vhd_util(&[&arguments[..], &[text(path)]].concat()))
    }

    fn chain(&self, place: Place) -> Vec<PathBuf> {
        let mut paths = vec![self.full(place)];
        for number in 1..DEPTH {
            let path = self.made(place, &format!("chain-{number}.vhd"), |path| {
                self.vhd_util(&["snapshot", "-n", text(path), "-p", text(&paths[number - 1])]);
                let mut disk = vhd::Disk::open_rw(path).unwrap();
                let bytes = vec![u8::try_from(number).unwrap(); usize::from(WRITE_BYTES)];
                self.offsets(number).for_each(|at| disk.write_at(at, &bytes).unwrap());
                disk.flush().unwrap();
            });
            paths.push(path);
        }
        paths
    }

    /// The same chain as QEMU has them.
    fn qcow2_chain(&self, place: Place) -> Option<Vec<PathBuf>> {
        said("qemu-io", &["--version"])?;
        let raw = self.raw(place);
        let qemu_img = |arguments: &[&str]| assert!(said("qemu-img", arguments).is_some(), "qemu-img {arguments:?}");
        let first = self.made(place, "chain-0.qcow2", |path| {
            qemu_img(&["convert", "-f", "raw", "-O", "qcow2", text(&raw), text(path)]);
        });
        let mut paths = vec![first];
        for number in 1..DEPTH {
            let path = self.made(place, &format!("chain-{number}.qcow2"), |path| {
                let parent = text(&paths[number - 1]);
                qemu_img(&["create", "-q", "-f", "qcow2", "-b", parent, "-F", "qcow2", text(path)]);
                let write = |at| format!("write -q -P {number} {at} {WRITE_BYTES}\n");
                let writes: String = self.offsets(number).map(write).collect();
                let mut child = Command::new("qemu-io");
                child.args(["-f", "qcow2", "-t", "unsafe", text(path)]).stdin(Stdio::piped()).stdout(Stdio::null());
                let mut child = child.spawn().unwrap();
                child.stdin.take().unwrap().write_all(writes.as_bytes()).unwrap();
                assert!(child.wait().unwrap().success(), "qemu-io of {}", path.display());
            });
            paths.push(path);
        }
        Some(paths)
    }

    /// Where an image of a chain has data of its own.
    fn offsets(&self, number: usize) -> impl Iterator<Item = u64> {
        let (mut random, places) = (Random(number as u64 + 7), (self.size_mib << 20) / u64::from(WRITE_BYTES));
        (0..places / 256).map(move |_| random.next() % places * u64::from(WRITE_BYTES))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("we made this path")
}
