//! Which packages are installed, and which of them a build depends on.
//!
//! How exact that is: on Debian and Ubuntu it is the closure of the declared packages, read from dpkg's own file. On
//! the other families it is every installed package, from the family's own tool: that is never too little, so no build
//! is ever taken for up to date that is not, but any update of the system makes everything be built anew. On a
//! distribution that is not known it is only the release's name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::distro::Family;
use super::dpkg::Installed;
use super::remembered::{Remembered, Stamps, stamps};
use crate::error::{Context, Error, Result};
use crate::process::{Cancel, Program};

/// Name and version of packages; or the declared ones that are not installed.
pub(super) type Closure = Result<BTreeMap<String, String>, Vec<String>>;

/// The installed packages of the system at `root`.
#[derive(Debug)]
pub(super) struct Packages {
    root: PathBuf,
    family: Option<Family>,
    /// dpkg's file as it was read, and its stamp before that.
    dpkg: Mutex<Option<(Stamps, Arc<Installed>)>>,
}

impl Packages {
    pub(super) fn new(root: &Path, family: Option<Family>) -> Self {
        Packages { root: root.to_path_buf(), family, dpkg: Mutex::default() }
    }

    /// What building with `declared` packages depends on. `usual` packages (the compiler's) count where they are
    /// installed and are not missed where they are not: a machine may have its compiler from elsewhere.
    pub(super) fn closure(&self, declared: &[String], usual: &[&str], remembered: &Remembered) -> Result<Closure> {
        let declared: BTreeSet<String> = declared.iter().cloned().collect();
        let question = match self.family {
            Some(Family::Debian) => format!("packages of {} with {}", joined(&declared), usual.join(" ")),
            _ => "packages".to_owned(),
        };
        if let Some(known) = remembered.recall(&question) {
            return Ok(Ok(known));
        }
        let stamps = stamps(self.databases());
        let closure = self.read(&declared, usual)?;
        if let Ok(closure) = &closure {
            remembered.keep(&question, stamps, closure)?;
        }
        Ok(closure)
    }

    /// Those of `names` that are not installed.
    pub(super) fn missing(&self, names: &[String], remembered: &Remembered) -> Result<Vec<String>> {
        let names: BTreeSet<String> = names.iter().cloned().collect();
        let question = format!("installed: {}", joined(&names));
        if remembered.recall(&question) == Some(true) {
            return Ok(Vec::new());
        }
        let stamps = stamps(self.databases());
        let missing = match (self.family, self.read(&names, &[])?) {
            (Some(Family::Debian), read) => read.err().unwrap_or_default(),
            (None, _) => Vec::new(),
            (_, all) => {
                let all = all.unwrap_or_default();
                self.not_provided(names.iter().filter(|name| !all.contains_key(*name)).cloned().collect())
            }
        };
        if missing.is_empty() {
            remembered.keep(&question, stamps, &true)?;
        }
        Ok(missing)
    }

    /// Those of `names` that no installed package provides under another name.
    fn not_provided(&self, names: Vec<String>) -> Vec<String> {
        let succeeds = |argv: &[&str]| {
            Program::new(argv.to_vec()).run(&Cancel::default()).is_ok_and(|ended| ended.status.success())
        };
        let is_provided = |name: &String| match self.family {
            Some(Family::Fedora | Family::OpenSuse) => succeeds(&["rpm", "--quiet", "-q", "--whatprovides", name]),
            Some(Family::Alpine) => succeeds(&["apk", "info", "--quiet", "--installed", name]),
            Some(Family::Arch) => succeeds(&["pacman", "--deptest", name]),
            // dpkg.rs has looked at what packages provide.
            Some(Family::Debian) | None => false,
        };
        names.into_iter().filter(|name| !is_provided(name)).collect()
    }

    /// The files that change when a package does.
    fn databases(&self) -> Vec<PathBuf> {
        let paths: &[&str] = match self.family {
            Some(Family::Debian) => &["var/lib/dpkg/status"],
            Some(Family::Fedora | Family::OpenSuse) => &[
                "usr/lib/sysimage/rpm/rpmdb.sqlite",
                "usr/lib/sysimage/rpm/rpmdb.sqlite-wal",
                "usr/lib/sysimage/rpm/Packages.db",
                "var/lib/rpm/rpmdb.sqlite",
                "var/lib/rpm/rpmdb.sqlite-wal",
                "var/lib/rpm/Packages.db",
                "var/lib/rpm/Packages",
            ],
            Some(Family::Alpine) => &["lib/apk/db/installed", "usr/lib/apk/db/installed"],
            Some(Family::Arch) => &["var/lib/pacman/local"],
            None => &["etc/os-release"],
        };
        paths.iter().map(|path| self.root.join(path)).collect()
    }

