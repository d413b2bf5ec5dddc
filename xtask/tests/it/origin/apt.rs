//! The apt origin against a mirror made on the fly, through the real apt, which is told of that mirror by `APT_CONFIG`.

use std::fs;
use std::path::PathBuf;

use xtask::definition::Pin;
use xtask::origin;

use super::child;
use super::servers::{Fault, Server};
use super::world::{World, digest_of, write_tar_gz};
use crate::tier;

/// A Debian mirror of one source package, `foo`.
struct Mirror {
    dir: PathBuf,
    config: PathBuf,
}

impl Mirror {
    /// `None`, and on record, on a machine without apt.
    fn new(world: &World) -> Option<Self> {
        if !PathBuf::from("/usr/lib/apt/apt-helper").exists() {
            tier::skip("this machine has no apt");
            return None;
        }
        let dir = world.path("mirror");
        fs::create_dir_all(&dir).unwrap();
        let server = Server::http(dir.clone(), |_| Fault::None);
        let machine = world.path("machine");
        for part in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(machine.join(part)).unwrap();
        }
        let list = machine.join("sources.list");
        fs::write(&list, format!("deb {} stable main\n", server.url("http", "debian"))).unwrap();
        let config = machine.join("apt.conf");
        let at = machine.display();
        let text = format!(
            "Dir::Etc::SourceList \"{at}/sources.list\";\nDir::Etc::SourceParts \"/dev/null\";\nDir::State \"{at}/state\";\n\
             Dir::Cache \"{at}/cache\";\nAcquire::AllowInsecureRepositories \"true\";\nAcquire::http::Proxy \"DIRECT\";\n\
             APT::Update::Post-Invoke {{ \"touch {at}/hook-ran\"; }};\n"
        );
        fs::write(&config, text).unwrap();
        Some(Mirror { dir: dir.join("debian"), config })
    }

    /// A version with its files in the pool; gives its paragraph for an index.
    fn publish(&self, upstream: &str, revision: &str, text: &str) -> String {
        let pool = self.dir.join("pool/main/f/foo");
        let orig = format!("foo_{upstream}.orig.tar.gz");
        write_tar_gz(
            &pool.join(&orig),
            &[
                (&format!("foo-{upstream}/a"), text),
                (&format!("foo-{upstream}/b"), "b\n"),
                (&format!("foo-{upstream}/docs/old"), "x"),
            ],
        );
        let extra = format!("foo_{upstream}.orig-docs.tar.gz");
        write_tar_gz(&pool.join(&extra), &[("docs-x/manual", "read me\n")]);
        let patch = |file: &str, to: &str| format!("--- x/{file}\n+++ y/{file}\n@@ -1 +1 @@\n-{file}\n+{to}\n");
        let debian = format!("foo_{upstream}-{revision}.debian.tar.gz");
        let files = [
            ("debian/patches/series", "fix-b.patch\nagain-b.diff # second\n"),
            ("debian/patches/fix-b.patch", &patch("b", "fixed")),
            ("debian/patches/again-b.diff", "--- a/b\n+++ b/b\n@@ -1 +1 @@\n-fixed\n+again\n"),
        ];
        write_tar_gz(&pool.join(&debian), &files);
        let sums: String = [&orig, &extra, &debian]
            .iter()
            .map(|name| {
                let digest = digest_of(&pool.join(name));
                format!(" {} {} {name}\n", digest.hash, digest.size)
            })
            .collect();
        format!("Package: foo\nVersion: {upstream}-{revision}\nChecksums-Sha256:\n{sums}Directory: pool/main/f/foo\n\n")
    }

    /// Writes the index of a suite.
    fn index(&self, suite: &str, paragraphs: &[&str]) {
        let dists = self.dir.join("dists").join(suite);
        let sources = dists.join("main/source/Sources");
        fs::create_dir_all(sources.parent().unwrap()).unwrap();
        fs::write(&sources, paragraphs.concat()).unwrap();
        let digest = digest_of(&sources);
        let release = format!(
            "Origin: Test\nSuite: {suite}\nCodename: {suite}\nComponents: main\nArchitectures: amd64\n\
             Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {} {} main/source/Sources\n",
            digest.hash, digest.size
        );
        fs::write(dists.join("Release"), release).unwrap();
    }

    /// Runs a fetch or an update on a machine that has this mirror.
    fn run(&self, world: &World, origin: &str, pin: Option<&Pin>) -> Result<String, String> {
        let mut command = child::command(world, origin, pin);
        child::result(&command.env("APT_CONFIG", &self.config).env_remove("http_proxy").output().unwrap())
    }

    fn resolve(&self, world: &World, origin: &str) -> Pin {
        toml::from_str(&self.run(world, origin, None).unwrap_or_else(|error| panic!("{error}"))).unwrap()
    }
}

