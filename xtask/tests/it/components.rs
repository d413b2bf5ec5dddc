//! The repository's own manifests and components: what a manifest names plans in it, anything else is refused with the reason. Nothing is
//! fetched and nothing built.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use crate::repository;
use xtask::definition::{Blktap, Definitions, Name, manifest_names};
use xtask::layout::Layout;

/// `build --dry-run` in the repository, with a store of its own.
fn dry_run(store: &Path, manifest: &Name, components: &[&Name]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["build", "--dry-run", "--offline", "--manifest", manifest.as_str()]);
    command.args(components.iter().map(|name| name.as_str())).current_dir(repository()).env("XTASK_STORE", store);
    command.output().unwrap()
}

#[test]
fn what_a_manifest_names_plans_in_it_and_what_it_does_not_name_is_refused_with_the_reason() {
    let store = tempfile::tempdir().unwrap();
    let layout = Layout { root: repository().to_owned(), store: store.path().to_owned() };
    let (mut somewhere, mut all) = (BTreeSet::new(), BTreeSet::new());
    for manifest in manifest_names(&layout) {
        let definitions = Definitions::load(&layout, &manifest).unwrap();
        let (named, unnamed): (Vec<&Name>, Vec<&Name>) =
            definitions.all_components.keys().partition(|name| definitions.is_named(name));
        somewhere.extend(named.iter().map(|name| (*name).clone()));
        all.extend(definitions.all_components.keys().cloned());
        let ran = dry_run(store.path(), &manifest, &named);
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{manifest}: {err}");
        for name in named {
            assert!(out.contains(name.as_str()), "{manifest} does not plan {name}: {out}");
        }
        for name in unnamed {
            let refused = definitions.refuse_unnamed(&layout, std::slice::from_ref(name)).unwrap_err().report();
            assert!(refused.contains(&format!("manifest `{manifest}` does not name component `{name}`")), "{refused}");
            assert!(refused.contains("  because: "), "{refused}");
            assert!(
                refused.contains(&format!("cargo xtask build {name} --manifest ")),
                "no manifest for {name}: {refused}"
            );
        }
    }
    assert_eq!(somewhere, all, "no manifest names some component");
}

#[test]
fn the_command_refuses_what_its_manifest_does_not_name() {
    let store = tempfile::tempdir().unwrap();
    let check = |manifest: &str, component: &str, wanted: &[&str]| {
        let ran = dry_run(store.path(), &manifest.parse().unwrap(), &[&component.parse().unwrap()]);
        let err = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{err}");
        for wanted in wanted {
            assert!(err.contains(wanted), "no {wanted} in {err}");
        }
    };
    check("debian-12", "qemu-traditional", &["it has no source `qemu-traditional`", "--manifest rfc-2015"]);
    check("rfc-2015", "seabios", &["the machine's own, `/usr/share/seabios/bios-256k.bin`", "--manifest debian-12"]);
    check("debian-12", "libvrit", &["there is no component `libvrit`", "did you mean `libvirt`?"]);
}

#[test]
fn a_manifest_chooses_its_blktap_by_one_word() {
    let store = tempfile::tempdir().unwrap();
    let layout = Layout { root: repository().to_owned(), store: store.path().to_owned() };
    let definitions = Definitions::load(&layout, &"xen-4.22-blktap-c".parse().unwrap()).unwrap();
    assert_eq!(definitions.manifest.blktap, Some(Blktap::C));
    let names: Vec<&str> = definitions.manifest.components.iter().map(Name::as_str).collect();
    assert_eq!(names, ["xen", "xen-tools", "seabios", "blktap-c"]);
}

#[test]
fn an_old_word_prints_its_command_and_ends_as_that_does() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).current_dir(repository()).env_remove("GIT").output().unwrap()
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let printed = run(&["make", "--print", "blktap-dir-force-update", "subdir-all-blktap-dir"]);
    assert_eq!(text(&printed.stdout), "cargo xtask force-update blktap\ncargo xtask build blktap\n");
    let ran = run(&["--offline", "make", "mini-os-dir-find", "clean"]);
    assert_eq!(ran.status.code(), Some(2));
    let err = text(&ran.stderr);
    assert!(err.starts_with("cargo xtask --offline fetch mini-os\nerror: "), "{err}");
    assert!(!err.contains("xtask clean"), "it went on after a failure: {err}");
    let shown = run(&["raise", "build", "XEN=no such thing", "--print"]);
    assert_eq!(text(&shown.stdout), "cargo xtask build 'XEN=no such thing'\n");
}

#[test]
fn the_pins_of_a_xen_tree_are_shown_beside_those_of_a_manifest() {
    let xen = tempfile::tempdir().unwrap();
    let config = "OVMF_UPSTREAM_REVISION ?= ba91d0292e593df8528b66f99c1b0b14fadc8e16\n\
        QEMU_UPSTREAM_URL ?= https://example.org/qemu-xen.git\nQEMU_UPSTREAM_REVISION ?= qemu-xen-4.20.9\n";
    std::fs::write(xen.path().join("Config.mk"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["import-config-mk", "--manifest", "xen-4.20"]).arg(xen.path()).current_dir(repository());
    let ran = command.output().unwrap();
    let out = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(
        out,
        "  qemu  qemu-xen-4.20.9, in xen-4.20 qemu-xen-4.20.1\n        from https://example.org/qemu-xen.git, which xen-4.20 does not name\n        \
         cargo xtask pin qemu qemu-xen-4.20.9 --manifest xen-4.20\n  edk2  the same, ba91d0292e593df8528b66f99c1b0b14fadc8e16\n"
    );
}

/// The series of the RFC applies where its manifest wants it; needs a clone of Xen beside us, so it looks at the form only.
#[test]
fn patches_of_components_are_mails_with_a_reason() {
    let mut patches = 0;
    for entry in std::fs::read_dir(repository().join("components")).unwrap().flatten().filter(|e| e.path().is_dir()) {
        for patch in std::fs::read_dir(entry.path()).unwrap().flatten() {
            let text = std::fs::read_to_string(patch.path()).unwrap();
            let (head, body) = text.split_once("\n---\n").unwrap();
            assert!(
                head.contains("\nSubject: [PATCH") && body.contains("\ndiff --git a/"),
                "{}",
                patch.path().display()
            );
            patches += 1;
        }
    }
    assert_eq!(patches, 3);
}
