//! `cargo xtask boot`: what it says where it cannot run, and real boots of what the default manifest builds, of which some are broken.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::default_manifest::dist;
use crate::repository;
use crate::tier::{self, Tier};

struct Ran {
    code: Option<i32>,
    reports: Value,
    err: String,
}

fn boot(arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let ended = command.args(["boot", "--json"]).args(arguments).current_dir(repository()).output().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    Ran { code: ended.status.code(), reports: serde_json::from_slice(&ended.stdout).unwrap_or_default(), err }
}

/// Every check of the only scenario, `name: text` of those that failed.
fn checks(ran: &Ran) -> (Vec<String>, Vec<String>) {
    let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    let all = ran.reports[0]["checks"].as_array().unwrap();
    let failed = all.iter().filter(|check| check["verdict"] == "failed");
    let failed = failed.map(|check| format!("{}: {}", text(check, "name"), text(check, "text")));
    (all.iter().map(|check| text(check, "name")).collect(), failed.collect())
}

/// A root with files of those names and nothing in them.
fn hollow_root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in ["usr/sbin/tapdisk", "usr/bin/vhd-util"] {
        let file = root.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    root
}

#[test]
fn the_scenarios_are_listed() {
    let ran = boot(&[]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let names: Vec<&str> = ran.reports.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dom0", "pv", "linux-nbd"]);
}

#[test]
fn a_root_without_what_is_to_be_booted_is_wrong_input() {
    let root = hollow_root();
    let ran = boot(&["dom0", "--root", root.path().to_str().unwrap()]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("there is no hypervisor") && ran.err.contains("help: cargo xtask build"), "{}", ran.err);
}

#[test]
fn what_cannot_run_says_why_and_has_not_passed() {
    let (root, store) = (hollow_root(), tempfile::tempdir().unwrap());
    let at = |dir: &tempfile::TempDir| dir.path().to_str().unwrap().to_owned();
    let ran = boot(&["linux-nbd", "--offline", "--root", &at(&root), "--store", &at(&store)]);
    assert_eq!(ran.code, Some(77), "{}", ran.err);
    let report = &ran.reports[0];
    assert_eq!(report["outcome"], "not-run");
    assert!(!report["reason"].as_str().unwrap().is_empty() && report["checks"].as_array().unwrap().is_empty());
}

/// What is wanted of a scenario that boots `root`; the whole report is in the message where it is not so.
fn passes(scenario: &str, wanted: &[&str]) {
    let root = dist(&[]);
    let ran = boot(&[scenario, "--root", root.to_str().unwrap()]);
    if ran.code == Some(77) {
        return tier::skip(ran.reports[0]["reason"].as_str().unwrap());
    }
    assert_eq!(ran.code, Some(0), "{}\n{:#}", ran.err, ran.reports);
    let (names, failed) = checks(&ran);
    assert!(failed.is_empty() && ran.reports[0]["outcome"] == "passed", "{failed:?}");
    for name in wanted {
        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
    }
    let artefacts = PathBuf::from(ran.reports[0]["artefacts"].as_str().unwrap());
    for file in ["console.log", "command"] {
        assert!(fs::metadata(artefacts.join(file)).unwrap().len() > 0, "{file} is empty");
    }
}

#[test]
fn xen_boots_a_dom0_to_a_prompt_that_answers() {
    if tier::need(Tier::Standard) {
        passes("dom0", &["xen-banner", "dom0-devices", "xl-info", "prompt-answers", "switches-off"]);
    }
}

#[test]
fn a_pv_guest_writes_reads_back_and_leaves_nothing() {
    if tier::need(Tier::Standard) {
        passes("pv", &["guest-created", "guest-disk", "disk-image", "nothing-left", "xl-dmesg", "switches-off"]);
    }
}

#[test]
fn a_linux_guest_finds_in_tapdisks_image_what_it_wrote() {
    if tier::need(Tier::Standard) {
        passes("linux-nbd", &["guest-disk", "tapdisk", "parent-unchanged", "vhd-util-check", "disk-image"]);
    }
}

/// A copy of `dist/` in which something is broken.
fn broken(path: &str, content: &[u8]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").args(["-a", "--reflink=auto"]).arg(dist(&[]).join(".")).arg(root.path()).status();
    assert!(copied.unwrap().success());
    // Not through a link.
    let path = root.path().join(path).canonicalize().unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    root
}

fn fails(scenario: &str, root: &tempfile::TempDir) -> Option<Vec<String>> {
    // The log of the last run is that of the tests that pass.
    let keep = tempfile::tempdir().unwrap();
    let [root, dir] = [root, &keep].map(|dir| dir.path().to_str().unwrap());
    let ran = boot(&[scenario, "--root", root, "--keep", dir]);
    if ran.code == Some(77) {
        tier::skip(ran.reports[0]["reason"].as_str().unwrap());
        return None;
    }
    assert_eq!(ran.code, Some(1), "{}\n{:#}", ran.err, ran.reports);
    assert_eq!(ran.reports[0]["outcome"], "failed");
    assert!(keep.path().join(scenario).join("vmlinux").is_file());
    Some(checks(&ran).1)
}

#[test]
fn a_hypervisor_whose_code_is_damaged_fails_and_does_not_hang() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let mut xen = Vec::new();
    let packed = fs::File::open(dist(&[]).join("boot/xen.gz")).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut xen).unwrap();
    // It is loaded, its header says so; then there is no instruction that is one.
    xen[8192..].as_chunks_mut().0.fill(*b"\x0f\x0b");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &xen).unwrap();
    let root = broken("boot/xen.gz", &packed.finish().unwrap());
    let Some(failed) = fails("dom0", &root) else { return };
    assert!(failed.len() == 1 && failed[0].starts_with("xen-banner: "), "{failed:?}");
}

#[test]
fn a_dom0_without_its_xenstore_fails_and_says_what_xenstored_said() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let root = broken("usr/sbin/xenstored", b"#!/bin/sh\necho the planted fault\nexit 1\n");
    let Some(failed) = fails("pv", &root) else { return };
    assert!(failed.iter().any(|text| text == "xenstored: bad the planted fault"), "{failed:?}");
    // What then waits for xenstored is not waited for.
    let given_up = |text: &String| text.ends_with("did not come within 60 seconds of something bad");
    assert!(failed.iter().any(given_up), "{failed:?}");
}

#[test]
fn a_tapdisk_that_ends_fails() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let root = broken("usr/sbin/tapdisk", b"#!/bin/sh\necho the planted fault\nexit 1\n");
    let Some(failed) = fails("linux-nbd", &root) else { return };
    assert!(failed.iter().any(|text| text.contains("the planted fault")), "{failed:?}");
}

#[test]
fn an_image_that_does_not_hold_what_the_guest_wrote_fails() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let real = dist(&[]).join("usr/sbin/tapdisk");
    let elsewhere = format!(
        "#!/bin/sh\nmkdir other && cp *.vhd other && exec {} serve other/disk.vhd --socket disk.sock\n",
        real.display()
    );
    let root = broken("usr/sbin/tapdisk", elsewhere.as_bytes());
    let Some(failed) = fails("linux-nbd", &root) else { return };
    assert!(failed.len() == 1 && failed[0].starts_with("disk-image: "), "{failed:?}");
}
