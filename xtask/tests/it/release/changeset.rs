//! What a hypervisor says of the revision it is of: the same whether it was built from the checkout or from an archive. Debian's Xen in a
//! repository of git, with the steps of our own definition and Xen's own script.

use std::fs;
use std::path::Path;

use super::small::{project, tarball};
use crate::build::checkout::{Checkout, sealed};
use crate::origin::git::git_at;
use crate::origin::world::{World, origin};
use crate::tier::{self, Tier};

/// Noon of a day with one digit.
const TIME: u64 = 1_762_430_400;
const WHEN: &str = "Thu Nov 6 12:00:00 2025 +0000";

/// Xen's sources as a repository; its commit.
fn published(dir: &Path) -> String {
    let unpacked = World::new();
    unpacked.update(&origin("apt = { package = 'xen', version = '4.17.5+72-g01140da4e8-1' }"));
    let git = |arguments: &[&str]| git_at(TIME, &unpacked.tree(), arguments);
    git(&["init", "-q", "-b", "stable", "."]);
    git(&["add", "-A", "-f"]);
    git(&["commit", "-q", "-m", "release"]);
    git(&["tag", "RELEASE"]);
    git(&["clone", "-q", "--bare", ".", dir.join("xen.git").to_str().unwrap()]);
    git(&["rev-parse", "HEAD"])
}

/// A manifest with Xen from there, of which only the changeset is built, as xen/build.mk asks for it.
fn checkout(dir: &Path, what: &str) -> Checkout {
    let checkout = project();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/xen.toml");
    let ours: toml::Table = toml::from_str(&fs::read_to_string(ours).unwrap()).unwrap();
    let (prepare, tarball) = (&ours["build"]["make"]["prepare"], &ours["tarball"]);
    checkout.component(
        "xen",
        &format!(
            "tarball = {}\n[build.steps]\n[[step]]\nname = 'prepare'\nrun = {prepare}\n[[step]]\nname = 'changeset'\n\
             run = ['sh', '-ec', 'mkdir -p {{stage}}/usr; xen/tools/scmversion {{src}} > {{stage}}/usr/changeset']\n",
            toml::Value::try_from(tarball).unwrap()
        ),
    );
    let url = format!("file://{}", dir.join("xen.git").display());
    checkout.write(
        "manifests/m.toml",
        &format!("summary = 'm'\ncomponents = ['xen']\n[sources.xen.git]\nurls = ['{url}']\n{what}\n"),
    );
    let ran = checkout.run(&["update"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    checkout
}

#[test]
fn a_build_from_an_archive_shows_the_commit_and_date_that_a_build_from_the_tree_shows() {
    if !tier::need(Tier::Standard) || !sealed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let commit = published(dir.path());
    let wanted = format!("{WHEN} git:{}\n", &commit[..12]);
    let tagged = checkout(dir.path(), "tag = 'RELEASE'");
    tagged.built(&[]);
    assert_eq!(tagged.read("dist/usr/changeset"), wanted);
    let ran = tarball(&tagged, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = tagged.run(&["verify-tarball", "xen-4.17.5.tar.gz", "--only", "building"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("by-hand: all 1 files are those of this checkout's build"), "{}", ran.stdout);
    // Without our commands too, as a person who knows Xen builds it.
    let unpack = std::process::Command::new("tar")
        .arg("-xf")
        .arg(tagged.path("xen-4.17.5.tar.gz"))
        .current_dir(dir.path())
        .status();
    assert!(unpack.unwrap().success());
    let top = dir.path().join("xen-4.17.5");
    let said = std::process::Command::new(top.join("xen/tools/scmversion")).arg(&top).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), wanted);
    let info = fs::read_to_string(top.join(".gitarchive-info")).unwrap();
    assert_eq!(info, format!("Changeset: {commit}\nCommit date: Thu, 6 Nov 2025 13:00:00 +0100\n"));

    // What moves says nothing until it is frozen.
    let moving = checkout(dir.path(), "branch = 'stable'");
    moving.built(&[]);
    assert_eq!(moving.read("dist/usr/changeset"), "\n");
    let ran = moving.run(&["freeze"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    moving.built(&[]);
    assert_eq!(moving.read("dist/usr/changeset"), wanted);
}
