//! What a failure says, its exit status, and that it changes nothing that was right before.

use std::fs;

use super::checkout::{Checkout, How};
use crate::origin::write_tar_gz;

fn how() -> &'static [&'static str] {
    How::all()[0].args()
}

#[test]
fn a_failed_step_says_what_where_and_what_next() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.component("a", "[build.make]\nmake = ['V=a b']\n");
    checkout.write("a/Makefile", "all: x.o\ninstall:\n");
    checkout.write("a/x.c", "int x;\nint y = missing;\n");
    let ran = checkout.build(how());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let log = checkout.path(".xtask/log/a/01-make.log");
    ran.says(&[
        "a: failed",
        "error: step `make` of `a` failed: exit status: 2",
        "  ran: make 'V=a b'",
        "x.c:2:9: error:",
        &format!("  log: {}", log.display()),
        "help: cargo xtask log a   # the whole log; the tree as it failed is in ",
    ]);
    ran.never_says(&["> make: ***"]);
    assert!(fs::read_to_string(log).unwrap().contains("x.c:2:9: error:"));
    assert!(!checkout.path("dist").exists());
}

#[test]
fn keep_going_builds_what_it_can() {
    let checkout = Checkout::new();
    checkout.manifest(&["a", "b", "c", "d"], "");
    checkout.script("a", "", "echo the reason: error: no >&2; exit 7");
    checkout.script("b", "needs = ['a']", "touch $STAGE/b");
    checkout.script("c", "", "touch $STAGE/c");
    checkout.script("d", "needs = ['c']", "touch $STAGE/d");
    let ran = checkout.build(&[how(), &["--keep-going"]].concat());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    ran.says(&["c: built", "d: built", "exit status: 7", "not built, because they need what failed: b"]);
    ran.never_says(&["b: building"]);
    assert!(!checkout.path("dist").exists(), "half of what was asked for is not installed");
    checkout.script("a", "", "touch $STAGE/a");
    let again = checkout.built(how());
    again.says(&["a: built", "b: built"]);
    again.never_says(&["c: ", "d: "]);
    assert_eq!(checkout.dist().into_keys().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
}

#[test]
fn two_owners_of_a_path_are_named_and_dist_stays() {
    let checkout = Checkout::new();
    checkout.manifest(&["a", "b"], "");
    checkout.script("a", "", "echo a > $STAGE/x");
    checkout.script("b", "", "echo b > $STAGE/y");
    checkout.built(how());
    let before = checkout.dist();
    checkout.script("b", "", "echo b > $STAGE/x; echo new > $STAGE/y");
    let ran = checkout.build(how());
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    ran.says(&["`/x` is installed by `a` and by `b`", "help: ", "[shared] \"/x\""]);
    assert_eq!(checkout.dist(), before);
    let manifest = checkout.read("manifests/m.toml");
    checkout.write("manifests/m.toml", &format!("{manifest}[shared]\n'/x' = 'b'\n"));
    checkout.built(how());
    assert_eq!((checkout.read("dist/x").as_str(), checkout.read("dist/y").as_str()), ("b\n", "new\n"));
}

#[test]
fn a_wrong_definition_or_argument_is_status_2_and_builds_nothing() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "needs = ['nobody']", "true");
    for args in [&["build"][..], &["build", "nobody"], &["build", "--jobs", "many"], &["build", "-m", "nobody"]] {
        let ran = checkout.run(args);
        assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.stderr);
        ran.says(&["error: "]);
    }
    assert!(!checkout.path("dist").exists() && !checkout.path(".xtask/build").exists());
}

#[test]
fn an_archive_with_other_content_is_refused_and_not_kept() {
    let checkout = Checkout::new();
    let file = checkout.path("a-1.tar.gz");
    write_tar_gz(&file, &[("a-1/x", "good\n")]);
    checkout.script("a", "", "cp x $STAGE/x");
    checkout.write(
        "manifests/m.toml",
        &format!("summary = 'm'\ncomponents = ['a']\n[sources]\na.archive.urls = ['file://{}']\n", file.display()),
    );
    assert_eq!(checkout.run(&["update"]).code, Some(0));
    let digest = || xtask::digest::Digest::of(&fs::read(&file).unwrap()).hash.to_string();
    let good = digest();
    fs::remove_dir_all(checkout.store()).unwrap();
    fs::remove_dir_all(checkout.path(".xtask")).unwrap();
    write_tar_gz(&file, &[("a-1/x", "evil\n")]);
    let ran = checkout.build(how());
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    ran.says(&["a-1.tar.gz", &good, &digest()]);
    assert!(super::checkout::files(&checkout.store().join("files")).is_empty());
    assert!(!checkout.path(".xtask/src/a").exists() && !checkout.path("dist").exists());
    write_tar_gz(&file, &[("a-1/x", "good\n")]);
    assert_eq!(digest(), good);
    checkout.built(how());
    assert_eq!(checkout.read("dist/x"), "good\n");
}
