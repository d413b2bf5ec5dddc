//! The same build by another user, in another place, at another time, with another umask, is the same to the last bit.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, UNIX_EPOCH};

use super::checkout::{Checkout, How, root, sealed};
use super::run::ran;
use crate::tier;

/// Everything of its surroundings that a build can see, but for the numbers of the jobserver's descriptors, and what compilers and
/// archivers make of it.
const SCRIPT: &str = "
    { pwd; id; umask; hostname; date +%Z; ls -lnR --time-style=+%s $SRC; env | grep -v jobserver | sort; } > $STAGE/seen
    cc -g -o $STAGE/program p.c
    tar --sort=name -cf $STAGE/source.tar -C $SRC .
";

fn project() -> Checkout {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.unmarked_script("a", "", SCRIPT);
    checkout.write("a/p.c", "int main(void) { return sizeof __FILE__ __DATE__ __TIME__; }\n");
    checkout.write("a/sub/run.sh", "#!/bin/sh\n");
    fs::set_permissions(checkout.path("a/sub/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    checkout
}

/// Action and output of `a`.
fn digests(checkout: &Checkout) -> (String, String) {
    let state: serde_json::Value = serde_json::from_str(&checkout.read(".xtask/state/builds.json")).unwrap();
    let field = |name: &str| state["built"]["a"][name].to_string();
    (field("action"), field("output"))
}

#[test]
fn place_user_time_and_umask_decide_nothing() {
    if !sealed() {
        return;
    }
    let here = project();
    here.built(&[]);

    let mut elsewhere = project();
    for (path, mode) in [("a/p.c", 0o600), ("a/sub/run.sh", 0o700), ("a/sub", 0o700), ("a", 0o2770)] {
        let path = elsewhere.path(path);
        fs::File::open(&path).unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_007)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    if root() {
        elsewhere.run_as(65534);
    }
    let mut command = elsewhere.command(&["build", "--jobs", "7"]);
    if which::which("faketime").is_ok() {
        command = elsewhere.through(&["faketime", "2031-02-03 04:05:06"], &["build", "--jobs", "7"]);
    } else {
        tier::skip("there is no faketime to build at another time with");
    }
    command.env("LANG", "de_DE.UTF-8").env("CFLAGS", "-DX").env("TZ", "Asia/Tokyo").env("MAKEFLAGS", "-k");
    let there = ran(&mut command);
    assert_eq!(there.code, Some(0), "{}", there.stderr);
    assert_eq!(here.read("dist/seen"), elsewhere.read("dist/seen"));
    assert_eq!(digests(&here), digests(&elsewhere));
    assert!(here.dist() == elsewhere.dist(), "the same names, modes and bits");
}

#[test]
fn what_was_built_without_the_sandbox_is_never_taken_for_the_same() {
    if !sealed() {
        return;
    }
    let checkout = project();
    checkout.built(&[]);
    let sealed = digests(&checkout).0;
    let plain = checkout.built(How::Plain.args());
    plain.says(&["no sandbox, as asked for: results stay on this machine and", "a: built"]);
    assert_ne!(digests(&checkout).0, sealed);
}
