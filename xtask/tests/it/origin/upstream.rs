//! Real upstream sources: from Debian source packages through the machine's own apt, then as git repositories with branches and
//! tags, from git's daemon and over HTTP.

use std::fs;
use std::path::Path;

use xtask::definition::Pin;
use xtask::digest::Hash;
use xtask::origin::CheckedOut;

use super::git::{Upstream, git_in};
use super::servers::{Fault, Server, dead};
use super::world::{World, origin};
use crate::tier::{self, Tier};

/// Package, version, SHA-256 of its orig tarball, and a file that builds start with.
const PACKAGES: [(&str, &str, &str, &str); 3] = [
    ("libaio", "0.3.113-4", "2c44d1c5fd0d43752287c9ae1eb9c023f04ef848ea8d4aafa46e9aedb678200b", "Makefile"),
    ("libcap-ng", "0.8.3-1", "bed6f6848e22bb2f83b5f764b2aef0ed393054e803a8e3a8711cb2a39e6b492d", "autogen.sh"),
    (
        "tinyproxy",
        "1.11.1-2.1+deb12u1",
        "d66388448215d0aeb90d0afdd58ed00386fb81abc23ebac9d80e194fceb40f7c",
        "autogen.sh",
    ),
];

fn from_apt(world: &World, package: &str, version: &str) -> Pin {
    world.update(&origin(&format!("apt = {{ package = \"{package}\", version = \"{version}\" }}")))
}

/// A release in a bare repository as upstream's history would have it: tag `v1` and branch `stable/1` at it, work after it on `main`.
pub struct Published {
    /// Its commit.
    pub release: String,
    /// Digest of its tree.
    pub tree: Hash,
}

impl Published {
    /// `package` at `into/PACKAGE.git`.
    pub fn new(package: &str, into: &Path) -> Self {
        let (_, version, ..) = PACKAGES.iter().find(|(name, ..)| *name == package).unwrap();
        let unpacked = World::new();
        let tree = from_apt(&unpacked, package, version).tree;
        let upstream = Upstream { dir: unpacked.tree() };
        upstream.git(&["init", "-q", "-b", "main", "."]);
        upstream.git(&["add", "-A", "-f"]);
        upstream.git(&["commit", "-q", "-m", "release"]);
        let release = upstream.git(&["rev-parse", "HEAD"]);
        upstream.git(&["tag", "-a", "-m", "release", "v1"]);
        upstream.git(&["branch", "stable/1"]);
        upstream.commit("NEWS.sultana", "after the release\n");
        let bare = into.join(format!("{package}.git"));
        git_in(into, &["clone", "-q", "--bare", &upstream.url(), bare.to_str().unwrap()]);
        git_in(&bare, &["update-server-info"]);
        Published { release, tree }
    }
}

#[test]
fn debian_source_packages_are_fetched_from_the_machines_mirror() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let store = World::new();
    for (package, version, sha256, file) in PACKAGES {
        let mut world = store.another_checkout();
        let pin = from_apt(&world, package, version);
        assert_eq!(pin.files.len(), 1);
        assert_eq!(pin.files[0].sha256.to_string(), sha256);
        assert!(world.tree().join(file).is_file());
        // Now that the store has it nothing is asked for.
        world.offline = true;
        fs::remove_dir_all(world.tree()).unwrap();
        let apt = origin(&format!("apt = {{ package = \"{package}\", version = \"{version}\" }}"));
        assert_eq!(world.fetch(&apt, Some(&pin)).unwrap(), CheckedOut::Fetched);
    }
}

#[test]
fn real_sources_come_the_same_from_git_by_branch_tag_and_commit() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let store = World::new();
    let served = store.path("served");
    fs::create_dir_all(&served).unwrap();
    let daemon = Server::git(served.clone(), |_| Fault::None);
    let http = Server::http(served.clone(), |_| Fault::None);
    for (package, _, _, file) in PACKAGES {
        let Published { release, tree } = Published::new(package, &served);
        let path = format!("{package}.git");
        let dead = dead("git");
        for url in [daemon.url("git", &path), http.url("http", &format!("smart/{path}")), http.url("http", &path)] {
            for what in ["branch = \"stable/1\"", "tag = \"v1\"", &format!("commit = \"{release}\"")] {
                let world = World::new();
                let pin = world.update(&origin(&format!("git = {{ urls = [{dead:?}, {url:?}], {what} }}")));
                assert_eq!((pin.commit.unwrap().as_str(), pin.tree), (release.as_str(), tree), "{url} {what}");
                assert!(world.tree().join(file).is_file());
            }
        }
    }
}
