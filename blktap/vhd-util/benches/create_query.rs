//! `create` and `query` of a 2040 GiB image beside a program that makes the bare system calls they need: this one,
//! started again with a word that says which. Fails where either takes more than twice as long.
#![allow(clippy::unwrap_used, reason = "a bench says what failed by failing there")]

mod measure;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use measure::{Costs, VHD_UTIL, cost, ratio};

const SIZE_MIB: &str = "2088960";
const RUNS: usize = 21;
/// Where BAT, batmap header, map and primary footer of such an image lie, and how long the first and third are.
const BAT_AT: u64 = 1536;
const BAT_LEN: usize = 4_177_920;
const MAP_AT: u64 = 4_179_968;
const MAP_LEN: usize = 130_560;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, bare, path] = arguments.as_slice() {
        match bare.as_str() {
            "bare-create" => return bare_create(path.as_ref()),
            "bare-query" => return bare_query(path.as_ref()),
            _ => {}
        }
    }
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (image, bare) = (directory.path().join("a.vhd"), directory.path().join("bare"));
    let this = std::env::current_exe().unwrap();
    let compare = |name: &str, ours: &dyn Fn() -> Command, theirs: &dyn Fn() -> Command, is_fresh: bool| {
        let (mut our_costs, mut their_costs) = (Costs::default(), Costs::default());
        for _ in 0..RUNS {
            for (path, command, costs) in [(&image, ours, &mut our_costs), (&bare, theirs, &mut their_costs)] {
                if is_fresh && path.exists() {
                    fs::remove_file(path).unwrap();
                }
                costs.add(cost(&mut command()));
            }
        }
        let ratio = ratio(&our_costs, &their_costs);
        println!("{name}: {}", our_costs.line());
        println!("{name}, bare system calls: {}; ratio {ratio:.2} (promised: <= 2)", their_costs.line());
        assert!(ratio <= 2.0, "a promise is broken");
    };
    let ours = |arguments: &[&str]| {
        let mut command = Command::new(VHD_UTIL);
        command.args(arguments).arg("-n").arg(&image);
        command
    };
    let theirs = |word: &str, path: &Path| {
        let mut command = Command::new(&this);
        command.arg(word).arg(path);
        command
    };
    compare("create 2040 GiB", &|| ours(&["create", "-s", SIZE_MIB]), &|| theirs("bare-create", &bare), true);
    compare("query -vsfp 2040 GiB", &|| ours(&["query", "-vsfp"]), &|| theirs("bare-query", &image), false);
}

fn bare_create(path: &Path) {
    let file = File::create_new(path).unwrap();
    file.write_all_at(&[1; 1536], 0).unwrap();
    file.write_all_at(&vec![0xff; BAT_LEN], BAT_AT).unwrap();
    file.write_all_at(&vec![0; MAP_LEN + 512], MAP_AT - 512).unwrap();
    file.write_all_at(&[1; 512], MAP_AT + MAP_LEN as u64 + 512).unwrap();
    file.sync_all().unwrap();
}

fn bare_query(path: &Path) {
    let file = File::open(path).unwrap();
    let end = file.metadata().unwrap().len();
    file.read_exact_at(&mut [0; 512], end - 512).unwrap();
    file.read_exact_at(&mut [0; 1024], 512).unwrap();
    file.read_exact_at(&mut vec![0; BAT_LEN], BAT_AT).unwrap();
    file.read_exact_at(&mut vec![0; MAP_LEN + 512], MAP_AT - 512).unwrap();
    print!("2088960\n4311040\na.vhd has no parent\nhidden: 0\n");
}
