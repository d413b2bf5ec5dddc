//! A store that lost something: a miss, said by name, and made again by the same command.

use std::fs;
use std::path::{Path, PathBuf};

use super::checkout::{Checkout, How};
use super::run::Ran;

type Damage = fn(&Path);

/// What can happen to a file.
const DAMAGES: [(&str, Damage); 3] = [
    ("flipped", |path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[0] ^= 1;
        replace(path, &bytes);
    }),
    ("truncated", |path| {
        let bytes = fs::read(path).unwrap();
        replace(path, &bytes[..bytes.len() - 1]);
    }),
    ("deleted", |path| fs::remove_file(path).unwrap()),
];

fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// `lib` installs a file that `app` copies.
fn two() -> Checkout {
    let checkout = Checkout::new();
    checkout.manifest(&["lib", "app"], "");
    checkout.script("lib", "", "mkdir $STAGE/lib; echo content of lib > $STAGE/lib/x");
    checkout.script("app", "needs = ['lib']", "cat a $DEPS/lib/x > $STAGE/y");
    checkout.write("app/a", "1\n");
    checkout
}

/// The blob with that content.
fn blob(checkout: &Checkout, content: &str) -> PathBuf {
    let hash = xtask::digest::Digest::of(content.as_bytes()).hash.to_string();
    let path = checkout.store().join("cas").join(&hash[..2]).join(hash);
    assert!(path.exists());
    path
}

fn names(ran: &Ran, blob: &Path) {
    ran.says(&["note: the store ", &blob.display().to_string(), "lib: built"]);
}

#[test]
fn a_lost_file_is_built_again_for_dist() {
    let how = How::all()[0].args();
    for (what, damage) in DAMAGES {
        let checkout = two();
        checkout.built(how);
        let before = checkout.dist();
        let blob = blob(&checkout, "content of lib\n");
        damage(&blob);
        fs::remove_dir_all(checkout.path("dist")).unwrap();
        eprintln!("{what}");
        let again = checkout.built(how);
        names(&again, &blob);
        assert_eq!(checkout.dist(), before);
        checkout.built(how).never_says(&["the store"]);
    }
}

#[test]
fn a_lost_file_is_built_again_for_whom_it_is_an_input() {
    let how = How::all()[0].args();
    for (what, damage) in DAMAGES {
        let checkout = two();
        checkout.built(how);
        let blob = blob(&checkout, "content of lib\n");
        damage(&blob);
        checkout.write("app/a", "2\n");
        eprintln!("{what}");
        names(&checkout.built(how), &blob);
        assert_eq!(checkout.read("dist/y"), "2\ncontent of lib\n");
    }
}

#[test]
fn a_damaged_result_or_directory_is_a_miss() {
    let how = How::all()[0].args();
    for below in ["ac", "cas"] {
        let checkout = two();
        checkout.built(how);
        let before = checkout.dist();
        for path in super::checkout::files(&checkout.store().join(below)).into_keys() {
            replace(&checkout.store().join(below).join(path), b"damaged");
        }
        fs::remove_dir_all(checkout.path("dist")).unwrap();
        checkout.built(how).says(&["lib: built", "app: built"]);
        assert_eq!(checkout.dist(), before);
    }
}
