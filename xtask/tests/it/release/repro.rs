//! What a component takes from its surroundings is found, and what it depends on is named.

use xtask::sandbox::ELSEWHERE;

use crate::build::checkout::{Checkout, sealed};
use crate::tier;

/// A component whose files each depend on one thing, and one that depends on nothing.
const PLANTED: &str = "mkdir -p $STAGE/usr
cp a $STAGE/usr/same
pwd > $STAGE/usr/place
id -u > $STAGE/usr/user
nproc > $STAGE/usr/processors
cat /proc/sys/kernel/random/uuid > $STAGE/usr/dice
echo 'const char when[] = \"made on \" __DATE__; int main(void) { return !when[0]; }' > $BUILD/when.c
env -u SOURCE_DATE_EPOCH cc -g0 -fno-pie -no-pie -o $STAGE/usr/when -x c - < $BUILD/when.c";

fn planted() -> Checkout {
    let checkout = Checkout::new();
    checkout.manifest(&["planted", "same"], "");
    checkout.write("planted/a", "1");
    checkout.write("same/a", "1");
    checkout.script("planted", "", PLANTED);
    checkout.script("same", "needs = ['planted']", "mkdir -p $STAGE/usr; cp -r a $DEPS/usr/same $STAGE/");
    checkout
}

#[test]
fn what_depends_on_its_surroundings_is_named_with_what_it_depends_on() {
    if !sealed() {
        return;
    }
    let checkout = planted();
    let ran = checkout.run(&["repro-check"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let place = format!("`{ELSEWHERE}/build/src`, should be `/b/src`; it depends on the path");
    ran.says(&[
        "not the same in other circumstances",
        "usr/place is changed",
        &place,
        "usr/user is changed",
        "it depends on the user or the machine's name",
        "usr/dice is changed",
        "it differs from one build to the next",
    ]);
    ran.never_says(&["usr/same", "  same: "]);
    assert!(ran.stdout.contains("same: all 2 files are the same"), "{}", ran.stdout);
    if std::thread::available_parallelism().is_ok_and(|all| all.get() > 1) {
        ran.says(&["usr/processors is changed", "it depends on the number of processors or jobs"]);
    } else {
        tier::skip("one processor cannot be fewer");
    }
    if xtask::repro::libfaketime(std::env::consts::ARCH).is_some() {
        ran.says(&["usr/when is changed", "in .rodata: `made on ", "it depends on the time"]);
    } else {
        ran.says(&["libfaketime is not installed"]);
        tier::skip("what depends on the date is found with libfaketime");
    }
    // Nothing of it is taken for a result, and nothing is left.
    checkout.built(&[]);
    assert_eq!(checkout.dist()["usr/place"].1, b"/b/src\n");
    assert!(!checkout.path(".xtask/repro/planted").exists());
}

#[test]
fn a_component_that_depends_on_nothing_is_built_once_more_and_no_more() {
    if !sealed() {
        return;
    }
    let checkout = planted();
    let ran = checkout.run(&["repro-check", "same", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let said: serde_json::Value = serde_json::from_str(&ran.stdout[ran.stdout.find("{\n").unwrap()..]).unwrap();
    assert_eq!(said["components"].as_array().unwrap().len(), 1);
    assert_eq!(said["components"][0]["component"], "same");
    assert_eq!(said["components"][0]["differences"].as_array().unwrap().len(), 0);
    let ran = checkout.run(&["repro-check", "nothing"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}
