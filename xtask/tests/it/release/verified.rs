//! An archive proves itself: built by hand and with cargo xtask where there is nothing but itself, it gives what the checkout builds.

use super::small::{NAME, packed, project};
use crate::build::checkout::{Checkout, sealed};
use crate::build::run::Ran;

fn verify(checkout: &Checkout, args: &[&str]) -> Ran {
    checkout.run(&[&["verify-tarball", &format!("{NAME}.tar.gz")], args].concat())
}

#[test]
fn by_hand_an_archive_builds_what_its_checkout_builds() {
    if !sealed() {
        return;
    }
    let checkout = project();
    packed(&checkout, &[]);
    let ran = verify(&checkout, &["--only", "building"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    ran.says(&["nothing to compare with: not built from this tree: fw, top", "cargo xtask build fw top"]);
    checkout.built(&[]);
    let ran = verify(&checkout, &["--only", "building"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.says(&["by-hand: top (2/2)", "by-hand: built in"]);
    assert!(ran.stdout.contains("by-hand: all 1 files are those of this checkout's build"), "{}", ran.stdout);
    assert!(!checkout.path(".xtask/verify/by-hand").exists());
    assert!(checkout.path(".xtask/log/by-hand/01-fw.log").is_file());
}

#[test]
fn what_comes_out_differently_is_named_with_the_byte_and_what_failed_with_its_log() {
    if !sealed() {
        return;
    }
    let checkout = project();
    let install = "install:\n\tmkdir -p $(DESTDIR)/usr\n\techo built in $$(pwd) > $(DESTDIR)/usr/place\n\tcommand -v git wget || id -u > $(DESTDIR)/usr/user\n";
    checkout.write("top/Makefile", &format!("all:\n{install}"));
    checkout.built(&[]);
    packed(&checkout, &[]);
    let ran = verify(&checkout, &["--only", "building", "--json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    ran.says(&[
        "built by-hand, is not what this checkout builds",
        "usr/place is changed",
        &format!("from byte 10 on: `built in /home/somebody/{NAME}`, should be `built in /b/src` (top)"),
        "usr/user is extra",
        ".xtask/verify/by-hand",
    ]);
    // Events are a line each, in front of it.
    let all = serde_json::Deserializer::from_str(&ran.stdout).into_iter::<serde_json::Value>();
    let said = all.map(Result::unwrap).find(|value| value.get("by-hand").is_some()).unwrap();
    assert_eq!(said["by-hand"]["differences"][0]["parting"]["offset"], 10);

    checkout.write("top/Makefile", "all:\ninstall:\n\ttest $$(id -u) = 0\n\tmkdir $(DESTDIR)/usr\n");
    checkout.built(&[]);
    packed(&checkout, &[]);
    let ran = verify(&checkout, &["--only", "building"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    ran.says(&["does not build by-hand: the commands of `top`", "by-hand/02-top.log", "the tree as it failed is in"]);
}

#[test]
fn what_was_tampered_with_is_not_built() {
    if !sealed() {
        return;
    }
    let checkout = project();
    checkout.built(&[]);
    packed(&checkout, &[]);
    checkout.write("top/Makefile", "all:\ninstall:\n\tmkdir -p $(DESTDIR)/usr\n");
    checkout.built(&[]);
    let ran = verify(&checkout, &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    ran.says(&["is not what the lock says", "Makefile is changed"]);
    ran.never_says(&["by-hand: building"]);
}