#[test]
fn update_takes_the_newest_and_fetch_needs_only_the_pool() {
    let world = World::new();
    let Some(mirror) = Mirror::new(&world) else { return };
    let (old, new) = (mirror.publish("1.0", "1", "one\n"), mirror.publish("1.0+dfsg", "1", "two\n"));
    mirror.index("stable", &[&new, &old]);
    mirror.index("testing", &[&mirror.publish("2.0", "1", "three\n")]);
    let pin = mirror.resolve(&world, "apt = { package = \"foo\" }");
    assert_eq!(pin.version.as_deref(), Some("1.0+dfsg-1"));
    let paths: Vec<&str> = pin.files.iter().map(|file| file.path.as_str()).collect();
    let stem = "pool/main/f/foo/foo_1.0+dfsg.orig";
    assert_eq!(
        paths,
        [format!("{stem}.tar.gz"), format!("{stem}-docs.tar.gz")],
        "no packaging unless patches are wanted"
    );
    assert_eq!(pin.epoch, 1_600_000_000);
    assert!(!world.path("machine/hook-ran").exists(), "what the machine does after an update is not for ours");
    let version = mirror.resolve(&world, "apt = { package = \"foo\", version = \"1.0-1\" }").version;
    assert_eq!(version.as_deref(), Some("1.0-1"));
    let version = mirror.resolve(&world, "apt = { package = \"foo\", suite = \"testing\" }").version;
    assert_eq!(version.as_deref(), Some("2.0-1"));
    // Another machine, later: no index any more.
    fs::remove_dir_all(mirror.dir.join("dists")).unwrap();
    let late = World::new();
    assert_eq!(mirror.run(&late, "apt = { package = \"foo\" }", Some(&pin)).unwrap(), "Fetched");
    assert_eq!((late.read("a"), late.read("docs/manual")), ("two\n".into(), "read me\n".into()));
    assert!(!late.tree().join("docs/old").exists(), "a further tarball replaces its directory");
}

#[test]
fn debians_patches_are_applied_by_name_and_all_in_order() {
    let world = World::new();
    let Some(mirror) = Mirror::new(&world) else { return };
    mirror.index("stable", &[&mirror.publish("1.0", "1", "one\n")]);
    // The checkout is inside a repository, where `git apply` would silently do nothing.
    super::git::Upstream::new(world.layout.root.clone());
    for (patches, expected) in [("[]", "b\n"), ("[\"fix-b\"]", "fixed\n"), ("\"all\"", "again\n")] {
        let from = format!("apt = {{ package = \"foo\", debian-patches = {patches} }}");
        let pin = mirror.resolve(&world, &from);
        mirror.run(&world, &from, Some(&pin)).unwrap();
        assert_eq!(world.read("b"), expected);
        assert!(!world.tree().join("debian").exists());
    }
    let check = |patches: &str| {
        mirror.run(&world, &format!("apt = {{ package = \"foo\", debian-patches = [{patches:?}] }}"), None).unwrap_err()
    };
    let report = check("nope.patch");
    assert!(report.contains("nope.patch") && report.contains("fix-b.patch, again-b.diff"), "{report}");
    let report = check("again-b.diff");
    assert!(report.contains("again-b.diff") && report.contains("patch does not apply"), "{report}");
}

#[test]
fn a_version_that_left_the_index_is_looked_for_in_the_pool() {
    let world = World::new();
    let Some(mirror) = Mirror::new(&world) else { return };
    mirror.publish("1.0", "1", "one\n");
    mirror.index("stable", &[&mirror.publish("1.1", "1", "two\n")]);
    let pin = mirror.resolve(&world, "apt = { package = \"foo\", version = \"1.0-1\" }");
    assert_eq!(pin.files[0].path, "pool/main/f/foo/foo_1.0.orig.tar.gz");
    let orig = digest_of(&mirror.dir.join(&pin.files[0].path));
    assert_eq!((pin.files[0].sha256, pin.files[0].size), (orig.hash, orig.size));
    let report = mirror.run(&world, "apt = { package = \"foo\", version = \"0.9-1\" }", None).unwrap_err();
    assert!(report.contains("foo_0.9.orig.tar") && report.contains("1.1-1"), "{report}");
    let report = mirror.run(&world, "apt = { package = \"bar\" }", None).unwrap_err();
    assert!(report.contains("no source package `bar`"), "{report}");
}

#[test]
fn a_file_that_is_gone_is_named_with_what_the_mirror_has_now_and_what_helps() {
    let world = World::new();
    let Some(mirror) = Mirror::new(&world) else { return };
    mirror.index("stable", &[&mirror.publish("1.0", "1", "one\n")]);
    let from = "apt = { package = \"foo\" }";
    let pin = mirror.resolve(&world, from);
    let kept = world.path("kept");
    fs::create_dir_all(&kept).unwrap();
    for file in &pin.files {
        fs::rename(mirror.dir.join(&file.path), kept.join(file.path.rsplit('/').next().unwrap())).unwrap();
    }
    mirror.index("stable", &[&mirror.publish("1.2", "1", "two\n"), &mirror.publish("1.3", "1", "three\n")]);
    let late = World::new();
    let report = mirror.run(&late, from, Some(&pin)).unwrap_err();
    for text in [
        "`pool/main/f/foo/foo_1.0.orig.tar.gz` is gone",
        "1.2-1, 1.3-1",
        "cargo xtask update thing",
        "cargo xtask fetch thing --from FILE",
    ] {
        assert!(report.contains(text), "{text}: {report}");
    }
    for entry in fs::read_dir(&kept).unwrap() {
        late.with(|ctx| origin::place_file(ctx, &late.source, Some(&pin), &entry.unwrap().path())).unwrap();
    }
    assert_eq!(mirror.run(&late, from, Some(&pin)).unwrap(), "Fetched");
}

#[test]
fn a_file_with_other_content_is_refused_and_both_digests_are_shown() {
    let world = World::new();
    let Some(mirror) = Mirror::new(&world) else { return };
    mirror.index("stable", &[&mirror.publish("1.0", "1", "one\n")]);
    let from = "apt = { package = \"foo\" }";
    let pin = mirror.resolve(&world, from);
    mirror.publish("1.0", "1", "changed\n");
    let late = World::new();
    let report = mirror.run(&late, from, Some(&pin)).unwrap_err();
    let found = digest_of(&mirror.dir.join(&pin.files[0].path)).hash.to_string();
    assert!(report.contains(&pin.files[0].sha256.to_string()) && report.contains(&found), "{report}");
    assert!(!late.layout.files().exists() || fs::read_dir(late.layout.files()).unwrap().count() == 0);
}
