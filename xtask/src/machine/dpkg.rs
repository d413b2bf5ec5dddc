//! Installed packages as dpkg's status file has them, and what a set of them depends on. Exact: the file is what dpkg
//! itself goes by. Reads; runs nothing.

use std::collections::{BTreeMap, BTreeSet};

use deb822_fast::borrowed::BorrowedParser;

/// One installed package.
#[derive(Debug, Default)]
struct Package {
    name: String,
    version: String,
    arch: String,
    depends: String,
    pre_depends: String,
}

/// Everything installed.
#[derive(Debug, Default)]
pub(super) struct Installed {
    packages: Vec<Package>,
    /// Indexes of the packages of that name, one for each architecture.
    by_name: BTreeMap<String, Vec<usize>>,
    /// Indexes of the packages that provide a virtual one.
    providers: BTreeMap<String, Vec<usize>>,
    /// dpkg's own architecture.
    native: String,
}

impl Installed {
    /// Reads the text of a status file. Packages that are not installed (removed with their configuration kept, half
    /// done) do not count.
    pub(super) fn parse(status: &str) -> Result<Self, String> {
        let mut installed = Installed::default();
        for paragraph in BorrowedParser::new(status).parse_all().map_err(|error| error.to_string())? {
            let field = |name| paragraph.get_single(name).unwrap_or_default().to_owned();
            let package = Package {
                name: field("Package"),
                version: field("Version"),
                arch: field("Architecture"),
                depends: field("Depends"),
                pre_depends: field("Pre-Depends"),
            };
            if package.name.is_empty() || !field("Status").ends_with(" installed") {
                continue;
            }
            if package.name == "dpkg" {
                installed.native.clone_from(&package.arch);
            }
            let index = installed.packages.len();
            installed.by_name.entry(package.name.clone()).or_default().push(index);
            for provided in field("Provides").split(',').map(bare_name).filter(|name| !name.is_empty()) {
                installed.providers.entry(provided.to_owned()).or_default().push(index);
            }
            installed.packages.push(package);
        }
        Ok(installed)
    }

    /// Name and version of every package in the closure of `names` over Depends and Pre-Depends, sorted; or those of
    /// `names` that are neither installed nor provided by an installed package.
    ///
    /// Of alternatives the first that is installed counts, as it does for dpkg; of a virtual package every installed
    /// provider, since nothing says which one is used. Recommends do not count: nothing is built that needs them and
    /// does not say so.
    pub(super) fn closure(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Vec<String>> {
        let mut missing = Vec::new();
        let (mut seen, mut todo) = (vec![false; self.packages.len()], Vec::new());
        for name in names {
            match self.satisfying(name, &self.native) {
                found if found.is_empty() => missing.push(name.clone()),
                found => todo.extend(found),
            }
        }
        if !missing.is_empty() {
            return Err(missing);
        }
        let mut closure = BTreeMap::new();
        while let Some(index) = todo.pop() {
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            let package = &self.packages[index];
            let is_foreign = package.arch != self.native && package.arch != "all";
            let name = if is_foreign { format!("{}:{}", package.name, package.arch) } else { package.name.clone() };
            closure.insert(name, package.version.clone());
            for dependency in package.depends.split(',').chain(package.pre_depends.split(',')) {
                let mut alternatives =
                    dependency.split('|').map(|name| self.satisfying(bare_name(name), &package.arch));
                todo.extend(alternatives.find(|found| !found.is_empty()).unwrap_or_default());
            }
        }
        Ok(closure)
    }

    /// A package of that name, or one that provides it, is installed.
    pub(super) fn has(&self, name: &str) -> bool {
        !self.satisfying(name, &self.native).is_empty()
    }

    /// The packages of that name, else those that provide it; for a package of architecture `arch`.
    fn satisfying(&self, name: &str, arch: &str) -> Vec<usize> {
        let arch = if arch == "all" { &self.native } else { arch };
        let fits = |index: &&usize| [arch, "all"].contains(&self.packages[**index].arch.as_str());
        let of = |indexes: Option<&Vec<usize>>| -> Vec<usize> {
            let indexes = indexes.map(Vec::as_slice).unwrap_or_default();
            let same: Vec<usize> = indexes.iter().filter(fits).copied().collect();
            if same.is_empty() { indexes.to_vec() } else { same }
        };
        let real = of(self.by_name.get(name));
        if real.is_empty() { of(self.providers.get(name)) } else { real }
    }
}

/// `libc6` of ` libc6:any (>= 2.36) [amd64]`.
fn bare_name(dependency: &str) -> &str {
    let end = |c: char| c.is_whitespace() || "(:[<".contains(c);
    dependency.trim().split(end).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "\
Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1.21

Package: gcc
Status: install ok installed
Architecture: amd64
Version: 4:12
Depends: gcc-12 (>= 12.2~), cpp:any | cpp-11
Description: GNU C compiler
 Depends: not-a-field
 .
 text

Package: gcc-12
Status: install ok installed
Architecture: amd64
Version: 12.2
Pre-Depends: libc6 (>= 2.36)
Provides: c-compiler, c99 (= 1)

Package: cpp-11
Status: install ok installed
Architecture: amd64
Version: 11

Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.36
Depends: gone-long-ago

Package: wine
Status: install ok installed
Architecture: i386
Version: 8
Depends: libc6, data

Package: data
Status: install ok installed
Architecture: all
Version: 1
Depends: gcc-12

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: half
Status: install ok half-configured
Architecture: amd64
Version: 1
";

    fn check(names: &[&str]) -> Result<String, Vec<String>> {
        let installed = Installed::parse(STATUS).unwrap();
        let closure = installed.closure(&names.iter().map(ToString::to_string).collect())?;
        Ok(closure.iter().map(|(name, version)| format!("{name}={version}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn closures_follow_depends_pre_depends_alternatives_and_provides() {
        assert_eq!(check(&["gcc"]).unwrap(), "cpp-11=11 gcc=4:12 gcc-12=12.2 libc6=2.36");
        assert_eq!(check(&["c99"]).unwrap(), "gcc-12=12.2 libc6=2.36");
        assert_eq!(check(&[]).unwrap(), "");
    }

    #[test]
    fn packages_of_another_architecture_keep_to_themselves_and_are_called_so() {
        assert_eq!(check(&["wine"]).unwrap(), "data=1 gcc-12=12.2 libc6=2.36 libc6:i386=2.36 wine:i386=8");
    }

    #[test]
    fn what_is_not_really_installed_is_missing() {
        assert_eq!(check(&["gcc", "removed", "half", "nothing"]).unwrap_err(), ["half", "nothing", "removed"]);
    }
}
