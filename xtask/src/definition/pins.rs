//! Whether a lock pins every source of its manifest, and each in the shape that its origin needs. A lock that does not
//! is refused by whatever fetches or builds; `update` fills it.

use super::diagnostic::{Diagnostics, File, Finding, Problem};
use super::form::relative_fault;
use super::lock::VERSION;
use super::place::Place;
use super::{Definitions, Lock, Manifest, Name, Origin, Pin, Signed};
use crate::layout::Layout;

impl Definitions {
    /// `Err` with everything that the lock lacks; a manifest without a lock lacks every pin.
    pub fn check_lock(&self, layout: &Layout) -> Result<(), Diagnostics> {
        let nothing = Lock::default();
        let faults = faults(&self.manifest_name, &self.manifest, self.lock.as_ref().unwrap_or(&nothing));
        let manifest = manifest_path(&self.manifest_name);
        let problem = |fault: Fault| {
            // What a manifest lacks a pin of may stand in a file that it includes.
            let stands = self.origins.file_of(&fault.finding).filter(|_| fault.path == manifest);
            let path = stands.map_or(fault.path.clone(), str::to_owned);
            match File::read(&layout.root, path) {
                Some(file) => fault.finding.in_file(&file),
                None => Problem::without_file(fault.finding.message, fault.finding.help),
            }
        };
        Diagnostics::new(faults.into_iter().map(problem).collect()).into_result()
    }
}

/// What is wrong in a lock by itself, whatever its manifest says.
pub(super) fn check_lock(manifest: &Name, lock: &Lock) -> Vec<Finding> {
    let mut findings = Vec::new();
    if lock.version != VERSION {
        let message = format!("this lock has version {}, but {VERSION} is known", lock.version);
        findings.push(Finding::new(Place::of("version"), message, "written by another release of Sultana"));
    }
    for (source, pin) in &lock.sources {
        let files = pin.files.iter().map(|file| ("files", &file.path));
        let submodules = pin.submodules.iter().map(|submodule| ("submodules", &submodule.path));
        let mut indexes = (0..pin.files.len()).chain(0..pin.submodules.len());
        for ((key, path), index) in files.chain(submodules).zip(&mut indexes) {
            // These become places on disk.
            if let Some(fault) = relative_fault(path) {
                let place = Place::of("sources").key(source.as_str()).key(key).index(index).key("path");
                findings.push(Finding::new(place, format!("`{path}` leads out of source `{source}`"), fault));
            }
        }
    }
    findings.into_iter().map(|finding| finding.help(lock_help(manifest))).collect()
}

/// Nobody mends a lock by hand.
pub(super) fn lock_help(manifest: &Name) -> String {
    format!(
        "a lock is written by a command only: rm manifests/{manifest}.lock && cargo xtask update --manifest {manifest}"
    )
}

fn manifest_path(manifest: &Name) -> String {
    format!("manifests/{manifest}.toml")
}

fn lock_path(manifest: &Name) -> String {
    format!("manifests/{manifest}.lock")
}

/// What is wrong with a pin, and the file in which that is shown.
struct Fault {
    path: String,
    finding: Finding,
}

fn faults(name: &Name, manifest: &Manifest, lock: &Lock) -> Vec<Fault> {
    let mut faults = Vec::new();
    let unfreeze = if lock.frozen { format!("cargo xtask unfreeze --manifest {name} && ") } else { String::new() };
    for (source, origin) in &manifest.sources {
        let update = format!("{unfreeze}cargo xtask update --manifest {name} {source}");
        match (origin, lock.sources.get(source)) {
            (Origin::Path(_), None) => {}
            (Origin::Path(_), Some(_)) => {
                let message = format!("source `{source}` is a local directory, but the lock pins it");
                let finding = Finding::new(Place::of("sources").key(source.as_str()).name(), message, "stale");
                faults.push(Fault { path: lock_path(name), finding: finding.help(update) });
            }
            (_, None) => {
                let message = format!("source `{source}` has no pin in {}", lock_path(name));
                let finding = Finding::new(Place::of("sources").key(source.as_str()), message, "not locked");
                faults.push(Fault { path: manifest_path(name), finding: finding.help(update) });
            }
            (origin, Some(pin)) => {
                for (key, message, label) in misfits(origin, pin) {
                    let place = Place::of("sources").key(source.as_str());
                    let place = if key.is_empty() { place.name() } else { place.key(key) };
                    let finding = Finding::new(place, format!("pin of source `{source}` {message}"), label);
                    faults.push(Fault { path: lock_path(name), finding: finding.help(update.clone()) });
                }
            }
        }
    }
    for source in lock.sources.keys().filter(|source| !manifest.sources.contains_key(*source)) {
        let message = format!("the lock pins `{source}`, which is no source of manifest `{name}`");
        let finding = Finding::new(Place::of("sources").key(source.as_str()).name(), message, "stale");
        let help = format!("{unfreeze}cargo xtask update --manifest {name}");
        faults.push(Fault { path: lock_path(name), finding: finding.help(help) });
    }
    faults
}

