//! A package as Fedora and openSUSE have it: what it is called there and how it is related to others. Pure; `write.rs` makes the
//! file. `capabilities.rs` names libraries with the versions of their symbols, `directories.rs` knows which directories go with a package.

mod capabilities;
mod directories;
#[cfg(feature = "extras")]
mod write;

use std::collections::BTreeSet;
use std::fmt;

pub use directories::own_directories;
#[cfg(feature = "extras")]
pub use write::bytes;

use super::facts::Facts;
use super::version::Version;
use super::{Bound, Package, Relation};

/// Another package, or something that one brings: `xen-libs = 4.17.5-1`, `libc.so.6()(64bit)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// Which of its versions.
    pub version: Option<(Bound, String)>,
}

impl Dependency {
    fn any(name: impl Into<String>) -> Self {
        Dependency { name: name.into(), version: None }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((bound, version)) = &self.version else { return to.write_str(&self.name) };
        let sign = match bound {
            Bound::Same => "=",
            Bound::AtLeast => ">=",
            Bound::Before => "<",
        };
        write!(to, "{} {sign} {version}", self.name)
    }
}

/// All that an rpm says of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relations {
    /// Without these it does not work.
    pub requires: BTreeSet<Dependency>,
    /// What it brings, beside its own name.
    pub provides: BTreeSet<Dependency>,
    /// Most want these.
    pub recommends: BTreeSet<Dependency>,
    /// These cannot be beside it.
    pub conflicts: BTreeSet<Dependency>,
    /// It stands for these now.
    pub obsoletes: BTreeSet<Dependency>,
}

/// The relations of a package whose files have these facts.
pub fn relations(package: &Package, facts: &Facts) -> Relations {
    let own = evr(&package.version);
    let others = |relations: &BTreeSet<Relation>| relations.iter().map(dependency).collect::<BTreeSet<_>>();
    let names = |names: &BTreeSet<String>| names.iter().map(Dependency::any).collect::<Vec<_>>();
    let (needed, provided) = capabilities::of_files(package, facts);
    let mut requires = others(&package.depends);
    requires.extend(needed.into_iter().map(Dependency::any));
    requires.extend(names(&package.needed));
    requires.extend(package.foreign.interpreters.iter().map(Dependency::any));
    let abi =
        |python: &String| Dependency { name: "python(abi)".to_owned(), version: Some((Bound::Same, python.clone())) };
    requires.extend(package.foreign.python.as_ref().map(abi));
    let mut provides: BTreeSet<Dependency> = provided.into_iter().map(Dependency::any).collect();
    let configs = package.files.keys().filter_map(|path| path.strip_suffix(".pc")?.rsplit_once("/pkgconfig/"));
    provides.extend(configs.map(|(_, name)| Dependency::any(format!("pkgconfig({name})"))));
    // Who asks for another name of it may ask for a version.
    let named = package.provides.iter().filter(|relation| relation.name != package.name);
    provides.extend(
        named.map(|relation| Dependency { name: relation.name.clone(), version: Some((Bound::Same, own.clone())) }),
    );
    let mut recommends = others(&package.recommends);
    recommends.extend(names(&package.named));
    recommends.retain(|one| !requires.iter().any(|other| other.name == one.name));
    // Of its own set it took files over, another's packages it replaces.
    let (own_set, whole): (Vec<_>, Vec<_>) = package.replaces.iter().partition(|relation| relation.version.is_some());
    let before =
        |relation: &Relation| Dependency { name: relation.name.clone(), version: Some((Bound::Before, own.clone())) };
    let mut conflicts: BTreeSet<Dependency> = own_set.into_iter().map(dependency).collect();
    conflicts.extend(package.conflicts.iter().filter(|relation| !whole.contains(relation)).map(dependency));
    Relations { requires, provides, recommends, conflicts, obsoletes: whole.into_iter().map(before).collect() }
}

fn dependency(relation: &Relation) -> Dependency {
    let version = relation.version.as_ref().map(|(bound, version)| (*bound, evr(version)));
    Dependency { name: relation.name.clone(), version }
}

/// Epoch, version and release: `1:4.17.5-1`.
fn evr(version: &Version) -> String {
    let (number, release) = version.rpm();
    format!("{}{number}-{release}", version.epoch_text())
}

/// The name of its file.
pub fn file_name(package: &Package, arch: &str) -> String {
    let (version, release) = package.version.rpm();
    format!("{}-{version}-{release}.{arch}.rpm", package.name)
}

/// What a spec file would say of it.
pub fn preamble(package: &Package, arch: &str, relations: &Relations) -> String {
    let (version, release) = package.version.rpm();
    let mut fields = vec![
        ("Name", package.name.clone()),
        ("Version", version),
        ("Release", release),
        ("Summary", package.summary.clone()),
        ("License", package.licence.clone()),
        ("URL", package.homepage.clone()),
        ("BuildArch", arch.to_owned()),
    ];
    if package.version.epoch > 0 {
        fields.insert(1, ("Epoch", package.version.epoch.to_string()));
    }
    let lists = [
        ("Requires", &relations.requires),
        ("Recommends", &relations.recommends),
        ("Provides", &relations.provides),
        ("Conflicts", &relations.conflicts),
        ("Obsoletes", &relations.obsoletes),
    ];
    for (name, list) in lists {
        fields.extend(list.iter().map(|one| (name, one.to_string())));
    }
    fields.into_iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}
