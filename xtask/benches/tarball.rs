//! `cargo bench --profile xtask --bench tarball`: packing a release against `tar | xz -T0` at the same preset and block size, in the same
//! run. `XTASK_BENCH_TREE` names a directory that is packed; `/usr/include` if nothing is said.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

mod synthetic;

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use synthetic::{Times, ratio};
use xtask::process::Cancel;
use xtask::release::{Contents, Format, Owner, write};
use xtask::stat_index::{Modes, read_tree};

const ROUNDS: usize = 3;
/// What we may take, as a multiple of what they take.
const LIMIT: f64 = 1.2;

fn main() {
    let tree = PathBuf::from(std::env::var("XTASK_BENCH_TREE").unwrap_or("/usr/include".into()));
    let dir = tempfile::tempdir().unwrap();
    let mut contents = Contents::new("x-1".into(), 0);
    contents.add_tree(".", &read_tree(&tree, Modes::Source).unwrap(), &tree, &Owner::Ours).unwrap();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for _ in 0..ROUNDS {
        theirs.add(|| {
            let mut tar = Command::new("tar");
            tar.args(["-cf", "-", "--sort=name", "-C"]).arg(&tree).arg(".");
            let mut tar = tar.stdout(Stdio::piped()).spawn().unwrap();
            let mut xz = Command::new("xz");
            xz.args(["-T0", "-6", "--block-size=25165824", "-c"]).stdin(tar.stdout.take().unwrap());
            assert!(xz.stdout(File::create(dir.path().join("theirs")).unwrap()).status().unwrap().success());
            assert!(tar.wait().unwrap().success());
        });
        ours.add(|| {
            let file = File::create(dir.path().join("ours")).unwrap();
            write(&contents, Format::Xz, threads, file, &Cancel::default(), &|_| {}).unwrap();
        });
    }
    let (ours, theirs) = (ours.median(), theirs.median());
    let ratio = ratio(ours, theirs);
    let verdict = if ratio <= LIMIT { "within" } else { "OVER" };
    println!(
        "packing {} bytes: {ours:.2?}; tar and xz: {theirs:.2?}; ratio {ratio:.2}, {verdict} {LIMIT}",
        contents.bytes()
    );
}
