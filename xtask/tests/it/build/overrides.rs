//! A tree that somebody put in a source's place: taken without a word if it is the pin's, as an override if it is not.

use std::fs;

use super::checkout::Checkout;
use crate::origin::git::Upstream;

#[test]
fn an_unpacked_tree_is_used_if_it_is_the_pins_and_is_an_override_if_not() {
    let checkout = Checkout::new();
    let upstream = Upstream::new(checkout.path("up"));
    upstream.commit("t", "one\n");
    checkout.write(
        "manifests/m.toml",
        &format!(
            "summary = 'm'\ncomponents = ['a']\n[sources]\na.git = {{ urls = [{:?}], branch = 'main' }}\n",
            upstream.url()
        ),
    );
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
