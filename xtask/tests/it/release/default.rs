//! Archives of this repository, with xtask in them: the same bytes in differing circumstances, and both ways of building give what the
//! checkout builds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::checkout::sealed;
use crate::build::run::{Ran, ran};
use crate::default_manifest::dist;
use crate::origin::git::git_in;
use crate::tier::{self, Tier};

const NAME: &str = "xen-4.17.5.tar.gz";

/// xtask in a checkout, through a shell command that may change what it sees.
fn xtask(checkout: &Path, before: &str, args: &str, environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new("sh");
    command.args(["-ec", &format!("{before}; exec \"$0\" {args}"), env!("CARGO_BIN_EXE_xtask")]);
    let ran = ran(command.current_dir(checkout).envs(environment.iter().copied()));
    assert_eq!(ran.code, Some(0), "{args}: {}", ran.stderr);
    ran
}

fn cloned(into: &Path, name: &str) -> PathBuf {
    let root = crate::repository();
    git_in(into, &["clone", "-q", root.to_str().unwrap(), name]);
    into.join(name)
}

/// A search path on which a program that hangs with libfaketime is started without it.
fn without_preload(dir: &Path, program: &str) -> String {
    let real = which::which(program).unwrap();
    let bin = dir.join("bin");
    fs::create_dir(&bin).unwrap();
    let script = format!("#!/bin/sh\nunset LD_PRELOAD\nexec '{}' \"$@\"\n", real.display());
    fs::write(bin.join(program), script).unwrap();
    fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
}

/// `verify-tarball` must have said that nothing differs.
fn proved(ran: &Ran, way: &str) {
    let said = format!("{way}: all ");
    let line = ran.stdout.lines().find(|line| line.starts_with(&said)).unwrap_or_default();
    assert!(line.ends_with(" files are those of this checkout's build"), "{}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn an_archive_brings_the_xtask_that_builds_it() {
    if !tier::need(Tier::Standard) || !sealed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let checkout = cloned(dir.path(), "checkout");
    let head = "summary = 't'\nlicence = 'MIT'\nhomepage = 'h'\nsource = 'tiny'\n";
    let write = |path: &str, text: &str| {
        let path = checkout.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("components/tiny.toml", &format!("{head}[tarball]\nat = '.'\n[build.make]\n"));
    write("manifests/tiny.toml", "summary = 't'\ncomponents = ['tiny']\n[sources]\ntiny.path.dir = 'tiny'\n");
    write("manifests/tiny.lock", "version = 1\n");
    write(
        "tiny/Makefile",
        "all:\ninstall:\n\tmkdir -p $(DESTDIR)/usr\n\tid -u > $(DESTDIR)/usr/user\n\tpwd > $(DESTDIR)/usr/place\n",
    );
    git_in(&checkout, &["add", "."]);
    git_in(&checkout, &["commit", "-qm", "tiny"]);
    xtask(&checkout, "umask 022", "build --manifest tiny", &[]);
    xtask(&checkout, "umask 022", "tarball --manifest tiny --format gz", &[]);
    // What it takes from the sandbox is the same, since its own xtask makes the same sandbox in there.
    proved(
        &xtask(&checkout, "umask 022", "verify-tarball tiny-0.tar.gz --manifest tiny --only xtask", &[]),
        "by-xtask",
    );
}

#[test]
fn the_archive_of_the_default_manifest_is_the_same_everywhere_and_builds_the_same() {
    if !tier::need(Tier::Full) || !sealed() {
        return;
    }
    dist(&[]);
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (cloned(dir.path(), "one"), cloned(dir.path(), "another-place"));
    xtask(&one, "umask 022", "tarball --format gz --jobs 1", &[]);
    let clock = xtask::repro::libfaketime(std::env::consts::ARCH).map(|library| library.display().to_string());
    let path = without_preload(dir.path(), "rustc");
    let clock: Vec<(&str, &str)> = match &clock {
        Some(library) => vec![("LD_PRELOAD", library), ("FAKETIME", "+400d"), ("NO_FAKE_STAT", "1"), ("PATH", &path)],
        None => Vec::new(),
    };
    let elsewhere = [&clock[..], &[("TZ", "Asia/Kathmandu"), ("LC_ALL", "C"), ("USER", "somebody")]].concat();
    xtask(&other, "umask 077", "tarball --format gz --jobs 3", &elsewhere);
    assert!(fs::read(one.join(NAME)).unwrap() == fs::read(other.join(NAME)).unwrap());

    xtask(&one, "umask 022", "build", &[]);
    let ran = xtask(&one, "umask 022", &format!("verify-tarball {NAME}"), &[]);
    proved(&ran, "by-hand");
    proved(&ran, "by-xtask");
}
