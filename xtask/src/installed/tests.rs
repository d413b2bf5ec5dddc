//! Roots of every kind, before and after.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;
use crate::error::Error;
use crate::merge::{Merged, merge};
use crate::stat_index::{Modes, read_tree};
use crate::tree::Tree;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(place.root()).unwrap();
        place
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Writes into the root, as somebody else.
    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root().join(path)).ok()
    }

    /// A `dist/` with these files and what `more` puts there.
    fn dist(&self, files: &[(&str, &str)], more: impl Fn(&Path)) -> Merged {
        let dist = self.dir.path().join("dist");
        crate::atomic::remove_tree(&dist).unwrap();
        for (path, text) in files {
            let path = dist.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(&dist).unwrap();
        more(&dist);
        merge([(&"a".parse().unwrap(), &read_tree(&dist, Modes::Exact).unwrap())], &BTreeMap::new()).unwrap()
    }

    fn plan(&self, merged: &Merged, backup: bool) -> Result<Plan> {
        plan(&self.root(), Record::read(&self.root())?.unwrap_or_default(), merged, backup)
    }

    fn perform(&self, plan: &Plan) {
        let old = Record::read(&self.root()).unwrap();
        perform(&self.root(), &self.dir.path().join("dist"), plan, old.as_ref(), &Cancel::default()).unwrap();
    }

    fn install(&self, merged: &Merged) -> Plan {
        let plan = self.plan(merged, false).unwrap();
        self.perform(&plan);
        plan
    }

    fn install_files(&self, files: &[(&str, &str)]) -> Plan {
        self.install(&self.dist(files, |_| {}))
    }

    fn uninstall(&self) -> Plan {
        self.install(&Merged::default())
    }

    /// All that is there.
    fn tree(&self) -> Tree {
        read_tree(&self.root(), Modes::Exact).unwrap()
    }
}

fn report<T>(result: Result<T, Error>) -> String {
    result.err().unwrap().report()
}

fn kept(plan: &Plan) -> Vec<(&str, Option<&str>)> {
    plan.kept.iter().map(|(path, beside)| (path.as_str(), beside.as_deref())).collect()
}

#[test]
fn nothing_of_ours_is_left_and_nothing_of_theirs_lost() {
    let place = Place::new();
    place.write("etc/theirs", "1");
    place.write("usr/lib/xen/theirs", "2");
    fs::create_dir(place.root().join("empty")).unwrap();
    let before = place.tree();
    let merged = place.dist(&[("usr/lib/xen/x", "x"), ("usr/bin/y", "y"), ("empty/z", "z")], |dist| {
        symlink("y", dist.join("usr/bin/link")).unwrap();
        symlink("/nowhere", dist.join("usr/bin/dangling")).unwrap();
        fs::set_permissions(dist.join("usr/bin/y"), fs::Permissions::from_mode(0o4555)).unwrap();
        fs::create_dir_all(dist.join("var/lib/xen")).unwrap();
        fs::set_permissions(dist.join("var/lib/xen"), fs::Permissions::from_mode(0o1700)).unwrap();
    });
    place.install(&merged);
    let installed = place.tree();
    for (path, node) in &merged.tree.0 {
        assert_eq!(installed.0.get(path), Some(node), "{path}");
    }
    let plan = place.install(&merged);
    assert_eq!(plan.steps, [], "nothing to do");
    place.uninstall();
    assert_eq!(place.tree(), before);
}

#[test]
fn a_newer_result_replaces_and_removes_what_is_ours() {
    let place = Place::new();
    place.install_files(&[("bin/a", "1"), ("bin/b", "1"), ("old/c", "1")]);
    place.install_files(&[("bin/a", "2"), ("bin/b", "1"), ("new/d", "2")]);
    assert_eq!(place.read("bin/a").as_deref(), Some("2"));
    assert!(place.root().join("new/d").exists() && !place.root().join("old").exists());
    place.uninstall();
    assert!(place.tree().0.is_empty());
}

