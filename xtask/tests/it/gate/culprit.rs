//! A hunt through two real trees: the commit that was planted among 64 is named, and nothing is built twice.

use std::collections::BTreeMap;
use std::fs;

use super::forge::{Forge, Tree};
use crate::real::upstream::{LIBAIO, LIBCAP_NG};
use crate::tier::{self, Tier};

/// Uses both libraries. Advisory: what fails it is pushed and hunted later.
const PROBE: &str = r#"
summary  = "a program that uses both"
needs    = ["build-libaio", "build-libcap-ng"]
blocking = false

[run.test]
sources = ["libaio", "libcap-ng"]
argv = ["sh", "-ec", '''
"$XTASK" build
cat > probe.c <<END
#include <cap-ng.h>
#include <libaio.h>
#include <string.h>
int main(void) { io_context_t c = 0; return io_queue_init(0, &c) != -22 || strcmp(capng_capability_to_name(CAP_CHOWN), "chown"); }
END
cc probe.c -o probe -Idist/usr/include -Ldist/usr/lib -laio -lcap-ng
LD_LIBRARY_PATH=dist/usr/lib ./probe
''']
"#;

/// In each tree so many.
const COMMITS: u64 = 32;
const PLANTED: u64 = 21;

#[test]
fn the_planted_commit_among_64_of_two_trees_is_named_and_each_digest_built_once() {
    if !tier::need(Tier::Full) {
        return;
    }
    let packages = [("libaio", LIBAIO), ("libcap-ng", LIBCAP_NG)];
    let Some(forge) = Forge::new(&packages, &[("probe", PROBE)]) else { return };
    let [aio, capng] = &forge.trees[..] else { panic!("two trees") };
    // People commit to both in turn.
    let change = |tree: &Tree, number: u64, path: &str, text: &str| {
        tree.commit_at(1_700_000_000 + number, path, &format!("{text}/* change {number} */\n"))
    };
    let (queue, names) = (aio.read("src/io_queue_init.c"), capng.read("src/captab.h"));
    let mut culprit = String::new();
    for number in 1..=COMMITS {
        change(aio, 2 * number, "src/io_queue_init.c", &queue);
        let names = if number >= PLANTED { names.replace("\"chown\"", "\"chwon\"") } else { names.clone() };
        let id = change(capng, 2 * number + 1, "src/captab.h", &names);
        if number == PLANTED {
            culprit = id;
        }
    }
    // The baseline is flight 1; each tree moves in a flight of its own.
    forge.ends(0, &["PUSHED"]);
    forge.ends(0, &["PUSHED", "advisory"]);
    let hunted = forge.ok(&["gate", "bisect", "g", "probe", "--from", "1", "--flight", "3"]);
    assert!(hunted.contains(&format!("culprit: libcap-ng {culprit}")), "{hunted}");
    let of_culprit = format!("libcap-ng {}: 0 good, 3 bad, 0 neither", &culprit[..12]);
    assert!(hunted.contains(&of_culprit) && hunted.contains("3 good, 0 bad, 0 neither"), "{hunted}");
    // Of 65 tuples both ends, those of a search by halves, and the culprit's parent.
    let points = hunted.matches(" neither").count();
    assert!(points <= 10, "{points}: {hunted}");
    assert_built_once(&forge);
}

/// Of all flights that built a component at one revision, at most one compiled; the others found it in the store.
fn assert_built_once(forge: &Forge) {
    let mut built: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
    for entry in fs::read_dir(forge.checkout.path(".xtask/gate/log")).unwrap() {
        let entry = entry.unwrap();
        let number: u64 = entry.file_name().to_str().unwrap().parse().unwrap();
        let flight: serde_json::Value =
            serde_json::from_str(&forge.ok(&["gate", "show", &number.to_string(), "--json"])).unwrap();
        for component in ["libaio", "libcap-ng"] {
            let log = entry.path().join(format!("build-{component}/build-{component}.log"));
            if fs::read_to_string(log).unwrap_or_default().contains(&format!("{component}: built in")) {
                let revision = flight["tuple"][component].as_str().unwrap().to_owned();
                built.entry((component.to_owned(), revision)).or_default().push(number);
            }
        }
    }
    assert!(built.len() > 2, "{built:?}");
    let twice: Vec<_> = built.iter().filter(|(_, flights)| flights.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
