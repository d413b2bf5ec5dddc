//! `check` of a full 2040 GiB image, and `scan` of 500 images beside 500 calls of `query`. Prints the best of several
//! runs and the ratio; fails where the promise is broken. Images are sparse; nothing is dropped from the page cache.
#![allow(clippy::unwrap_used, reason = "a bench says what failed by failing there")]

mod measure;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use measure::{Cost, Costs, VHD_UTIL, cost, ratio};

const SIZE_MIB: u64 = 2_088_960;
const IMAGES: usize = 500;
const RUNS: usize = 5;

fn main() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let full = full_image(directory.path());
    let check = costs(|| run(&["check", "-n"], std::slice::from_ref(&full)));
    println!("check of a full 2040 GiB image: {} (promised: < 1 s)", check.line());

    let images = images(directory.path());
    let one = |image| run(&["query", "-vsfp", "-n"], std::slice::from_ref(image));
    let query = costs(|| images.iter().map(one).reduce(Cost::plus).unwrap());
    let scan = costs(|| run(&["scan", "-v"], &images));
    let ratio = ratio(&query, &scan);
    println!("{IMAGES} queries: {}", query.line());
    println!("scan of {IMAGES} images: {}; ratio {ratio:.1} (promised: >= 3)", scan.line());
    assert!(check.best() < Duration::from_secs(1) && ratio >= 3.0, "a promise is broken");
}

fn costs(work: impl Fn() -> Cost) -> Costs {
    let mut costs = Costs::default();
    (0..RUNS).for_each(|_| costs.add(work()));
    costs
}

fn run(arguments: &[&str], files: &[PathBuf]) -> Cost {
    cost(Command::new(VHD_UTIL).args(arguments).args(files))
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
