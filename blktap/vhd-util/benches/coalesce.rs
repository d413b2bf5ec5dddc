//! `coalesce` of 1 GiB beside `cp` of the same bytes with a sync, on this disk and on a reflink file system in a loop
//! device. Runs alternate. Fails where a promise is broken; says so where the second half cannot be run.
#![allow(clippy::unwrap_used, reason = "a bench says what failed by failing there")]

mod measure;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use measure::{Cost, Costs, VHD_UTIL, cost, ratio};
use vhd::Disk;

const SIZE_MIB: u64 = 1024;
const RUNS: usize = 5;

fn main() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let fraction = compare("this disk", directory.path());
    assert!(fraction >= 0.9, "coalesce has less than 90 % of cp's speed");
    match Btrfs::mounted(directory.path()) {
        Err(why) => println!("SKIPPED coalesce on a reflink file system: {why}"),
        Ok(btrfs) => assert!(compare("btrfs", &btrfs.0) >= 10.0, "coalesce is less than ten times as fast as a copy"),
    }
}

/// How many times as long `cp` takes.
fn compare(place: &str, directory: &Path) -> f64 {
    let (parent, child, copy) = (directory.join("a.vhd"), directory.join("b.vhd"), directory.join("copy"));
    let vhd_util = |arguments: &[&str], path: &Path| {
        let mut command = Command::new(VHD_UTIL);
        command.args(arguments).arg(path).stderr(Stdio::null());
        command
    };
    let create = || cost(&mut vhd_util(&["create", "-s", &SIZE_MIB.to_string(), "-n"], &parent));
    create();
    cost(vhd_util(&["snapshot", "-e", "-n"], &child).arg("-p").arg(&parent));
    fill(&child);
    let empty = fs::read(&parent).unwrap();
    let (mut ours, mut cp, mut again) = (Costs::default(), Costs::default(), Costs::default());
    for _ in 0..RUNS {
        fs::write(&parent, &empty).unwrap();
        sync(&parent);
        ours.add(cost(&mut vhd_util(&["coalesce", "-n"], &child)));
        again.add(cost(&mut vhd_util(&["coalesce", "-n"], &child)));
        fs::write(&parent, &empty).unwrap();
        let copied = cost(Command::new("cp").arg("--reflink=never").arg(&child).arg(&copy));
        let synced = sync(&copy);
        cp.add(copied.plus(synced));
        fs::remove_file(&copy).unwrap();
    }
    let ratio = ratio(&cp, &ours);
    println!("{place}: coalesce of {SIZE_MIB} MiB into an empty parent: {}", ours.line());
    println!("{place}: the same again, into a parent with all blocks: {}", again.line());
    println!("{place}: cp and sync: {}; ratio {ratio:.2}", cp.line());
    ratio
}

fn sync(path: &Path) -> Cost {
    cost(Command::new("sync").arg(path))
}

/// Writes all of the disk with bytes that no file system can leave out.
fn fill(path: &Path) {
    let mut disk = Disk::open_rw(path).unwrap();
    let mut bytes = vec![0; 4 << 20];
    let mut random = 1u64;
    for at in (0..SIZE_MIB << 20).step_by(bytes.len()) {
        for word in bytes.chunks_mut(8) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            word.copy_from_slice(&random.to_le_bytes());
        }
        disk.write_at(at, &bytes).unwrap();
    }
    disk.flush().unwrap();
}

/// A mount that ends with the value.
struct Btrfs(std::path::PathBuf);

impl Btrfs {
    fn mounted(directory: &Path) -> Result<Self, String> {
        let (image, mount) = (directory.join("btrfs.img"), directory.join("mount"));
        fs::File::create(&image).and_then(|file| file.set_len(5 << 30)).map_err(|error| error.to_string())?;
        fs::create_dir(&mount).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.btrfs").arg("-q").arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount))?;
        Ok(Btrfs(mount))
    }
}

impl Drop for Btrfs {
    fn drop(&mut self) {
        run(Command::new("umount").arg(&self.0)).unwrap();
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{}: {said}", command.get_program().display())) }
}
