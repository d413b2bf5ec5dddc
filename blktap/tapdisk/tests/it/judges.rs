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

/// Numbers without a pattern, the same ones each time.
fn numbers() -> impl Iterator<Item = usize> {
    let mut state = 1u32;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 1) as usize
    })
}

/// Bytes without a pattern, with a hole of zeros.
fn noise() -> Vec<u8> {
    let mut bytes: Vec<u8> = numbers().map(|number| number.to_be_bytes()[6]).take(SIZE).collect();
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

/// A random operation for qemu-io, on whole sectors.
fn operation(numbers: &mut impl Iterator<Item = usize>) -> String {
    let mut below = |end| numbers.next().unwrap() % end;
    let len = [512, 4096, 65536, 7 * 512, MIB][below(5)];
    let (at, pattern) = (below((SIZE - len) / 512) * 512, 1 + below(254));
    match below(20) {
        ..11 => format!("write -q -P {pattern} {at} {len}"),
        11..14 => format!("write -q -z {at} {len}"),
        14..16 => format!("write -q -z -u {at} {len}"),
        16..18 => "flush".to_owned(),
        _ => format!("write -q -f -P {pattern} {at} {len}"),
    }
}

#[test]
fn qemu_finds_what_a_flat_file_would_hold() {
    let test = "qemu_finds_what_a_flat_file_would_hold";
    check(test, |uri, raw, oracle| {
        let mut numbers = numbers();
        let operations: Vec<String> = (0..500).map(|_| operation(&mut numbers)).collect();
        let arguments: Vec<&str> = operations.iter().flat_map(|operation| ["-c", operation]).collect();
        fs::write(raw, &*oracle).unwrap();
        for disk in [uri, raw] {
            run(test, "qemu-io", &[&["-f", "raw"], &arguments[..], &[disk]].concat())?;
        }
        *oracle = fs::read(raw).unwrap();
        run(test, "qemu-img", &["compare", "-f", "raw", "-F", "raw", raw, uri]).map(drop)
    });
}

/// What fio writes in these jobs, and reads again.
fn check_fio(test: &str, jobs: &[&str]) {
    check(test, |uri, raw, oracle| {
        let uri_option = format!("--uri={uri}");
        let state = format!("--aux-path={}", raw.rsplit_once('/').unwrap().0);
        let all =
            ["--ioengine=nbd", &uri_option, &state, "--rw=randwrite", "--verify_fatal=1", "--verify_state_save=0"];
        run(test, "fio", &[&all[..], jobs].concat())?;
        let back = format!("{raw}.back");
        run(test, "qemu-img", &["convert", "-f", "raw", "-O", "raw", uri, &back])?;
        *oracle = fs::read(back).unwrap();
        Some(())
    });
}

#[test]
fn fio_verifies_what_it_wrote() {
    let job = ["--bsrange=512-64k", "--blockalign=512", "--size=8M", "--iodepth=16", "--verify=crc32c", "--name=v"];
    check_fio("fio_verifies_what_it_wrote", &job);
}

#[test]
fn fio_verifies_what_several_jobs_wrote() {
    let all = ["--bs=4k", "--size=2M", "--iodepth=8", "--verify=md5"];
    let jobs = ["--name=a", "--offset=0", "--name=b", "--offset=3M", "--name=c", "--offset=6M"];
    check_fio("fio_verifies_what_several_jobs_wrote", &[&all[..], &jobs].concat());
}