#[test]
fn a_file_changed_here_is_kept_and_the_new_one_offered_once() {
    let place = Place::new();
    place.install_files(&[("etc/x", "1"), ("etc/y", "1")]);
    place.write("etc/x", "mine");
    fs::remove_file(place.root().join("etc/y")).unwrap();
    assert_eq!(kept(&place.install_files(&[("etc/x", "1"), ("etc/y", "1")])), [("etc/x", None)], "nothing new");
    assert_eq!(place.read("etc/y").as_deref(), Some("1"), "no content was lost with that one");

    let offered = [("etc/x", Some("etc/x.sultana-new"))];
    assert_eq!(kept(&place.install_files(&[("etc/x", "2")])), offered);
    let read = |name: &str| place.read(name).unwrap_or_default();
    assert_eq!((read("etc/x"), read("etc/x.sultana-new")), ("mine".to_owned(), "2".to_owned()));
    assert_eq!(kept(&place.install_files(&[("etc/x", "3")])), offered);
    assert_eq!(read("etc/x.sultana-new"), "3");
    assert_eq!(kept(&place.install_files(&[("etc/x", "3")])), offered, "it is still there");
    fs::remove_file(place.root().join("etc/x.sultana-new")).unwrap();
    assert_eq!(kept(&place.install_files(&[("etc/x", "3")])), [("etc/x", None)], "was looked at");

    assert_eq!(kept(&place.install_files(&[("etc/x", "4")])), offered);
    place.write("etc/x.sultana-new", "half merged");
    let error = report(place.plan(&place.dist(&[("etc/x", "5")], |_| {}), true));
    assert!(error.contains("not replaced: etc/x.sultana-new"), "{error}");
    assert_eq!(kept(&place.uninstall()), [("etc/x", None), ("etc/x.sultana-new", None)]);
    assert_eq!(place.tree().0.keys().collect::<Vec<_>>(), ["etc/x", "etc/x.sultana-new"]);
    assert_eq!(read("etc/x"), "mine");
}

