//! A real kernel on the disk: nbdfuse shows it as a file, a loop device makes a disk of that, ext4 lives on it. Needs root,
//! /dev/fuse and loop devices.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use testkit::sample;
use vhd::create::Storage;

use crate::judges::run;
use crate::served::{Mode, Served};

const TEST: &str = "a_kernel_mounts_ext4_on_it";
const PROGRAMS: [&str; 7] = ["nbdfuse", "fusermount3", "losetup", "mkfs.ext4", "e2fsck", "mount", "fio"];

/// Why this cannot run here.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    let device = ["/dev/fuse", "/dev/loop-control"].into_iter().find(|device| !Path::new(device).exists());
    let program = PROGRAMS.into_iter().find(|program| {
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err()
    });
    device.or(program).map(|name| format!("needs {name}"))
}

/// What was mounted and set up, taken down again whatever happens.
struct Mounted {
    fuse: PathBuf,
    nbdfuse: Child,
    device: Option<String>,
    tree: Option<PathBuf>,
}

impl Mounted {
    fn new(directory: &Path, uri: &str) -> Self {
        let fuse = directory.join("fuse");
        fs::create_dir_all(&fuse).unwrap();
        let nbdfuse = Command::new("nbdfuse").arg(&fuse).arg(uri).spawn().unwrap();
        let mut mounted = Mounted { fuse, nbdfuse, device: None, tree: None };
        let file = mounted.fuse.join("nbd");
        while !file.exists() {
            assert!(mounted.nbdfuse.try_wait().unwrap().is_none(), "nbdfuse ended");
            std::thread::sleep(Duration::from_millis(20));
        }
        let device = run(TEST, "losetup", &["-f", "--show", file.to_str().unwrap()]).unwrap();
        mounted.device = Some(device.trim_end().to_owned());
        mounted
    }

    fn device(&self) -> &str {
        self.device.as_deref().unwrap()
    }

    fn mount(&mut self, tree: &Path) {
        fs::create_dir_all(tree).unwrap();
        run(TEST, "mount", &[self.device(), tree.to_str().unwrap()]);
        self.tree = Some(tree.to_owned());
    }

    fn unmount(&mut self) {
        if let Some(tree) = self.tree.take() {
            run(TEST, "umount", &[tree.to_str().unwrap()]);
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let quiet = |program: &str, arguments: &[&str]| {
            drop(Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status());
        };
        if let Some(tree) = &self.tree {
            quiet("umount", &[tree.to_str().unwrap()]);
        }
        if let Some(device) = &self.device {
            quiet("losetup", &["-d", device]);
        }
        quiet("fusermount3", &["-u", self.fuse.to_str().unwrap()]);
        drop(self.nbdfuse.wait());
    }
}

/// Files of all sizes, some of them in deep directories.
fn plant(root: &Path) {
    for number in 0..300usize {
        let directory = root.join(format!("{}/{}", number % 7, number % 3));
        fs::create_dir_all(&directory).unwrap();
        let bytes: Vec<u8> = (0..number * 37).map(|at| u8::try_from((at * number) % 251).unwrap()).collect();
        fs::write(directory.join(number.to_string()), bytes).unwrap();
    }
}

#[test]
fn a_kernel_mounts_ext4_on_it() {
    if let Some(why) = missing() {
        println!("SKIPPED {TEST}: {why}");
        return;
    }
    let is_full = std::env::var("XTASK_TIER").is_ok_and(|tier| tier == "full");
    let modes = if is_full { &Mode::ALL[..] } else { &[Mode::Uring] };
    for &mode in modes {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("disk.vhd");
        vhd::create_image(&image, &sample::request(128, Storage::Dynamic { max_bytes: None })).unwrap();
        let planted = directory.path().join("planted");
        plant(&planted);
        let tree = directory.path().join("tree");
        let served = Served::with(&image, mode, &[]);
        let mut mounted = Mounted::new(directory.path(), &served.uri());
        run(TEST, "mkfs.ext4", &["-q", "-F", mounted.device()]);
        mounted.mount(&tree);
        run(TEST, "cp", &["-a", planted.to_str().unwrap(), tree.to_str().unwrap()]);
        let directory_option = format!("--directory={}", tree.display());
        let verify = ["--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--verify_state_save=0"];
        let job = ["--name=v", &directory_option, "--rw=randwrite", "--bs=4k", "--size=4M", "--fsync=64"];
        run(TEST, "fio", &[&job[..], &verify].concat());
        mounted.unmount();
        run(TEST, "e2fsck", &["-fn", mounted.device()]);
        drop(mounted);
        assert_eq!(served.end(Signal::TERM), 0);
        // Another server, another kernel's view.
        let served = Served::with(&image, mode, &[]);
        let mut mounted = Mounted::new(directory.path(), &served.uri());
        mounted.mount(&tree);
        let copied = tree.join("planted");
        run(TEST, "diff", &["-r", planted.to_str().unwrap(), copied.to_str().unwrap()]);
        mounted.unmount();
        drop(mounted);
        assert_eq!(served.end(Signal::TERM), 0);
    }
}
