//! `check` of a full 2040 GiB image, and `scan` of 500 images beside 500 calls of `query`. Prints the best of several
//! runs and the ratio; fails where the promise is broken. Images are sparse; nothing is dropped from the page cache.
#![allow(clippy::unwrap_used, reason = "a bench says what failed by failing there")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const VHD_UTIL: &str = env!("CARGO_BIN_EXE_vhd-util");
const SIZE_MIB: u64 = 2_088_960;
const IMAGES: usize = 500;
const RUNS: usize = 5;

fn main() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let full = full_image(directory.path());
    let check = best(|| run(&["check", "-n"], std::slice::from_ref(&full)));
    println!("check of a full 2040 GiB image: {check:?} (promised: < 1 s)");

    let images = images(directory.path());
    let query = best(|| images.iter().for_each(|image| run(&["query", "-vsfp", "-n"], std::slice::from_ref(image))));
    let scan = best(|| run(&["scan", "-v"], &images));
    let ratio = query.as_secs_f64() / scan.as_secs_f64();
    println!("{IMAGES} queries: {query:?}; scan of {IMAGES} images: {scan:?}; ratio {ratio:.1} (promised: >= 3)");
    assert!(check < Duration::from_secs(1) && ratio >= 3.0, "a promise is broken");
}

fn best(work: impl Fn()) -> Duration {
    let time = |()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..RUNS).map(|_| time(())).min().unwrap()
}

fn run(arguments: &[&str], files: &[PathBuf]) {
    let status = Command::new(VHD_UTIL).args(arguments).args(files).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{arguments:?}: {status}");
}

/// Every block allocated, one behind the other, with data on pages as libvhd places it.
fn full_image(directory: &Path) -> PathBuf {
    let path = directory.join("full.vhd");
    run(&["create", "-s", &SIZE_MIB.to_string(), "-n"], std::slice::from_ref(&path));
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let metadata_end = file.metadata().unwrap().len() - 512;
    let mut footer = [0; 512];
    file.read_exact_at(&mut footer, metadata_end).unwrap();
    let first = (metadata_end / 512).next_multiple_of(8) + 7;
    let sectors: Vec<u64> = (0..SIZE_MIB / 2).map(|block| first + block * 4104).collect();
    let bat: Vec<u8> = sectors.iter().flat_map(|&sector| u32::try_from(sector).unwrap().to_be_bytes()).collect();
    file.write_all_at(&[0; 512], metadata_end).unwrap();
    file.write_all_at(&bat, 1536).unwrap();
    file.write_all_at(&footer, (sectors.last().unwrap() + 4097) * 512).unwrap();
    path
}

fn images(directory: &Path) -> Vec<PathBuf> {
    let template = directory.join("template.vhd");
    run(&["create", "-s", "65536", "-n"], std::slice::from_ref(&template));
    let paths: Vec<PathBuf> = (0..IMAGES).map(|number| directory.join(format!("{number}.vhd"))).collect();
    paths.iter().for_each(|path| assert!(fs::copy(&template, path).unwrap() > 0));
    paths
}