#[test]
fn a_changed_mode_is_a_change_too() {
    let place = Place::new();
    place.install_files(&[("etc/x", "1")]);
    fs::set_permissions(place.root().join("etc/x"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(kept(&place.install_files(&[("etc/x", "2")])), [("etc/x", Some("etc/x.sultana-new"))]);
}

#[test]
fn what_is_in_the_way_is_refused_or_kept_until_uninstall() {
    let place = Place::new();
    place.write("bin/x", "theirs");
    symlink("x", place.root().join("bin/link")).unwrap();
    place.write("bin/same", "equal");
    let before = place.tree();
    let merged = place.dist(&[("bin/x", "ours"), ("bin/link", "ours"), ("bin/same", "equal")], |_| {});
    let error = report(place.plan(&merged, false));
    assert!(error.contains("would be overwritten: bin/link, bin/x\n") && error.contains("--backup"), "{error}");
    assert_eq!(place.tree(), before);

    let plan = place.plan(&merged, true).unwrap();
    assert_eq!(plan.same, ["bin/same"]);
    place.perform(&plan);
    assert_eq!(place.read("bin/x").as_deref(), Some("ours"));
    assert_eq!(place.read("bin/x.sultana-orig").as_deref(), Some("theirs"));
    // A newer one does not forget the original.
    place.install_files(&[("bin/x", "newer"), ("bin/link", "ours")]);
    place.uninstall();
    assert_eq!(place.tree(), before);

    // Changed here since: both stay.
    let newer = place.dist(&[("bin/x", "newer")], |_| {});
    place.perform(&place.plan(&newer, true).unwrap());
    place.write("bin/x", "mine");
    assert_eq!(kept(&place.uninstall()), [("bin/x", Some("bin/x.sultana-orig"))]);
    assert_eq!(place.read("bin/x.sultana-orig").as_deref(), Some("theirs"));
    // And the name of the original may be taken.
    let error = report(place.plan(&newer, true));
    assert!(error.contains("bin/x.sultana-orig"), "{error}");
}

#[test]
fn a_directory_a_file_or_a_socket_in_the_way_is_refused_even_with_backup() {
    let place = Place::new();
    fs::create_dir_all(place.root().join("bin/x/inside")).unwrap();
    place.write("etc", "a file");
    let _socket = std::os::unix::net::UnixListener::bind(place.root().join("s")).unwrap();
    let check = |files: &[(&str, &str)], words: &str| {
        let error = report(place.plan(&place.dist(files, |_| {}), true));
        assert!(error.contains(words), "{error}");
    };
    check(&[("bin/x", "ours"), ("s", "ours")], "not replaced: bin/x, s");
    check(&[("etc/x", "ours")], "etc` is no directory and is in the way");
    let wanted = place.dist(&[], |dist| fs::create_dir(dist.join("etc")).unwrap());
    assert!(report(place.plan(&wanted, true)).contains("not replaced: etc"));
}

#[test]
fn links_of_the_root_are_followed_inside_it() {
    let place = Place::new();
    fs::create_dir_all(place.root().join("usr/lib")).unwrap();
    symlink("usr/lib", place.root().join("lib")).unwrap();
    symlink("/run", place.root().join("var-run")).unwrap();
    let before = place.tree();
    place.install_files(&[("lib/x", "x"), ("var-run/y", "y")]);
    assert_eq!(place.read("usr/lib/x").as_deref(), Some("x"));
    assert_eq!(place.read("run/y").as_deref(), Some("y"));
    let error = report(place.plan(&place.dist(&[("lib/x", "x"), ("usr/lib/x", "x")], |_| {}), false));
    assert!(error.contains("links there make `lib/x` and `usr/lib/x` the same file"), "{error}");
    place.uninstall();
    assert_eq!(place.tree(), before);
}

#[test]
fn a_directory_that_became_a_link_is_not_followed_by_a_removal() {
    let place = Place::new();
    place.install_files(&[("opt/x", "x")]);
    fs::rename(place.root().join("opt"), place.root().join("elsewhere")).unwrap();
    symlink("elsewhere", place.root().join("opt")).unwrap();
    place.uninstall();
    assert_eq!(place.read("elsewhere/x").as_deref(), Some("x"));
}

#[test]
fn after_a_kill_at_any_step_the_same_again_or_an_uninstall_ends_well() {
    let steps = |place: &Place| {
        place.write("bin/theirs", "theirs");
        fs::set_permissions(place.root().join("bin/theirs"), fs::Permissions::from_mode(0o640)).unwrap();
        let before = place.tree();
        place.install_files(&[("bin/a", "1"), ("bin/gone", "1")]);
        let dirs = |dist: &Path| {
            fs::create_dir_all(dist.join("var/x")).unwrap();
            fs::set_permissions(dist.join("var/x"), fs::Permissions::from_mode(0o700)).unwrap();
        };
        let merged = place.dist(&[("bin/a", "2"), ("bin/theirs", "ours"), ("bin/z", "2")], dirs);
        (before, place.plan(&merged, true).unwrap(), merged)
    };
    let count = steps(&Place::new()).1.steps.len();
    assert!(count >= 6);
    for done in 0..=count {
        for again in [true, false] {
            let place = Place::new();
            let (before, plan, merged) = steps(&place);
            plan.during.write(&place.root()).unwrap();
            for step in &plan.steps[..done] {
                step.perform(&place.root(), &place.dir.path().join("dist")).unwrap();
            }
            // what was being written
            place.write(&format!("bin/{ASIDE}"), "half");
            if again {
                let plan = place.plan(&merged, true).unwrap();
                place.perform(&plan);
                let there = place.tree();
                for (path, node) in &merged.tree.0 {
                    assert_eq!(there.0.get(path), Some(node), "{path} after {done}");
                }
                assert_eq!(place.read("bin/theirs.sultana-orig").as_deref(), Some("theirs"));
                assert_eq!(there.0.len(), merged.tree.0.len() + 2, "the original, the record: {there:?}");
            }
            place.uninstall();
            assert_eq!(place.tree(), before, "after {done} steps, again: {again}");
        }
    }
}

#[test]
fn a_record_that_cannot_be_read_is_not_taken_for_none() {
    let place = Place::new();
    place.install_files(&[("bin/a", "1")]);
    let good = place.read(RECORD).unwrap();
    for (bad, words) in
        [(good.replace("\"format\": 1", "\"format\": 2"), "it has format 2"), (good[..40].to_owned(), "backup")]
    {
        place.write(RECORD, &bad);
        let error = report(Record::read(&place.root()));
        assert!(error.contains(words) && error.contains("help:"), "{error}");
    }
}
