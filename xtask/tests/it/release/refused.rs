//! What keeps a checkout from being released is named, all of it, and nothing is written.

use std::process::Command;

use super::small::{NAME, project, tarball};
use crate::build::checkout::Checkout;

/// `tarball` must refuse with these words.
fn check(checkout: &Checkout, wanted: &[&str]) {
    let ran = tarball(checkout, &[]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for wanted in wanted {
        assert!(ran.stderr.contains(wanted), "`{wanted}` is not in {}", ran.stderr);
    }
    assert!(!checkout.path(&format!("{NAME}.tar.gz")).exists());
}

fn git(checkout: &Checkout, words: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]).args(words);
    let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir(checkout.root()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_is_not_committed_is_refused_by_name() {
    let checkout = project();
    checkout.write(".gitignore", "/.xtask/\n");
    git(&checkout, &["init", "-q"]);
    git(&checkout, &["add", "."]);
    git(&checkout, &["commit", "-qm", "all"]);
    checkout.write("fw/src.c", "int other;\n");
    checkout.write("fw/new.c", "");
    check(
        &checkout,
        &["cannot make a tarball: sources hold local work", "fw: in `", "new.c (added)", "src.c (edited)"],
    );
    git(&checkout, &["checkout", "-q", "fw"]);
    std::fs::remove_file(checkout.path("fw/new.c")).unwrap();
    checkout.write("components/other.toml", &checkout.read("components/top.toml"));
    check(&checkout, &["this repository holds what is not committed", "components/other.toml (added)"]);
}

#[test]
fn overrides_and_settings_are_refused_by_name() {
    let checkout = project();
    checkout.write("../elsewhere/a", "");
    let elsewhere = checkout.root().with_file_name("elsewhere").display().to_string();
    let ran = checkout.run(&["override", "fw", &elsewhere]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    check(&checkout, &["cannot make a tarball: built from a directory of yours", "fw (", "cargo xtask restore fw"]);
}

#[test]
fn a_branch_is_refused_until_it_is_frozen() {
    let checkout = project();
    checkout.write("../upstream/fw.c", "int main;\n");
    let upstream = checkout.root().with_file_name("upstream");
    for words in [&["init", "-q", "."][..], &["add", "."], &["commit", "-qm", "one"]] {
        git(&checkout, &[&["-C", upstream.to_str().unwrap()], words].concat());
    }
    let manifest = checkout.read("manifests/m.toml").replace(
        "fw.path.dir = \"fw\"",
        &format!("fw.git = {{ urls = ['file://{}'], branch = 'main' }}", upstream.display()),
    );
    checkout.write("manifests/m.toml", &manifest);
    let ran = checkout.run(&["update"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    check(&checkout, &["`m` follows what moves", "fw: branch main", "cargo xtask freeze --manifest m"]);
    assert_eq!(checkout.run(&["freeze"]).code, Some(0));
    if crate::build::checkout::sealed() {
        let ran = tarball(&checkout, &[]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let ran = checkout.run(&["verify-tarball", "--no-build", &format!("{NAME}.tar.gz")]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
}

#[test]
fn nobody_s_file_is_overwritten() {
    let checkout = project();
    checkout.write("top/sultana/tarball.toml", "mine\n");
    if !crate::build::checkout::sealed() {
        return;
    }
    check(&checkout, &["two parts of the archive have `sultana/tarball.toml`: source `top`, and ours"]);
    let definition = checkout.read("components/top.toml").replace("[tarball]\nat = '.'\n", "");
    checkout.write("components/top.toml", &definition);
    check(&checkout, &["no source is at its top"]);
}
