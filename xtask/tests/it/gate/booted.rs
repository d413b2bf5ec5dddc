//! Xen and SeaBIOS from Debian's sources as trees with refs, booted in an emulated machine: good candidates of both, and a Xen with a
//! planted fault after which no dom0 comes up. What a change is no input of is restored from the store.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::forge::{Forge, Tree};
use crate::build::checkout::Checkout;
use crate::default_manifest::dist;
use crate::origin::git::git_at;
use crate::origin::world::{World, origin};
use crate::repository;
use crate::tier::{self, Tier};

const BUILD_XEN: &str = "summary = 'b'\ntier = 'smoke'\ntimeout = '2h'\nrun.build.components = ['xen', 'xen-tools']\n";
const BUILD_SEABIOS: &str = "summary = 'b'\ntier = 'smoke'\nrun.build.components = ['seabios']\n";
const BOOT: &str = "summary = 'dom0'\nneeds = ['build-xen']\ntimeout = '20m'\nresources = ['emulator']\n\
                    run.boot.scenarios = ['dom0']\n";
const TREES: [&str; 2] = ["seabios", "xen"];

/// A source of the default manifest as a repository. Its commits have the time of the locked tree, so that what is built of the same
/// files is the same.
fn from_apt(name: &str, pin: &toml::Value, dir: &Path) -> Tree {
    let (version, epoch) = (pin["version"].as_str().unwrap(), pin["epoch"].as_integer().unwrap() as u64);
    let unpacked = World::new();
    unpacked.update(&origin(&format!("apt = {{ package = '{name}', version = '{version}' }}")));
    let git = |arguments: &[&str]| git_at(epoch, &unpacked.tree(), arguments);
    git(&["init", "-q", "-b", "master", "."]);
    git(&["add", "-A", "-f"]);
    git(&["commit", "-q", "-m", "release"]);
    git(&["clone", "-q", "--bare", ".", dir.join(format!("{name}.git")).to_str().unwrap()]);
    Tree::new(name, dir, &git(&["rev-parse", "HEAD"]))
}

/// This repository's default manifest with both from git.
fn forge() -> Forge {
    // Installs what building needs, and puts all of it into the store.
    dist(&[]);
    let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
    let mut lock: toml::Table = toml::from_str(&read("manifests/debian-12.lock")).unwrap();
    let mut manifest: toml::Table = toml::from_str(&read("manifests/debian-12.toml")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let pins = lock["sources"].as_table_mut().unwrap();
    let sources = manifest["sources"].as_table_mut().unwrap();
    let trees = TREES.map(|name| {
        let tree = from_apt(name, &pins.remove(name).unwrap(), dir.path());
        let git = format!("git = {{ urls = ['{}'], branch = 'master' }}", tree.url());
        sources.insert(name.to_owned(), toml::from_str(&git).unwrap());
        tree
    });
    let blktap = format!("path = {{ dir = '{}' }}", repository().join("blktap").display());
    sources.insert("blktap".to_owned(), toml::from_str(&blktap).unwrap());

    let checkout = Checkout::in_users_store();
    for path in ["components", "manifests/common"] {
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(repository().join(path)).arg(checkout.path(path).parent().unwrap());
        assert!(copy.status().unwrap().success());
    }
    checkout.write("manifests/m.toml", &toml::to_string(&manifest).unwrap());
    checkout.write("manifests/m.lock", &toml::to_string(&lock).unwrap());
    let forge = Forge::of(checkout, trees.into(), dir);
    forge.ok(&["update", "xen", "seabios"]);
    forge.gate(&TREES, &[("build-seabios", BUILD_SEABIOS), ("build-xen", BUILD_XEN), ("boot-dom0", BOOT)]);
    forge.commit_project();
    forge
}

#[test]
fn what_boots_is_pushed_and_a_xen_whose_dom0_does_not_come_up_is_not() {
    if !tier::need(Tier::Full) {
        return;
    }
    let forge = forge();
    let [seabios, xen] = &forge.trees[..] else { panic!("two trees") };
    let log =
        |path: &str| fs::read_to_string(forge.checkout.path(&format!(".xtask/gate/log/{path}"))).unwrap_or_default();
    let firmware = seabios.commit_at(1_700_000_000, "README", &(seabios.read("README") + "\nRead me twice.\n"));
    let ran = forge.checkout.run(&["gate", "run", "g"]);
    if let Some(why) = log("1/boot-dom0/boot-dom0.log").lines().find(|line| line.contains("not run")) {
        return tier::skip(why);
    }
    assert!(ran.code == Some(0) && ran.stdout.contains("all pass - PUSHED"), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(seabios.tested(), firmware);

    let setup = "xen/arch/x86/setup.c";
    let good = xen.replace(setup, "dom0 = create_dom0(", "/* as ever */\n    dom0 = create_dom0(");
    forge.ends(0, &["all pass - PUSHED"]);
    assert_eq!(xen.tested(), good);
    // What is as in the default manifest was there: the store knows no path and no origin. The hypervisor names its own commit.
    for (flight, component) in [(1, "xen-tools"), (2, "xen"), (3, "xen-tools")] {
        let text = log(&format!("{flight}/build-xen/build-{component}.log"));
        assert!(text.contains("done in") && !text.contains(&format!("{component}: built in")), "{flight}: {text}");
    }

    let panics = "    if ( dom0 )\n        panic(\"the planted fault; could";
    xen.replace(setup, "    if ( !dom0 )\n        panic(\"Could", panics);
    forge.ends(1, &["regressions - FAIL", "X-Gate-Failures: g:boot-dom0:boot/dom0:fail:REGR. vs. 3"]);
    assert_eq!((xen.tested(), seabios.tested()), (good, firmware));
    // The console is kept with the flight.
    let [before, after] = [3, 4].map(|flight| log(&format!("{flight}/boot-dom0/boot-dom0/console.log")));
    assert!(before.contains("Xen version") && !before.contains("the planted fault"), "{before}");
    assert!(after.contains("the planted fault"), "{after}");
}