/// What a pin lacks or has too much for its origin: the key, what of it, what to say beside it.
fn misfits(origin: &Origin, pin: &Pin) -> Vec<(&'static str, String, &'static str)> {
    let mut misfits = Vec::new();
    let mut misfit = |is_wrong: bool, key, message: &str, label| {
        if is_wrong {
            misfits.push((key, message.to_owned(), label));
        }
    };
    let is_git = matches!(origin, Origin::Git(_));
    let is_apt = matches!(origin, Origin::Apt(_));
    misfit(is_git && pin.commit.is_none(), "", "has no commit", "a git origin is pinned by its commit");
    misfit(!is_git && pin.commit.is_some(), "commit", "has a commit", "its origin is not git");
    misfit(
        is_apt && pin.version.is_none(),
        "",
        "has no version",
        "a Debian source package is pinned by its version and files",
    );
    misfit(!is_apt && pin.version.is_some(), "version", "has a version", "its origin is not apt");
    misfit(!is_git && pin.files.is_empty(), "", "has no files", "it is pinned by size and sha256 of its files");
    misfit(is_git && !pin.files.is_empty(), "files", "has files", "its origin is git");
    match origin {
        Origin::Git(git) => {
            let moved =
                git.commit.as_deref().zip(pin.commit.as_ref()).is_some_and(|(wanted, pin)| wanted != pin.as_str());
            misfit(
                moved,
                "commit",
                "is another commit than the manifest's",
                "the manifest was changed after it was locked",
            );
            let unsigned = git.require_signed == Some(Signed::Tag) && pin.signed_tag.is_none();
            misfit(unsigned, "", "has no signed tag", "the manifest asks for one");
            let unwanted = !git.submodules && !pin.submodules.is_empty();
            misfit(unwanted, "submodules", "has submodules", "the manifest does not ask for them");
        }
        Origin::Apt(apt) => {
            let moved = apt.version.as_ref().zip(pin.version.as_ref()).is_some_and(|(wanted, pin)| wanted != pin);
            misfit(
                moved,
                "version",
                "is another version than the manifest's",
                "the manifest was changed after it was locked",
            );
        }
        Origin::Archive(archive) => {
            misfit(pin.files.len() > 1, "files", "has more than one file", "an archive is one file");
            let is_named = |name: &str| archive.urls.iter().any(|url| url.contains(name));
            let moved = pin.files.first().is_some_and(|file| !is_named(&file.path));
            misfit(
                moved,
                "files",
                "is of another file than the manifest's",
                "the manifest was changed after it was locked",
            );
        }
        Origin::Path(_) => {}
    }
    misfits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(manifest: &str, lock: &str) -> Vec<String> {
        let manifest: Manifest =
            toml::from_str(&format!("summary = 'x'\ncomponents = ['x']\n[sources]\n{manifest}")).unwrap();
        let lock: Lock = toml::from_str(&format!("version = 1\n{lock}")).unwrap();
        let name = "m".parse().unwrap();
        faults(&name, &manifest, &lock)
            .into_iter()
            .map(|fault| format!("{}: {}", fault.path, fault.finding.message))
            .collect()
    }

    const HEX: &str = "0123456789abcdef0123456789abcdef01234567";
    const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn every_source_but_local_ones_has_a_pin() {
        let manifest = "a.git = { urls = ['u'], branch = 'b' }\nb.path.dir = 'x'\nc.apt.package = 'c'\n";
        assert_eq!(
            check(manifest, ""),
            [
                "manifests/m.toml: source `a` has no pin in manifests/m.lock",
                "manifests/m.toml: source `c` has no pin in manifests/m.lock"
            ]
        );
        let lock = format!("b = {{ tree = '{HASH}', epoch = 1 }}\nd = {{ tree = '{HASH}', epoch = 1 }}");
        assert_eq!(
            check("b.path.dir = 'x'", &format!("[sources]\n{lock}")),
            [
                "manifests/m.lock: source `b` is a local directory, but the lock pins it",
                "manifests/m.lock: the lock pins `d`, which is no source of manifest `m`",
            ]
        );
    }

    #[test]
    fn paths_of_a_lock_stay_inside() {
        let file = |path: &str| format!("{{ path = '{path}', size = 1, sha256 = '{HASH}' }}");
        let text = format!(
            "version = 2\n[sources.a]\ntree = '{HASH}'\nepoch = 1\nfiles = [{}, {}]",
            file("pool/a"),
            file("../a")
        );
        let findings = check_lock(&"m".parse().unwrap(), &toml::from_str(&text).unwrap());
        let messages: Vec<_> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages, ["this lock has version 2, but 1 is known", "`../a` leads out of source `a`"]);
    }

    #[test]
    fn a_pin_has_the_shape_of_its_origin() {
        let lock = |pin: &str| format!("[sources.a]\ntree = '{HASH}'\nepoch = 1\n{pin}");
        let commit = format!("commit = '{HEX}'");
        let file = |path: &str| format!("files = [{{ path = '{path}', size = 1, sha256 = '{HASH}' }}]");
        let git = "a.git = { urls = ['u'], branch = 'b' }";
        assert!(check(git, &lock(&commit)).is_empty());
        assert_eq!(check(git, &lock("")), ["manifests/m.lock: pin of source `a` has no commit"]);
        let other = "a.git = { urls = ['u'], commit = '1123456789abcdef0123456789abcdef01234567' }";
        assert_eq!(
            check(other, &lock(&commit)),
            ["manifests/m.lock: pin of source `a` is another commit than the manifest's"]
        );

        let archive = "a.archive.urls = ['https://x/a-1.tar.gz']";
        assert!(check(archive, &lock(&file("a-1.tar.gz"))).is_empty());
        assert_eq!(
            check(archive, &lock(&file("a-0.tar.gz"))),
            ["manifests/m.lock: pin of source `a` is of another file than the manifest's"]
        );
        assert_eq!(check(archive, &lock(&commit)).len(), 2);

        let apt = "a.apt = { package = 'a', version = '1-1' }";
        assert!(check(apt, &lock(&format!("version = '1-1'\n{}", file("pool/a.dsc")))).is_empty());
        assert_eq!(check(apt, &lock("version = '1-2'")).len(), 2);
    }
}
