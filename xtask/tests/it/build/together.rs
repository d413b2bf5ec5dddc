//! Two runs at once: in one checkout they take turns, over one store they do not disturb each other.

use rustix::process::Signal;
use xtask::process::Cancel;
use xtask::turn::{Hold, take};

use super::checkout::{Checkout, How};

fn gated(checkout: &Checkout) {
    checkout.manifest(&["a"], "");
    checkout.script("a", "", "$GATE; echo done > $STAGE/x");
}

#[test]
fn in_one_checkout_the_second_waits_and_says_so() {
    let how = How::all()[0].args();
    let checkout = Checkout::new();
    gated(&checkout);
    let first = checkout.start(how);
    checkout.at_gate("a");
    let (second, third) = (checkout.start(how), checkout.start(how));
    let waiting = "another cargo xtask works in this checkout; waiting for its end";
    second.said(waiting);
    third.said(waiting);
    third.signal(Signal::INT, false);
    assert_eq!(third.ended().code, Some(130), "one that waits can be stopped");
    checkout.open_gate("a");
    let (first, second) = (first.ended(), second.ended());
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{} {}", first.stderr, second.stderr);
    second.says(&["the 1 component is up to date"]);
    assert_eq!(checkout.read("dist/x"), "done\n");
}

#[test]
fn cleaning_waits_for_a_build() {
    let checkout = Checkout::new();
    gated(&checkout);
    let building = checkout.start(How::all()[0].args());
    checkout.at_gate("a");
    std::thread::scope(|scope| {
        let cleaning = scope.spawn(|| checkout.run(&["distclean"]));
        checkout.open_gate("a");
        let (built, cleaned) = (building.ended(), cleaning.join().unwrap());
        assert_eq!((built.code, cleaned.code), (Some(0), Some(0)), "{} {}", built.stderr, cleaned.stderr);
    });
}

#[test]
fn two_checkouts_share_a_store() {
    let how = How::all()[0].args();
    let one = Checkout::new();
    let two = one.sharing_store();
    for checkout in [&one, &two] {
        checkout.manifest(&["a"], "");
        checkout
            .write("components/a.toml", "summary = 's'\nlicence = 'MIT'\nhomepage = 'h'\nsource = 'a'\n[build.make]\n");
        // The same file, with content that differs from build to build: the store takes either, and each is whole.
        checkout.write(
            "a/Makefile",
            "all:\n\ttouch ../build/started; until [ -e ../build/open ]; do sleep 0.02; done\n\
             install:\n\thead -c 3000000 /dev/urandom > $(DESTDIR)/x; sha256sum < $(DESTDIR)/x > $(DESTDIR)/sum\n",
        );
    }
    let runs = [one.start(how), two.start(how)];
    one.at_gate("a");
    two.at_gate("a");
    one.open_gate("a");
    two.open_gate("a");
    for run in runs {
        let ran = run.ended();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.says(&["a: built"]);
    }
    for checkout in [&one, &two] {
        checkout.built(how).says(&["the 1 component is up to date"]);
        let sum = xtask::digest::Digest::of(&std::fs::read(checkout.path("dist/x")).unwrap()).hash.to_string();
        assert!(checkout.read("dist/sum").starts_with(&sum));
    }
}

#[test]
fn a_second_update_waits_for_the_first() {
    let checkout = Checkout::new();
    gated(&checkout);
    let lock = checkout.path(".xtask/state/update.lock");
    let turn = take(&lock, Hold::Alone, &Cancel::default(), &|_| {}, "").unwrap();
    let update = checkout.start_command(&["update"]);
    update.said("another cargo xtask update works in this checkout; waiting for its end");
    drop(turn);
    let ended = update.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
