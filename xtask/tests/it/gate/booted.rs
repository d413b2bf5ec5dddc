//! Xen from Debian's source as a tree with refs, booted in an emulated machine: a good candidate, and one with a planted fault after
//! which no dom0 comes up. The tools are restored from the store, the hypervisor is built.

use std::fs;
use std::process::Command;

use super::forge::{Forge, Tree};
use crate::build::checkout::{Checkout, repository};
use crate::default_manifest::dist;
use crate::origin::git::git_at;
use crate::origin::world::{World, origin};
use crate::tier::{self, Tier};

const BUILD: &str = "summary = 'b'\ntier = 'smoke'\ntimeout = '2h'\nrun.build.components = ['xen', 'xen-tools']\n";
const BOOT: &str = "summary = 'dom0'\nneeds = ['build-xen']\ntimeout = '20m'\nresources = ['emulator']\n\
                    run.boot.scenarios = ['dom0']\n";

/// This repository's default manifest with xen from git. Its commits have the time of the locked tree, so that what is built of the
/// same files is the same.
fn forge() -> Option<Forge> {
    // Installs what building needs, and puts all of it into the store.
    dist(&[]);
    let lock = fs::read_to_string(repository().join("manifests/debian-12.lock")).unwrap();
    let lock: toml::Table = toml::from_str(&lock).unwrap();
    let pin = &lock["sources"]["xen"];
    let (version, epoch) = (pin["version"].as_str()?.to_owned(), pin["epoch"].as_integer()? as u64);
    let apt = format!("apt = {{ package = 'xen', version = '{version}' }}");
    let unpacked = World::new();
    unpacked.update(&origin(&apt));
    let dir = tempfile::tempdir().unwrap();
    let bare = dir.path().join("xen.git");
    let git = |arguments: &[&str]| git_at(epoch, &unpacked.tree(), arguments);
    git(&["init", "-q", "-b", "master", "."]);
    git(&["add", "-A", "-f"]);
    git(&["commit", "-q", "-m", "release"]);
    git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let tree = Tree::new("xen", dir.path(), &git(&["rev-parse", "HEAD"]));

    let checkout = Checkout::in_users_store();
    for path in ["components", "manifests/common"] {
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(repository().join(path)).arg(checkout.path(path).parent().unwrap());
        assert!(copy.status().unwrap().success());
    }
    let manifest = fs::read_to_string(repository().join("manifests/debian-12.toml")).unwrap();
    let from_git = format!("git = {{ urls = ['{}'], branch = 'master' }}", tree.url());
    let changed = manifest
        .replace(&apt.replace('\'', "\""), &from_git)
        .replace("dir = \"blktap\"", &format!("dir = \"{}\"", repository().join("blktap").display()));
    assert!(changed.contains(&from_git), "{manifest}");
    checkout.write("manifests/m.toml", &changed);
    let mut pins = lock;
    pins["sources"].as_table_mut()?.remove("xen");
    checkout.write("manifests/m.lock", &toml::to_string(&pins).unwrap());
    let forge = Forge::of(checkout, vec![tree], dir);
    forge.ok(&["update", "xen"]);
    forge.gate(&["xen"], &[("build-xen", BUILD), ("boot-dom0", BOOT)]);
    forge.commit_project();
    Some(forge)
}

#[test]
fn a_xen_that_boots_is_pushed_and_one_whose_dom0_does_not_come_up_is_not() {
    if !tier::need(Tier::Full) {
        return;
    }
    let forge = forge().unwrap();
    let xen = &forge.trees[0];
    let setup = "xen/arch/x86/setup.c";
    let good = xen.replace(setup, "dom0 = create_dom0(", "/* as ever */\n    dom0 = create_dom0(");
    let ran = forge.checkout.run(&["gate", "run", "g"]);
    let not_run = |flight: u32| {
        let log = fs::read_to_string(forge.checkout.path(&format!(".xtask/gate/log/{flight}/boot-dom0/boot-dom0.log")));
        log.unwrap_or_default().lines().find(|line| line.contains("not run")).map(str::to_owned)
    };
    if let Some(why) = not_run(1) {
        return tier::skip(&why);
    }
    assert!(ran.code == Some(0) && ran.stdout.contains("all pass - PUSHED"), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(xen.tested(), good);
    let log = |flight: u32| forge.checkout.path(&format!(".xtask/gate/log/{flight}"));
    // What is as in the default manifest was there, in the baseline all of it: the store knows no path and no origin.
    for (flight, component) in [(1, "xen"), (1, "xen-tools"), (2, "xen-tools")] {
        let text = fs::read_to_string(log(flight).join(format!("build-xen/build-{component}.log"))).unwrap();
        assert!(!text.contains(&format!("{component}: built in")), "{flight}: {text}");
    }

    xen.replace(
        setup,
        "    if ( !dom0 )\n        panic(\"Could",
        "    if ( dom0 )\n        panic(\"the planted fault; could",
    );
    forge.ends(1, &["regressions - FAIL", "X-Gate-Failures: g:boot-dom0:boot/dom0:fail:REGR. vs. 2"]);
    assert_eq!(xen.tested(), good);
    // The console is kept with the flight.
    let console = fs::read_to_string(log(3).join("boot-dom0/boot-dom0/console.log")).unwrap();
    assert!(console.contains("the planted fault"), "{console}");
    assert!(fs::read_to_string(log(2).join("boot-dom0/boot-dom0/console.log")).unwrap().contains("Xen version"));
}
