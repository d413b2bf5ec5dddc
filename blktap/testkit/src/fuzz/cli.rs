//! Any bytes as an image's file, and what the commands say of it: they end, with a status that says what is wrong. Input:
//! [`How`], image.

use std::ffi::OsString;
use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};
use legacy_cli::terminal::Terminal;
use vhd::Image;
use vhd::check::{MAX_FINDINGS, Options, check};

use super::input::How;
use super::sound;

/// Commands that change nothing, without the image's name.
const COMMANDS: [&str; 7] = [
    "query -vspfmdaS -n",
    "query -pu -n",
    "read -p -n",
    "check --json -b -n",
    "check -i -t -B -n",
    "scan -f",
    "scan -a -v -p --json",
];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    how: How,
    image: &'a [u8],
}

/// The target.
pub fn run(data: &[u8]) {
    let Ok(Input { how, image }) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.vhd");
    std::fs::write(&path, how.bytes(image)).unwrap();
    ask(&path);
    for command in COMMANDS {
        runs(command, &[&path]);
    }
}

/// Runs a command on these files.
pub(super) fn runs(command: &str, paths: &[&Path]) {
    let words = command.split(' ').map(OsString::from);
    let arguments: Vec<OsString> = words.chain(paths.iter().map(OsString::from)).collect();
    let status = vhd_util::run(&arguments, &mut Terminal::default());
    assert!((0..=255).contains(&status) && ![5, 11].contains(&status), "{arguments:?} is {status}");
}

fn ask(path: &Path) {
    sound(vhd::peek(path)).expect("what is there can be shown");
    let options = Options { check_bitmaps: true, count_sectors: true, ..Options::default() };
    let report = sound(check(path, &options)).expect("a file that is there can be checked");
    assert!(report.findings.len() <= MAX_FINDINGS);
    for finding in &report.findings {
        assert!(![0, 5, 11].contains(&finding.errno) && !finding.message.is_empty(), "{finding:?}");
    }
    assert!(!report.is_valid() || Image::open(path).is_ok(), "what is valid opens");
}