    fn dpkg(&self) -> Result<Arc<Installed>> {
        let mut known = self.dpkg.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(self.databases());
        if let Some((_, installed)) = known.as_ref().filter(|(of, _)| *of == stamps) {
            return Ok(installed.clone());
        }
        let path = self.root.join("var/lib/dpkg/status");
        let reading = || format!("cannot read the installed packages from `{}`", path.display());
        let text = std::fs::read(&path).context(reading)?;
        let installed = Installed::parse(&String::from_utf8_lossy(&text));
        let installed = Arc::new(installed.map_err(|why| Error::machine(reading()).because(why))?);
        *known = Some((stamps, installed.clone()));
        Ok(installed)
    }

    fn read(&self, declared: &BTreeSet<String>, usual: &[&str]) -> Result<Closure> {
        let ask = |argv: &[&str]| {
            let what = || format!("cannot list the installed packages with `{}`", argv.join(" "));
            Ok::<_, Error>(
                String::from_utf8_lossy(&Program::new(argv.to_vec()).run(&Cancel::default())?.success(what)?)
                    .into_owned(),
            )
        };
        match self.family {
            Some(Family::Debian) => {
                let installed = self.dpkg()?;
                let mut wanted = declared.clone();
                wanted.extend(usual.iter().filter(|name| installed.has(name)).map(|name| (*name).to_owned()));
                Ok(installed.closure(&wanted))
            }
            Some(Family::Fedora | Family::OpenSuse) => {
                let format = "%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE}.%{ARCH}\\n";
                Ok(Ok(rows(&ask(&["rpm", "-qa", "--qf", format])?, plain_row)))
            }
            Some(Family::Alpine) => Ok(Ok(rows(&ask(&["apk", "info", "-vv"])?, apk_row))),
            Some(Family::Arch) => Ok(Ok(rows(&ask(&["pacman", "-Q"])?, plain_row))),
            None => {
                let text = std::fs::read_to_string(self.root.join("etc/os-release")).unwrap_or_default();
                let is_version =
                    |line: &&str| ["ID=", "VERSION_ID=", "BUILD_ID="].iter().any(|key| line.starts_with(key));
                let version: Vec<_> = text.lines().filter(is_version).collect();
                Ok(Ok(BTreeMap::from([("os-release".to_owned(), version.join(" "))])))
            }
        }
    }
}

fn rows<'a>(text: &'a str, row: impl Fn(&'a str) -> Option<(&'a str, &'a str)>) -> BTreeMap<String, String> {
    text.lines().filter_map(row).map(|(name, version)| (name.to_owned(), version.to_owned())).collect()
}

/// `name version`, of rpm and pacman.
fn plain_row(line: &str) -> Option<(&str, &str)> {
    line.trim().split_once(' ')
}

/// `name-version-rN - description`, of apk: a name may hold dashes, a version may not.
fn apk_row(line: &str) -> Option<(&str, &str)> {
    let full = line.split(" - ").next()?.trim();
    let release = full.rfind('-')?;
    let version = full[..release].rfind('-')?;
    Some((&full[..version], &full[version + 1..]))
}

fn joined(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_other_families_are_read() {
        assert_eq!(plain_row("gcc 0:14.2.1-3.fc41.x86_64"), Some(("gcc", "0:14.2.1-3.fc41.x86_64")));
        assert_eq!(apk_row("util-linux-dev-2.40.1-r1 - tools - and more"), Some(("util-linux-dev", "2.40.1-r1")));
        assert_eq!(apk_row("WARNING"), None);
    }

    #[test]
    fn what_is_installed_is_read_anew_only_when_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        let status = dir.path().join("var/lib/dpkg/status");
        std::fs::create_dir_all(status.parent().unwrap()).unwrap();
        let write = |version: &str| {
            let text = format!("Package: bison\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\n");
            crate::atomic::write(&status, text.as_bytes()).unwrap();
        };
        write("1");
        let packages = Packages::new(dir.path(), Some(Family::Debian));
        let remembered = Remembered::open(dir.path().join("state.json"));
        let ask = |name: &str| packages.closure(&[name.to_owned()], &["gcc"], &remembered).unwrap();
        assert_eq!(ask("bison").unwrap()["bison"], "1");
        assert_eq!(ask("flex").unwrap_err(), ["flex"]);
        assert_eq!(packages.missing(&["flex".to_owned(), "bison".to_owned()], &remembered).unwrap(), ["flex"]);
        write("2");
        assert_eq!(ask("bison").unwrap()["bison"], "2");
        assert!(packages.missing(&["bison".to_owned()], &remembered).unwrap().is_empty());
        let again = Remembered::open(dir.path().join("state.json"));
        assert_eq!(packages.closure(&["bison".to_owned()], &["gcc"], &again).unwrap().unwrap()["bison"], "2");
    }
}
