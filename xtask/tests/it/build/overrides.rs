//! A tree that somebody put in a source's place: taken without a word if it is the pin's, as an override if it is not. `override`
//! and `restore`, which take a tree from where it is.

use std::fs;

use super::checkout::{Checkout, How};
use crate::origin::git::Upstream;

/// `a` from the branch of this repository.
fn manifest(upstream: &Upstream) -> String {
    let url = upstream.url();
    format!("summary = 'm'\ncomponents = ['a']\n[sources]\na.git = {{ urls = [{url:?}], branch = 'main' }}\n")
}

#[test]
fn an_unpacked_tree_is_used_if_it_is_the_pins_and_is_an_override_if_not() {
    let checkout = Checkout::new();
    let upstream = Upstream::new(checkout.path("up"));
    upstream.commit("t", "one\n");
    checkout.write("manifests/m.toml", &manifest(&upstream));
    checkout.script("a", "", "install -D -m 644 t $STAGE/usr/t");
    assert_eq!(checkout.run(&["update"]).code, Some(0));
    let place = checkout.path(".xtask/src/a");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("t"), "one\n").unwrap();
    let same = checkout.built(&["--offline"]);
    assert!(!same.stderr.contains("override"), "{}", same.stderr);

    fs::write(place.join("t"), "mine\n").unwrap();
    fs::remove_dir_all(checkout.path(".xtask/state/source")).unwrap();
    checkout.built(&["--offline"]).says(&["`a` is not what the lock names", "as an override"]);
    assert_eq!(checkout.read("dist/usr/t"), "mine\n");
    assert!(checkout.run(&["status"]).stdout.contains("overridden: not what the lock names"));
    assert_eq!(checkout.read(".xtask/src/a/t"), "mine\n");
}

/// `a` installs `t` of a locked git source; the working tree is a clone at the pin, with rules of what is ignored.
fn cloned() -> (Checkout, Upstream) {
    let checkout = Checkout::new();
    let upstream = Upstream::new(checkout.path("../up"));
    upstream.commit(".gitignore", "*.o\n");
    upstream.commit("t", "one\n");
    checkout.write("manifests/m.toml", &manifest(&upstream));
    checkout.script("a", "", "install -D -m 644 t $STAGE/usr/t; ls > $STAGE/usr/files");
    assert_eq!(checkout.run(&["update"]).code, Some(0));
    checkout.built(How::all()[0].args());
    (checkout, upstream)
}

#[test]
fn an_override_goes_both_ways_and_touches_nothing_that_is_committed() {
    let how = How::all()[0].args();
    let (checkout, upstream) = cloned();
    let (lock, before) = (checkout.read("manifests/m.lock"), checkout.dist());
    let mine = upstream.dir.canonicalize().unwrap();
    let over = checkout.run(&["override", "a", "../up"]);
    assert_eq!(over.code, Some(0), "{}", over.stderr);
    assert!(over.stdout.contains("cargo xtask restore a"), "{}", over.stdout);

    fs::write(mine.join("a.o"), "object").unwrap();
    checkout.built(how).says(&["the 1 component is up to date", "with overrides: a ("]);
    assert!(checkout.run(&["status"]).stdout.contains("the same as its pin (cargo xtask restore a)"));

    fs::write(mine.join("t"), "mine\n").unwrap();
    fs::write(mine.join("new"), "not yet tracked").unwrap();
    checkout.built(how).says(&["a: built", &format!("with overrides: a ({})", mine.display())]);
    assert_eq!(checkout.read("dist/usr/t"), "mine\n");
    assert_eq!(checkout.read("dist/usr/files"), "new\nt\n");
    for command in [&["status"][..], &["list"], &["why", "a"], &["override"], &["build", "--dry-run"]] {
        for json in [&[][..], &["--json"]] {
            let told = checkout.run(&[command, json].concat());
            assert!(told.stdout.contains(mine.to_str().unwrap()), "{command:?} {json:?}: {}", told.stdout);
        }
    }

    assert_eq!(checkout.run(&["restore", "a"]).code, Some(0));
    let again = checkout.built(how);
    again.says(&["a: restored from the store"]);
    again.never_says(&["override"]);
    assert_eq!((checkout.dist(), checkout.read("manifests/m.lock")), (before, lock));
    assert_eq!(fs::read_to_string(mine.join("t")).unwrap(), "mine\n");
    assert_eq!(checkout.run(&["override"]).stdout, "no source is overridden\n");
}

#[test]
fn what_cannot_be_an_override_is_refused_with_help() {
    let (checkout, upstream) = cloned();
    fs::create_dir(checkout.path("empty")).unwrap();
    let ignored = checkout.path("../ignored");
    Upstream::new(ignored.clone()).git(&["config", "core.excludesFile", "../all"]);
    fs::write(checkout.path("../all"), "*\n").unwrap();
    fs::write(ignored.join("x.o"), "").unwrap();
    let file = upstream.dir.join("t");
    for (source, path, found) in [
        ("a", "nowhere", "no such directory"),
        ("a", file.to_str().unwrap(), "it is a file"),
        ("a", "empty", "no file in it"),
        ("a", ignored.to_str().unwrap(), "no file in it"),
        ("a", ".xtask/src/a", "where this checkout keeps what it makes"),
        ("a", "dist/usr", "where results are installed"),
        ("a", ".", "it holds"),
        ("a", checkout.store().to_str().unwrap(), "the store"),
        ("b", "../up", "has no source `b`"),
    ] {
        let ran = checkout.run(&["override", source, path]);
        assert_eq!(ran.code, Some(2), "{path}: {}", ran.stderr);
        ran.says(&[found, "help: "]);
    }
    let ran = checkout.run(&["restore", "a"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    ran.says(&["`a` is not overridden", "help: cargo xtask override"]);
}

#[test]
fn an_override_that_went_away_is_named() {
    let (checkout, upstream) = cloned();
    assert_eq!(checkout.run(&["override", "a", upstream.dir.to_str().unwrap()]).code, Some(0));
    fs::rename(&upstream.dir, checkout.path("../elsewhere")).unwrap();
    let ran = checkout.build(How::all()[0].args());
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    ran.says(&["`a` is overridden with", "which is not there", "help: cargo xtask restore a"]);
    assert!(checkout.run(&["status"]).stdout.contains("which is not there"));

    checkout.write(".xtask/overrides.toml", "a = [");
    let ran = checkout.build(How::all()[0].args());
    assert_ne!(ran.code, Some(0));
    ran.says(&["cannot read the overrides", "help: cargo xtask restore --all"]);
    assert_eq!(checkout.run(&["restore", "--all"]).code, Some(0));
    checkout.built(How::all()[0].args());
}

#[test]
fn commands_that_are_for_others_too_refuse_by_name() {
    let (checkout, upstream) = cloned();
    assert_eq!(checkout.run(&["override", "a", upstream.dir.to_str().unwrap()]).code, Some(0));
    let refused = checkout.run(&["freeze"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    refused.says(&[
        "cannot freeze: ",
        upstream.dir.file_name().unwrap().to_str().unwrap(),
        "help: cargo xtask restore a",
    ]);
    assert_eq!(checkout.run(&["restore", "a"]).code, Some(0));
    assert_eq!(checkout.run(&["freeze"]).code, Some(0));
}
