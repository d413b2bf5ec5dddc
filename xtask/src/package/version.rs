//! Versions of packages: that of the source, and a revision of ours by which they come after the distribution's of the same source.

use std::fs;
use std::path::Path;

use crate::definition::{Git, Origin, Pin};
use crate::xen_version::xen_version;

/// A version, with the parts that package managers compare one after the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// It counts before everything else.
    pub epoch: u32,
    /// Of the source.
    pub upstream: String,
    /// Of the packages made from it.
    pub revision: String,
}

impl Version {
    /// `source` as `of_source` gives it. `revision` counts the packages that somebody made of it. `local`: it is not the source alone, and
    /// comes before what is.
    pub fn new(source: &str, epoch: u32, revision: u32, local: bool) -> Self {
        let ours = format!("+sultana{revision}{}", if local { "~local" } else { "" });
        let (upstream, revision) = match source.rsplit_once('-') {
            // The distribution's own revision stays, and ours is after it.
            Some((upstream, theirs)) => (upstream.to_owned(), format!("{theirs}{ours}")),
            None => (format!("{source}{ours}"), "1".to_owned()),
        };
        Version { epoch, upstream, revision }
    }

    /// As Debian writes it.
    pub fn deb(&self) -> String {
        format!("{}{}", self.epoch_text(), self.without_epoch())
    }

    /// The same without the epoch, as file names have it.
    pub fn without_epoch(&self) -> String {
        format!("{}-{}", self.upstream, self.revision)
    }

    /// `1:`, or nothing.
    pub fn epoch_text(&self) -> String {
        if self.epoch == 0 { String::new() } else { format!("{}:", self.epoch) }
    }

    /// Version and release of an rpm, which have no dashes.
    pub fn rpm(&self) -> (String, String) {
        (self.upstream.replace('-', "."), self.revision.replace('-', "."))
    }

    /// The first number: `4`.
    pub fn major(&self) -> &str {
        let end = self.upstream.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.upstream.len());
        &self.upstream[..end]
    }

    /// The first two numbers: `4.17`.
    pub fn minor(&self) -> &str {
        let major = self.major().len();
        let Some(rest) = self.upstream[major..].strip_prefix('.') else { return self.major() };
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        &self.upstream[..major + 1 + end]
    }
}

/// The version of a source: with a revision after a dash only where a distribution gave it one.
pub fn of_source(origin: &Origin, pin: Option<&Pin>, dir: &Path) -> String {
    let said = match origin {
        Origin::Apt(_) => pin.and_then(|pin| pin.version.clone()).map(|version| {
            // An epoch of Debian's is about Debian's own history.
            version.split_once(':').map_or(version.clone(), |(_, version)| version.to_owned())
        }),
        Origin::Git(git) => Some(of_git(git, pin, dir)),
        Origin::Archive(archive) => archive.urls.first().and_then(|url| {
            let file = url.rsplit('/').next().unwrap_or_default();
            let stem = [".tar.gz", ".tar.xz", ".tar.bz2", ".tgz"].iter().find_map(|end| file.strip_suffix(end));
            numbers(stem.unwrap_or(file))
        }),
        Origin::Path(_) => of_crate(dir),
    };
    said.unwrap_or_else(|| "0".to_owned())
}

fn of_git(git: &Git, pin: Option<&Pin>, dir: &Path) -> String {
    if let Some(version) = git.tag.as_deref().and_then(numbers) {
        return version;
    }
    let base = of_xen(dir).unwrap_or_else(|| "0".to_owned());
    let Some(pin) = pin else { return base };
    let date = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + std::time::Duration::from_secs(pin.epoch));
    let date: String = date.to_string().chars().filter(char::is_ascii_digit).collect();
    let commit = pin.commit.as_ref().map_or("", |commit| &commit.as_str()[..10]);
    // A number directly after the base comes after a package of that version itself, whose `+sultana1` both dpkg and rpm put before it.
    format!("{base}.{date}.g{commit}")
}

/// What follows the name: `4.20.0~rc3` of `RELEASE-4.20.0-rc3`. A candidate comes before what it is one for.
fn numbers(text: &str) -> Option<String> {
    let first = text.find(|c: char| c.is_ascii_digit())?;
    let mut version = text[first..].to_ascii_lowercase();
    for word in ["rc", "pre", "alpha", "beta", "unstable"] {
        for dash in ["-", ".", "_"] {
            version = version.replace(&format!("{dash}{word}"), &format!("~{word}"));
        }
    }
    Some(version.chars().map(|c| if c.is_ascii_alphanumeric() || ".+~".contains(c) { c } else { '.' }).collect())
}

/// The number that Xen's tree has for itself: `4.20.1~pre` of a branch on the way to 4.20.1, `4.21~unstable` of one on the way to 4.21.0.
/// Both come before what they lead to, and after what was released before it.
fn of_xen(dir: &Path) -> Option<String> {
    numbers(&xen_version(&fs::read_to_string(dir.join("xen/Makefile")).ok()?, "", None)?)
}

