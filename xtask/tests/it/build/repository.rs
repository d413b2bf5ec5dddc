//! `repo deb`: what apt makes of it, with a state of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::checkout::{Checkout, files};
use crate::tier;

const PACKAGES: &str = "\n[[package]]\ndeb = \"x\"\nsummary = \"x\"\nfiles = [\"/**\"]\n";

/// A checkout with one package in two revisions, in `first` and `second`; none where there is no apt, which is on record.
fn packed() -> Option<Checkout> {
    if which::which("apt-get").is_err() {
        tier::skip("there is no apt");
        return None;
    }
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", "mkdir -p $STAGE/usr/share/x; echo x > $STAGE/usr/share/x/x");
    let definition = checkout.read("components/a.toml");
    checkout.write("components/a.toml", &format!("{definition}{PACKAGES}"));
    checkout.built(&["--no-sandbox"]);
    for (out, revision) in [("first", "1"), ("second", "2")] {
        let ran = checkout.run(&["package", "deb", "--allow-local", "--out", out, "--revision", revision]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    Some(checkout)
}

fn repository(checkout: &Checkout, arguments: &[&str]) {
    let ran = checkout.run(&[&["repo", "deb", "xen"], arguments].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

/// apt with that one source.
struct Apt(PathBuf);

impl Apt {
    fn new(checkout: &Checkout, options: &str) -> Apt {
        let dir = checkout.root().with_file_name("apt");
        for below in ["lists/partial", "cache/archives/partial", "etc"] {
            fs::create_dir_all(dir.join(below)).unwrap();
        }
        let line = format!("deb [{options}] file:{} sultana main\n", checkout.path("xen").display());
        fs::write(dir.join("etc/sources.list"), line).unwrap();
        fs::write(dir.join("status"), "").unwrap();
        Apt(dir)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(program);
        let set = |name: &str, path: &str| format!("{name}={}", self.0.join(path).display());
        for option in [
            set("Dir::Etc", "etc"),
            set("Dir::State", ""),
            set("Dir::State::status", "status"),
            set("Dir::State::lists", "lists"),
            set("Dir::Cache", "cache"),
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        let ended = command.args(arguments).env("LC_ALL", "C").output().unwrap();
        (ended.status.success(), String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned())
    }

    /// The versions that it knows of `x`, after it asked anew.
    fn versions(&self) -> Vec<String> {
        let (done, said) = self.run("apt-get", &["update"]);
        assert!(done && !said.contains("W: "), "{said}");
        let (_, said) = self.run("apt-cache", &["madison", "x"]);
        said.lines().map(|line| line.split('|').nth(1).unwrap().trim().to_owned()).collect()
    }
}

const FIRST: &str = "0+sultana1~local-1";
const SECOND: &str = "0+sultana2~local-1";

#[test]
fn apt_sees_each_version_and_removed_ones_no_more() {
    let Some(checkout) = packed() else { return };
    repository(&checkout, &["--from", "first"]);
    let apt = Apt::new(&checkout, "trusted=yes");
    assert_eq!(apt.versions(), [FIRST]);
    let before = files(&checkout.path("xen"));
    repository(&checkout, &["--from", "second"]);
    assert_eq!(apt.versions(), [SECOND, FIRST]);
    let (done, said) = apt.run("apt-get", &["install", "--download-only", "-y", "--reinstall", "x"]);
    assert!(done, "{said}");
    // Whoever has just read the index before still finds what it names.
    let now = files(&checkout.path("xen"));
    assert!(before.keys().filter(|path| path.contains("/by-hash/")).all(|path| now.contains_key(path)));
    fs::remove_dir_all(checkout.path("xen/pool")).unwrap();
    repository(&checkout, &["--from", "first"]);
    assert_eq!(apt.versions(), [FIRST]);
    // What is the same again does not change, but for indices that nobody needs any more.
    repository(&checkout, &["--index-only"]);
    let now = files(&checkout.path("xen"));
    repository(&checkout, &["--index-only"]);
    assert_eq!(files(&checkout.path("xen")), now);
    // In a fresh directory the same packages give the same bytes.
    fs::remove_dir_all(checkout.path("xen")).unwrap();
    repository(&checkout, &["--from", "first"]);
    assert_eq!(files(&checkout.path("xen")), before);
}

#[test]
fn apt_forgets_the_newest_package_once_it_is_removed() {
    let Some(checkout) = packed() else { return };
    let second = package(&checkout, "second");
    fs::write(&second, redated(&second)).unwrap();
    repository(&checkout, &["--from", "first"]);
    repository(&checkout, &["--from", "second"]);
    let apt = Apt::new(&checkout, "trusted=yes");
    assert_eq!(apt.versions(), [SECOND, FIRST]);
    let name = second.file_name().unwrap();
    fs::remove_file(checkout.path("xen/pool/a").join(name)).unwrap();
    repository(&checkout, &["--index-only"]);
    assert_eq!(apt.versions(), [FIRST]);
}

#[test]
fn the_same_version_with_another_epoch_is_another_package() {
    let Some(checkout) = packed() else { return };
    let ran = checkout.run(&["package", "deb", "--allow-local", "--out", "epoch", "--epoch", "1"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let [first, epoch] = ["first", "epoch"].map(|dir| package(&checkout, dir));
    assert_eq!(first.file_name(), epoch.file_name());
    fs::rename(&first, first.with_file_name("called-otherwise.deb")).unwrap();
    repository(&checkout, &["--from", "first"]);
    repository(&checkout, &["--from", "epoch"]);
    let apt = Apt::new(&checkout, "trusted=yes");
    assert_eq!(apt.versions(), [format!("1:{FIRST}"), FIRST.to_owned()]);
    for version in [FIRST.to_owned(), format!("1:{FIRST}")] {
        let (done, said) = apt.run("apt-get", &["install", "--download-only", "-y", &format!("x={version}")]);
        assert!(done, "{said}");
    }
    assert!(checkout.path("xen/pool/a").join(epoch.file_name().unwrap()).is_file());
}

/// A package of a later source: the times of an archive's members stand in their headers, the second one's at 72.
fn redated(package: &Path) -> Vec<u8> {
    let mut bytes = fs::read(package).unwrap();
    let time: u64 = std::str::from_utf8(&bytes[88..100]).unwrap().trim().parse().unwrap();
    bytes[88..100].copy_from_slice(format!("{:<12}", time + 86_400).as_bytes());
    bytes
}

/// The one package in a directory.
fn package(checkout: &Checkout, dir: &str) -> PathBuf {
    fs::read_dir(checkout.path(dir)).unwrap().map(|entry| entry.unwrap().path()).next().unwrap()
}

#[test]
fn apt_takes_a_signed_index_and_no_changed_one() {
    let Some(checkout) = packed() else { return };
    if which::which("gpg").is_err() || which::which("gpgv").is_err() {
        return tier::skip("there is no gpg");
    }
    // Sockets of its agent want a short path.
    let home = tempfile::Builder::new().prefix("gpg-").tempdir_in("/tmp").unwrap();
    let gpg = |arguments: &[&str]| {
        let ended = Command::new("gpg").args(arguments).env("GNUPGHOME", home.path()).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        ended.stdout
    };
    gpg(&["--batch", "--passphrase", "", "--quick-generate-key", "test@example.org", "ed25519", "sign", "never"]);
    let key = home.path().join("key.gpg");
    fs::write(&key, gpg(&["--export"])).unwrap();
    let signed = |from: &[&str]| {
        let mut command = checkout.command(&[&["repo", "deb", "xen"], from].concat());
        command.env("GNUPGHOME", home.path());
        command.env("XTASK_SIGN", "gpg --batch --armor --detach-sign --output \"$SIGNATURE\" \"$FILE\"");
        command.env("XTASK_SIGN_VERIFY", "gpg --verify \"$SIGNATURE\" \"$FILE\"");
        command.env("XTASK_CLEAR_SIGN", "gpg --batch --clear-sign --output \"$SIGNATURE\" \"$FILE\"");
        command.env("XTASK_CLEAR_SIGN_VERIFY", "gpg --decrypt \"$SIGNATURE\" | cmp - \"$FILE\"");
        let ended = command.output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    };
    signed(&["--from", "first"]);
    let apt = Apt::new(&checkout, &format!("signed-by={}", key.display()));
    assert_eq!(apt.versions(), [FIRST]);
    // Without InRelease the other form.
    let release = |name: &str| checkout.path("xen/dists/sultana").join(name);
    fs::remove_file(release("InRelease")).unwrap();
    assert_eq!(apt.versions(), [FIRST]);
    fs::write(release("Release"), fs::read_to_string(release("Release")).unwrap() + "Extra: yes\n").unwrap();
    let (done, said) = apt.run("apt-get", &["update"]);
    assert!(!done || said.contains("BADSIG"), "{said}");
    // What nobody signs has no signature of what it was.
    signed(&["--index-only"]);
    assert_eq!(apt.versions(), [FIRST]);
    repository(&checkout, &["--index-only", "--unsigned"]);
    assert!(!release("InRelease").exists() && !release("Release.gpg").exists());
    Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", home.path()).status().unwrap();
}

#[test]
fn a_run_that_does_not_sign_takes_no_signature_away() {
    let Some(checkout) = packed() else { return };
    // A sum stands for a signature.
    let sum = ["sha256sum < \"$FILE\" > \"$SIGNATURE\"", "sha256sum < \"$FILE\" | cmp - \"$SIGNATURE\""];
    let [beside, around] =
        [["--sign", sum[0], "--sign-verify", sum[1]], ["--clear-sign", sum[0], "--clear-sign-verify", sum[1]]];
    repository(&checkout, &[&["--from", "first"], &beside[..], &around].concat());
    let before = files(&checkout.path("xen"));
    for (signing, lost, variable) in
        [(&[][..], "Release.gpg", "XTASK_SIGN=…"), (&beside, "InRelease", "XTASK_CLEAR_SIGN=…")]
    {
        let ran = checkout.run(&[&["repo", "deb", "xen", "--from", "second"], signing].concat());
        assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
        ran.says(&[&format!("/{lost}` signs: no command signs the next one"), variable, "--unsigned"]);
        assert_eq!(files(&checkout.path("xen")), before);
    }
    repository(&checkout, &[&["--from", "second"], &beside[..], &around].concat());
    repository(&checkout, &[&["--index-only", "--unsigned"], &beside[..]].concat());
    let now = files(&checkout.path("xen"));
    assert!(!now.keys().any(|path| path.ends_with("InRelease") || path.ends_with("Release.gpg")), "{:?}", now.keys());
}

#[test]
fn another_package_of_the_same_version_and_what_is_none_are_refused() {
    let Some(checkout) = packed() else { return };
    repository(&checkout, &["--from", "first"]);
    let before = files(&checkout.path("xen"));
    let refused = |arguments: &[&str], says: &[&str]| {
        let ran = checkout.run(&[&["repo", "deb", "xen"], arguments].concat());
        assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
        ran.says(says);
        assert_eq!(files(&checkout.path("xen")), before);
    };
    refused(&["--from", "nowhere"], &["there are no packages to add in `nowhere`", "cargo xtask package deb"]);
    refused(&["--suite", "../x"], &["cannot use `../x` as the name of a distribution"]);
    // One that could be added comes before the one that is refused, whatever that is called.
    let first = package(&checkout, "first");
    let ran = checkout.run(&["package", "deb", "--allow-local", "--out", "epoch", "--epoch", "1"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    fs::rename(package(&checkout, "epoch"), first.with_file_name("a.deb")).unwrap();
    fs::write(first.with_file_name("z.deb"), redated(&first)).unwrap();
    fs::remove_file(&first).unwrap();
    refused(&["--from", "first"], &["one of the same version, with another content, is there", "--revision 2"]);
    fs::write(&first, "no package").unwrap();
    refused(&["--from", "first"], &["cannot read package"]);
}
