//! Clients that others wrote: libnbd's, QEMU's and fio's.

use std::fs;
use std::io::ErrorKind;
use std::process::Command;

use rustix::process::Signal;

use crate::oracle::reads;
use crate::served::{MIB, Mode, SIZE, Served, content, images};

/// Runs a program, which must succeed. `None` where it is not installed.
pub(crate) fn run(test: &str, program: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(arguments).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("SKIPPED {test}: needs {program}");
            return None;
        }
        output => output.unwrap(),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    Some(text)
}

/// Bytes without a pattern, with a hole of zeros.
fn noise() -> Vec<u8> {
    let mut state = 1u32;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[1]
    })
    .take(SIZE)
    .collect();
    bytes[2 * MIB..6 * MIB].fill(0);
    bytes
}

fn check(test: &str, judge: impl Fn(&str, &str, &mut Vec<u8>) -> Option<()>) {
    let names = ["fixed.vhd", "dynamic.vhd", "child.vhd"];
    for (mode, name) in Mode::ALL.into_iter().flat_map(|mode| names.map(|name| (mode, name))) {
        let images = images();
        let image = images.path().join(name);
        let served = Served::with(&image, mode, &[]);
        let mut oracle = content(name);
        let raw = images.path().join("raw");
        fs::write(&raw, noise()).unwrap();
        if judge(&served.uri(), raw.to_str().unwrap(), &mut oracle).is_none() {
            return;
        }
        assert_eq!(served.end(Signal::TERM), 0, "{test}");
        reads(&image, &oracle);
    }
}

#[test]
fn libnbd_copies_in_and_out() {
    let test = "libnbd_copies_in_and_out";
    check(test, |uri, raw, oracle| {
        run(test, "nbdcopy", &["-C", "4", raw, uri])?;
        let back = format!("{raw}.back");
        run(test, "nbdcopy", &[uri, &back])?;
        *oracle = noise();
        assert!(fs::read(back).unwrap() == *oracle);
        let map = run(test, "nbdinfo", &["--map", uri])?;
        assert!(map.contains("hole,zero"), "{map}");
        run(test, "nbdinfo", &["--json", uri]).map(drop)
    });
}

#[test]
fn qemu_writes_compares_and_converts() {
    let test = "qemu_writes_compares_and_converts";
    check(test, |uri, raw, oracle| {
        let writes = ["write -P 17 700 5000", "write -z -u 1m 1m", "discard 6m 64k", "flush", "write -f -P 18 7m 4k"];
        let arguments: Vec<&str> = writes.iter().flat_map(|write| ["-c", write]).collect();
        // The next one is about more than what was written here.
        run(test, "qemu-io", &[&["-f", "raw"], &arguments[..], &[uri]].concat())?;
        run(test, "qemu-img", &["convert", "-n", "-f", "raw", "-O", "raw", raw, uri])?;
        *oracle = noise();
        run(test, "qemu-img", &["compare", "-f", "raw", "-F", "raw", raw, uri]).map(drop)
    });
}

#[test]
fn fio_verifies_what_it_wrote() {
    let test = "fio_verifies_what_it_wrote";
    check(test, |uri, raw, oracle| {
        let uri_option = format!("--uri={uri}");
        let state = format!("--aux-path={}", raw.rsplit_once('/').unwrap().0);
        run(
            test,
            "fio",
            &[
                "--name=v",
                "--ioengine=nbd",
                &uri_option,
                &state,
                "--rw=randwrite",
                "--bsrange=512-64k",
                "--blockalign=512",
                "--size=8M",
                "--iodepth=16",
                "--verify=crc32c",
                "--verify_fatal=1",
                "--do_verify=1",
                "--verify_state_save=0",
            ],
        )?;
        let back = format!("{raw}.back");
        run(test, "qemu-img", &["convert", "-f", "raw", "-O", "raw", uri, &back])?;
        *oracle = fs::read(back).unwrap();
        Some(())
    });
}
