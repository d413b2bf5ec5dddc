//! A small file system that only some runs see.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::checkout::{Checkout, How, files, root};
use super::run::{Ran, ran};
use crate::tier;

/// A mount namespace with a small file system at one place, as long as its holder lives.
pub struct Small {
    holder: Child,
    at: PathBuf,
}

impl Small {
    /// None where that cannot be had; the skip is on record.
    pub fn mount(at: &Path, options: &str) -> Option<Small> {
        if !root() {
            return None;
        }
        std::fs::create_dir_all(at).unwrap();
        let script = format!("mount -t tmpfs -o {options} small '{}' && echo ready && exec cat", at.display());
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line != "ready\n" {
            tier::skip("this machine lets nobody mount a tmpfs");
            holder.wait().unwrap();
            return None;
        }
        Some(Small { holder, at: at.to_path_buf() })
    }

    fn enter(&self) -> [String; 2] {
        ["nsenter".to_owned(), format!("--mount=/proc/{}/ns/mnt", self.holder.id())]
    }

    /// `build` where the file system is.
    pub fn build(&self, checkout: &Checkout, how: How) -> Ran {
        self.run(checkout, &[&["build"], how.args()].concat())
    }

    /// xtask where the file system is.
    pub fn run(&self, checkout: &Checkout, arguments: &[&str]) -> Ran {
        let [nsenter, mount] = self.enter();
        let dir = format!("--wdns={}", checkout.root().display());
        ran(&mut checkout.through(&[&nsenter, &mount, &dir], arguments))
    }

    /// Mounts it again with these options.
    pub fn grow(&self, options: &str) {
        let [nsenter, mount] = self.enter();
        let options = format!("remount,{options}");
        let status = Command::new(nsenter).arg(mount).args(["mount", "-o", &options]).arg(&self.at).status().unwrap();
        assert!(status.success());
    }

    /// The paths of all files below a directory there.
    pub fn files(&self, path: &Path) -> Vec<String> {
        let seen = format!("/proc/{}/root{}", self.holder.id(), path.display());
        files(Path::new(&seen)).into_keys().collect()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        self.holder.kill().unwrap();
        self.holder.wait().unwrap();
    }
}
