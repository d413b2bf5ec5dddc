//! What keeps a checkout from being released is named, all of it, and nothing is written.

use std::process::Command;

use super::small::{NAME, project, tarball};
use crate::build::checkout::Checkout;
use crate::build::run::ran;

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
fn what_the_environment_sets_is_refused_by_name() {
    let checkout = project();
    let manifest = checkout.read("manifests/m.toml").replace("fw.path", "seabios.path");
    checkout.write("manifests/m.toml", &manifest);
    checkout.write(
        "components/fw.toml",
        &checkout.read("components/fw.toml").replace("source = 'fw'", "source = 'seabios'"),
    );
    checkout.write("../mine/src.c", "int mine;\n");
    let mut command = checkout.command(&["tarball", "--format", "gz"]);
    let ran = ran(command.env("SEABIOS_UPSTREAM_LOC", checkout.root().with_file_name("mine")));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    ran.says(&[
        "cannot make a tarball: settings stand over what the lock names",
        "seabios: a directory of yours (SEABIOS_UPSTREAM_LOC, environment)",
        "cargo xtask configure --show",
    ]);
}

#[test]
fn a_tag_without_the_signature_that_is_asked_for_is_refused() {
    let checkout = project();
    checkout.write("../upstream/fw.c", "int main;\n");
    let upstream = checkout.root().with_file_name("upstream");
    for words in [&["init", "-q", "."][..], &["add", "."], &["commit", "-qm", "one"], &["tag", "v1"]] {
        git(&checkout, &[&["-C", upstream.to_str().unwrap()], words].concat());
    }
    let source = |more: &str| format!("fw.git = {{ urls = ['file://{}'], tag = 'v1'{more} }}", upstream.display());
    let manifest = checkout.read("manifests/m.toml");
    checkout.write("manifests/m.toml", &manifest.replace("fw.path.dir = \"fw\"", &source("")));
    let ran = checkout.run(&["update"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    checkout.write(
        "manifests/signers",
        "a@b ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
    );
    checkout.write(
        "manifests/m.toml",
        &manifest.replace("fw.path.dir = \"fw\"", &source(", require-signed = 'tag', allowed-signers = 'signers'")),
    );
    check(
        &checkout,
        &["pin of source `fw` has no signed tag", "the manifest asks for one", "cargo xtask update --manifest m fw"],
    );
}

#[test]
fn without_a_sandbox_nothing_is_packed_and_nothing_built() {
    if !crate::build::checkout::sealed() {
        return;
    }
    let checkout = project();
    let hidden = which::which("bwrap").unwrap().canonicalize().unwrap();
    let without = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", "/dev/null", hidden.to_str().unwrap()];
    let refused = |args: &[&str], wanted: &str| {
        let ran = ran(&mut checkout.through(&without, args));
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        ran.says(&[wanted, "cargo xtask doctor"]);
    };
    refused(&["tarball", "--format", "gz"], "cannot make what a release has of `fw`: there is no sandbox");
    assert!(!checkout.path(&format!("{NAME}.tar.gz")).exists());
    refused(&["repro-check"], "cannot change the circumstances of a build: there is no sandbox");
    // `top` has nothing that is made, so its archive can be packed and compared, but not built.
    checkout.manifest(&["top"], "");
    let ran = ran(&mut checkout.through(&without, &["tarball", "--format", "gz"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    refused(&["verify-tarball", &format!("{NAME}.tar.gz")], "cannot build from the archive: there is no sandbox");
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

#[test]
fn two_sources_at_the_top_are_refused() {
    let checkout = project();
    let definition = checkout.read("components/fw.toml").replace("at = 'tools/firmware/fw-dir'", "at = '.'");
    checkout.write("components/fw.toml", &definition);
    check(&checkout, &["`fw` and `top` would both be at its top", "help: give one of them another place"]);
}
