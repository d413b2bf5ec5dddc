//! Images as the storage manager keeps them: files with names, as on NFS and EXT, or logical volumes, which loop devices with
//! names stand in for; and what it does to them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::loop_device::LoopDevice;

use crate::daemon::{Daemon, Said};

/// A volume with room for all of a disk of 16 MiB, and for tables of one of 2 TiB.
const VOLUME_BYTES: usize = 24 << 20;
/// What volumes are whole numbers of.
const EXTENT_BYTES: u64 = 64 << 10;
/// What the storage manager wants room for in the tables of an image on a volume.
const ROOM: [&str; 2] = ["-S", "2097152"];

/// Runs `vhd-util`, which must succeed.
pub(crate) fn vhd_util(words: &[&str]) -> String {
    let mut command = Command::new(testkit::program("vhd-util"));
    let said = Said::from(command.args(words).stdin(Stdio::null()).output().unwrap());
    assert_eq!(said.status, 0, "{words:?}: {said:?}");
    said.stdout
}

pub(crate) struct Repository<'a> {
    daemon: &'a Daemon,
    /// Of volumes.
    sector_bytes: Option<u32>,
    /// By the names that the kernel has for them.
    volumes: RefCell<BTreeMap<PathBuf, LoopDevice>>,
}

impl<'a> Repository<'a> {
    pub(crate) fn of_files(daemon: &'a Daemon) -> Self {
        Repository { daemon, sector_bytes: None, volumes: RefCell::default() }
    }

    /// Needs root; an error says why there is none.
    pub(crate) fn of_volumes(daemon: &'a Daemon, sector_bytes: u32) -> Result<Self, String> {
        LoopDevice::new(&daemon.path(""), "probe", sector_bytes, &[0; 1 << 20])?;
        Ok(Repository { sector_bytes: Some(sector_bytes), ..Repository::of_files(daemon) })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.daemon.path(&format!("{name}.vhd"))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Makes a volume of this name, on which older bytes lie; the arguments for an image on it.
    fn allocate(&self, name: &str) -> &'static [&'static str] {
        let Some(sector_bytes) = self.sector_bytes else { return &[] };
        let backing = format!("volume-{}", self.volumes.borrow().len());
        let volume = LoopDevice::new(&self.daemon.path(""), &backing, sector_bytes, &vec![0xee; VOLUME_BYTES]);
        let volume = volume.unwrap();
        std::os::unix::fs::symlink(&volume.path, self.path(name)).unwrap();
        self.volumes.borrow_mut().insert(volume.path.clone(), volume);
        &ROOM
    }

    pub(crate) fn create(&self, name: &str, mib: usize) {
        let room = self.allocate(name);
        vhd_util(&[&["create", "--debug", "-n", &self.text(name), "-s", &mib.to_string()], room].concat());
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Removes an image; whoever goes on reading its volume reads garbage.
    pub(crate) fn remove(&self, name: &str) {
        if let Ok(device) = fs::read_link(self.path(name)) {
            fs::write(device, vec![0xdd; VOLUME_BYTES / 2]).unwrap();
        }
        fs::remove_file(self.path(name)).unwrap();
    }

    fn set_len(&self, name: &str, len_bytes: u64) {
        let device = fs::read_link(self.path(name)).unwrap();
        self.volumes.borrow()[&device].set_len(len_bytes);
    }

    /// Makes a volume as short as its image.
    pub(crate) fn deflate(&self, name: &str) {
        if self.sector_bytes.is_some() {
            let size = vhd_util(&["query", "--debug", "-n", &self.text(name), "-s"]);
            let size = size.trim_end().parse::<u64>().unwrap().next_multiple_of(EXTENT_BYTES);
            vhd_util(&["modify", "--debug", "-n", &self.text(name), "-s", &size.to_string()]);
            self.set_len(name, size);
        }
    }

    /// Makes it as long as it can be.
    pub(crate) fn inflate(&self, name: &str) {
        if self.sector_bytes.is_some() {
            self.set_len(name, VOLUME_BYTES as u64);
            vhd_util(&["modify", "--debug", "-n", &self.text(name), "-s", &VOLUME_BYTES.to_string()]);
        }
    }

    pub(crate) fn pause(&self) {
        self.daemon.done("pause -p PID -m 0");
    }

    pub(crate) fn unpause(&self, leaf: &str) {
        self.daemon.done(&format!("unpause -p PID -m 0 -a vhd:DIR/{leaf}.vhd"));
    }

    pub(crate) fn refresh(&self, leaf: &str) {
        self.pause();
        self.unpause(leaf);
    }

    /// `leaf` becomes `base`, and a new `leaf` its child.
    pub(crate) fn snapshot(&self, leaf: &str, base: &str) {
        self.pause();
        self.rename(leaf, base);
        self.deflate(base);
        let room = self.allocate(leaf);
        vhd_util(&[&["snapshot", "--debug", "-n", &self.text(leaf), "-p", &self.text(base)], room].concat());
        vhd_util(&["set", "--debug", "-n", &self.text(base), "-f", "hidden", "-v", "1"]);
        assert_eq!(vhd_util(&["query", "--debug", "-n", &self.text(base), "-f"]), "hidden: 1\n");
        self.unpause(leaf);
    }

    /// Coalesces an image, which must succeed.
    pub(crate) fn coalesce(&self, name: &str, parent: &str) {
        self.inflate(parent);
        assert!(vhd_util(&["coalesce", "--debug", "-n", &self.text(name)]).starts_with("Coalesced "));
        self.deflate(parent);
    }

    /// The same, but it is killed after this time, unless it is over.
    pub(crate) fn kill_coalesce(&self, name: &str, parent: &str, after: Duration) {
        self.inflate(parent);
        let mut command = Command::new(testkit::program("vhd-util"));
        let mut child = command.args(["coalesce", "-n", &self.text(name)]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        drop(child.kill());
        child.wait().unwrap();
    }

    /// Gives a child another parent.
    pub(crate) fn relink(&self, child: &str, parent: &str) {
        vhd_util(&["modify", "--debug", "-n", &self.text(child), "-p", &self.text(parent)]);
    }
}