/// What the directory's `Cargo.toml` says.
fn of_crate(dir: &Path) -> Option<String> {
    let manifest: toml::Table = fs::read_to_string(dir.join("Cargo.toml")).ok()?.parse().ok()?;
    let package = |table: Option<&toml::Value>| numbers(table?.get("package")?.get("version")?.as_str()?);
    package(manifest.get("workspace")).or_else(|| numbers(manifest.get("package")?.get("version")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_comes_after_the_distributions_and_before_its_next() {
        let check = |source: &str, wanted: &str| {
            let version = Version::new(source, 0, 1, false);
            assert_eq!(version.deb(), wanted);
            version
        };
        let version = check("4.17.5+72-g01140da4e8-1", "4.17.5+72-g01140da4e8-1+sultana1");
        assert_eq!((version.major(), version.minor()), ("4", "4.17"));
        assert_eq!(version.rpm(), ("4.17.5+72.g01140da4e8".to_owned(), "1+sultana1".to_owned()));
        assert_eq!(check("4.20.1", "4.20.1+sultana1-1").minor(), "4.20");
        assert_eq!(Version::new("4.20.1", 2, 3, true).deb(), "2:4.20.1+sultana3~local-1");
        assert_eq!(Version::new("7", 0, 1, false).minor(), "7");
    }

    /// What `XEN_EXTRAVERSION` says in a tree at a commit of that time.
    fn branch(minor: u32, extra: &str, epoch: u64) -> String {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("xen")).unwrap();
        let makefile = format!(
            "export XEN_VERSION      = 4\nexport XEN_SUBVERSION   = {minor}\nexport XEN_EXTRAVERSION ?= {extra}$(XEN_VENDORVERSION)\n"
        );
        fs::write(dir.path().join("xen/Makefile"), makefile).unwrap();
        let pin = format!("commit = '{}'\ntree = '{}'\nepoch = {epoch}\n", "0123456789".repeat(4), "0".repeat(64));
        let git = toml::from_str("urls = []\nbranch = 'b'").unwrap();
        Version::new(&of_git(&git, Some(&toml::from_str(&pin).unwrap()), dir.path()), 0, 1, false).deb()
    }

    /// In their order, as both kinds of package managers see it.
    fn in_order() -> Vec<String> {
        let tag = |tag: &str| Version::new(&numbers(tag).unwrap(), 0, 1, false).deb();
        vec![
            "4.17.5+72-g01140da4e8-1".to_owned(),
            "4.17.5+72-g01140da4e8-1+sultana1~local".to_owned(),
            "4.17.5+72-g01140da4e8-1+sultana1".to_owned(),
            "4.17.5+72-g01140da4e8-1+sultana2".to_owned(),
            "4.17.5+72-g01140da4e8-1+sultana10".to_owned(),
            branch(20, "-unstable", 1_700_000_000),
            branch(20, "-unstable", 1_700_000_001),
            tag("RELEASE-4.20.0-rc3"),
            branch(20, ".0-rc3", 1_700_000_000),
            tag("RELEASE-4.20.0-rc4"),
            "4.20.0+sultana1~local-1".to_owned(),
            tag("RELEASE-4.20.0"),
            branch(20, ".0", 1_700_000_000),
            branch(20, ".1-pre", 1_600_000_000),
            branch(20, ".1-pre", 1_600_000_001),
            tag("RELEASE-4.20.1"),
            branch(21, "-unstable", 1_500_000_000),
            tag("RELEASE-4.21.0"),
        ]
    }

    #[test]
    fn branches_come_before_what_they_lead_to_and_after_what_was_before() {
        assert_eq!(branch(20, ".1-pre", 1_600_000_000), "4.20.1~pre.20200913122640.g0123456789+sultana1-1");
        assert_eq!(Version::new("4.21~unstable.1.g0", 0, 1, false).minor(), "4.21");
        for pair in in_order().windows(2) {
            assert!(crate::package::dpkg::is_later(&pair[1], &pair[0]), "{pair:?}");
        }
        if which::which("dpkg").is_err() {
            eprintln!("SKIPPED: dpkg's order of versions: there is no dpkg");
            return;
        }
        for pair in in_order().windows(2) {
            let argv = ["dpkg", "--compare-versions", &pair[0], "lt", &pair[1]];
            let ended = crate::process::Program::new(argv).run(&crate::process::Cancel::default()).unwrap();
            assert!(ended.status.success(), "{pair:?}");
        }
    }

    #[test]
    fn rpm_sees_the_same_order() {
        // What `rpm()` makes of them.
        let evr = |deb: &String| {
            let (version, release) = deb.rsplit_once('-').unwrap();
            format!("{}-{release}", version.replace('-', "."))
        };
        for pair in in_order().windows(2) {
            let [one, next] = [evr(&pair[0]), evr(&pair[1])];
            assert!(rpm_version::Evr::parse(&one) < rpm_version::Evr::parse(&next), "{one} {next}");
        }
    }

    #[test]
    fn tags_and_archives_say_their_numbers() {
        let check = |text: &str, wanted: &str| assert_eq!(numbers(text).as_deref(), Some(wanted));
        check("RELEASE-4.20.0-rc3", "4.20.0~rc3");
        check("rel-1.16.3", "1.16.3");
        check("v10.0.0", "10.0.0");
        check("grub-2.06", "2.06");
        assert_eq!(numbers("master"), None);
    }
}
