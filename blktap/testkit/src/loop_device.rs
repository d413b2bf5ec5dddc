//! Block devices over files, made by the kernel. They need root.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A loop device that the kernel takes away with the last handle, however this process ends.
#[derive(Debug)]
pub struct LoopDevice {
    pub path: PathBuf,
    backing: PathBuf,
    _held: File,
}

impl LoopDevice {
    /// A device with these bytes, in a file of this name. An error where there can be none.
    pub fn new(directory: &Path, name: &str, sector_bytes: u32, bytes: &[u8]) -> Result<Self, String> {
        let backing = directory.join(name);
        fs::write(&backing, bytes).unwrap();
        let size = sector_bytes.to_string();
        let attached =
            Command::new("losetup").args(["--find", "--show", "--sector-size", &size]).arg(&backing).output();
        let attached = attached.map_err(|error| format!("losetup cannot be run: {error}"))?;
        if !attached.status.success() {
            return Err(String::from_utf8_lossy(&attached.stderr).trim().to_owned());
        }
        let path = PathBuf::from(String::from_utf8(attached.stdout).unwrap().trim());
        let held = File::open(&path);
        // A device in use is only marked: it goes when it is closed.
        losetup(&["--detach"], &path);
        Ok(LoopDevice { path, backing, _held: held.unwrap() })
    }

    /// All bytes of the device, as they are on disk.
    pub fn bytes(&self) -> Vec<u8> {
        fs::read(&self.backing).unwrap()
    }

    /// Makes it longer or shorter.
    pub fn set_len(&self, len_bytes: u64) {
        File::options().write(true).open(&self.backing).unwrap().set_len(len_bytes).unwrap();
        losetup(&["--set-capacity"], &self.path);
    }
}

fn losetup(arguments: &[&str], device: &Path) {
    let done = Command::new("losetup").args(arguments).arg(device).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}
