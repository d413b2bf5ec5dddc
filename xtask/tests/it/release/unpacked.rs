//! An unpacked archive is a working tree: it builds without network and without git, and its builds are those of the checkout.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::small::{NAME, packed, project};
use crate::build::checkout::{Checkout, files, sealed};
use crate::build::run::{Ran, ran};

fn unpack(archive: &Path, into: &Path) -> PathBuf {
    fs::create_dir_all(into).unwrap();
    assert!(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(into).status().unwrap().success());
    into.join(NAME)
}

/// `build --offline` in the archive, where git is a program that nobody may start.
fn build(checkout: &Checkout, top: &Path, store: &Path) -> Ran {
    let dir = checkout.root().with_file_name("bin");
    let started = dir.join("started");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("git"), format!("#!/bin/sh\ntouch {}\nexit 99\n", started.display())).unwrap();
    fs::set_permissions(dir.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = checkout.command(&["build", "--offline"]);
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    command.current_dir(top.join("sultana")).env("XTASK_STORE", store).env("PATH", path);
    let ran = ran(&mut command);
    assert!(!started.exists(), "git was started: {}", ran.stderr);
    ran
}

/// What `status` says in the archive.
fn ran_status(checkout: &Checkout, top: &Path) -> String {
    let ran = ran(checkout.command(&["status"]).current_dir(top.join("sultana")));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stdout
}

#[test]
fn what_was_built_from_the_checkout_is_what_the_archive_builds() {
    if !sealed() {
        return;
    }
    let checkout = project();
    checkout.built(&[]);
    let top = unpack(&packed(&checkout, &[]), &checkout.root().with_file_name("elsewhere"));
    // the same actions: the store of the checkout has them all
    let ran = build(&checkout, &top, checkout.store());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("top: restored from the store"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("building"), "{}", ran.stderr);
    // and anew
    let again = unpack(&checkout.path(&format!("{NAME}.tar.gz")), &checkout.root().with_file_name("anew"));
    let ran = build(&checkout, &again, &checkout.root().with_file_name("empty-store"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("top: built in"), "{}", ran.stderr);
    assert_eq!(files(&again.join("sultana/dist")), checkout.dist());
}

#[test]
fn no_git_need_be_installed_to_build_an_archive() {
    if !sealed() {
        return;
    }
    let checkout = project();
    let top = unpack(&packed(&checkout, &[]), &checkout.root().with_file_name("elsewhere"));
    let mut without = ["bwrap", "--dev-bind", "/", "/"].map(str::to_owned).to_vec();
    for git in which::which_all("git").unwrap() {
        let git = git.canonicalize().unwrap().display().to_string();
        without.extend(["--ro-bind".to_owned(), "/dev/null".to_owned(), git]);
    }
    let without: Vec<&str> = without.iter().map(String::as_str).collect();
    let mut command = checkout.through(&without, &["build", "--offline"]);
    let ran = ran(command.current_dir(top.join("sultana")));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(top.join("sultana/dist/usr/top").is_file());
}

#[test]
fn a_file_that_was_changed_there_is_built_as_it_is_and_said() {
    if !sealed() {
        return;
    }
    let checkout = project();
    let manifest = checkout.read("manifests/m.toml");
    checkout.write(
        "manifests/m.toml",
        &manifest.replace("top.path.dir = \"top\"", "top.archive.urls = ['file:///none/top.tar']"),
    );
    checkout.write("manifests/m.lock", "");
    let tree = xtask::stat_index::read_tree(&checkout.path("top"), xtask::stat_index::Modes::Source).unwrap();
    let root = tree.root().hash;
    checkout.write(
        "manifests/m.lock",
        &format!(
            "version = 1\n[sources.top]\ntree = '{root}'\nepoch = 1700000000\n\
             [[sources.top.files]]\npath = 'top.tar'\nsize = 1\nsha256 = '{root}'\n"
        ),
    );
    fs::create_dir_all(checkout.path(".xtask/src")).unwrap();
    fs::rename(checkout.path("top"), checkout.path(".xtask/src/top")).unwrap();
    let top = unpack(&packed(&checkout, &["--offline"]), &checkout.root().with_file_name("elsewhere"));
    let ran = build(&checkout, &top, checkout.store());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stderr.contains("note:"), "{}", ran.stderr);
    fs::write(top.join("Makefile"), "all:\ninstall:\n\tmkdir -p $(DESTDIR)/usr\n\techo changed > $(DESTDIR)/usr/top\n")
        .unwrap();
    let ran = build(&checkout, &top, checkout.store());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("`top` is not as it was in the archive"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(top.join("sultana/dist/usr/top")).unwrap(), "changed\n");
    let status = ran_status(&checkout, &top);
    let line = |source: &str| status.lines().find(|line| line.trim_start().starts_with(source)).unwrap().to_owned();
    assert!(line("top").ends_with("in the archive, and changed since it was unpacked"), "{status}");
    assert!(line("fw").ends_with(" in the archive"), "{status}");
}

#[test]
fn the_commands_that_an_archive_names_build_the_same_by_hand() {
    if !sealed() {
        return;
    }
    let checkout = project();
    checkout.built(&[]);
    let top = unpack(&packed(&checkout, &[]), &checkout.root().with_file_name("by-hand"));
    let text = fs::read_to_string(top.join("sultana/BUILDING")).unwrap();
    let script: Vec<&str> =
        text.split("2. By hand").nth(1).unwrap().lines().filter_map(|it| it.strip_prefix("    ")).collect();
    let stage = checkout.root().with_file_name("stage");
    let mut shell = Command::new("sh");
    shell.args(["-ec", &script.join("\n")]).env("TOP", &top).env("DESTDIR", &stage);
    let ran = ran(&mut shell);
    assert_eq!(ran.code, Some(0), "{}\n{}", script.join("\n"), ran.stderr);
    assert_eq!(files(&stage), checkout.dist());
}

#[test]
fn an_archive_of_another_form_is_refused_with_what_helps() {
    if !sealed() {
        return;
    }
    let checkout = project();
    let top = unpack(&packed(&checkout, &[]), &checkout.root().with_file_name("elsewhere"));
    let index = top.join("sultana/tarball.toml");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replace("version = 1", "version = 2")).unwrap();
    let ran = build(&checkout, &top, checkout.store());
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    ran.says(&["its form is version 2; this xtask reads 1", "help: unpack the archive again"]);
}
