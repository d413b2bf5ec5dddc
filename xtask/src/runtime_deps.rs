//! What built binaries need at run time: the libraries that they were linked to (ELF NEEDED), and who brings each. Reads outputs; asks the
//! distribution for the owner of a library of the system.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::definition::{Component, Definitions, Name};
use crate::elf::Elf;
use crate::error::Result;
use crate::process::{Cancel, Program};
use crate::store::{Found, Store};
use crate::tree::{Node, Tree};

/// Who brings a library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Brings {
    /// The component itself.
    Itself,
    /// Another component.
    Component(Name),
    /// A package of this distribution.
    Package(String),
    /// Nobody that is known here.
    Unknown,
}

/// A library that binaries of a component need.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Library {
    /// Its name as linked: `libyajl.so.2`.
    pub name: String,
    /// Who brings it.
    pub brings: Brings,
    /// Installed paths of the binaries.
    pub needed_by: Vec<String>,
}

/// What a component needs at run time.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Needs {
    /// Which.
    pub component: Name,
    /// Libraries, by who brings them.
    pub libraries: Vec<Library>,
    /// Components that it names by their path.
    pub names: Vec<Name>,
    /// Programs that it declares.
    pub programs: Vec<String>,
    /// What should not be: an optional component that the dynamic linker now wants.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// What of each component's output is linked to what. A component whose output is not in the store is left out.
pub fn runtime_needs(
    definitions: &Definitions,
    outputs: &BTreeMap<Name, Tree>,
    store: &Store,
    cancel: &Cancel,
) -> Result<Vec<Needs>> {
    let mut brought: BTreeMap<String, Name> = BTreeMap::new();
    let mut binaries: BTreeMap<&Name, Vec<(String, Elf)>> = BTreeMap::new();
    for (name, tree) in outputs {
        for (path, node) in &tree.0 {
            cancel.check()?;
            let base = path.rsplit('/').next().unwrap_or(path);
            match node {
                Node::File { digest, .. } => {
                    let Found::Here(bytes) = store.read(*digest)? else { continue };
                    let Some(linked) = Elf::read(&bytes) else { continue };
                    if let Some(soname) = &linked.soname {
                        brought.insert(soname.clone(), name.clone());
                    }
                    binaries.entry(name).or_default().push((format!("/{path}"), linked));
                }
                // The loader follows a link of that name.
                _ if base.contains(".so") => drop(brought.entry(base.to_owned()).or_insert_with(|| name.clone())),
                _ => {}
            }
        }
    }
    let foreign: BTreeSet<&str> = binaries
        .values()
        .flatten()
        .flat_map(|(_, linked)| &linked.needed)
        .filter(|needed| !brought.contains_key(*needed))
        .map(String::as_str)
        .collect();
    let packages = packages(&foreign, cancel);
    let mut all = Vec::new();
    for name in outputs.keys() {
        let component = &definitions.components[name];
        let mut libraries: BTreeMap<&str, Library> = BTreeMap::new();
        for (path, linked) in binaries.get(name).into_iter().flatten() {
            for needed in &linked.needed {
                let brings = match (brought.get(needed), packages.get(needed)) {
                    (Some(owner), _) if owner == name => Brings::Itself,
                    (Some(owner), _) => Brings::Component(owner.clone()),
                    (None, Some(package)) => Brings::Package(package.clone()),
                    (None, None) => Brings::Unknown,
                };
                let fresh = || Library { name: needed.clone(), brings, needed_by: Vec::new() };
                libraries.entry(needed).or_insert_with(fresh).needed_by.push(path.clone());
            }
        }
        let mut libraries: Vec<Library> = libraries.into_values().collect();
        libraries.sort_by(|a, b| (&a.brings, &a.name).cmp(&(&b.brings, &b.name)));
        let faults = faults(name, component, definitions, &libraries);
        let programs = component.host.iter().filter_map(|need| need.program.clone()).collect();
        all.push(Needs {
            component: name.clone(),
            libraries,
            names: component.runtime_needs.clone(),
            programs,
            faults,
        });
    }
    Ok(all)
}

/// A component that can be left out, or that the system may bring, is to be found at run time and not linked: whoever installs the user
/// without it has one that does not start. What is in `needs` is linked on purpose.
fn faults(name: &Name, component: &Component, definitions: &Definitions, libraries: &[Library]) -> Vec<String> {
    let mut faults = Vec::new();
    for library in libraries {
        let Brings::Component(owner) = &library.brings else { continue };
        let optional =
            definitions.components.get(owner).is_some_and(|owner| owner.system.is_some() || owner.without.is_some())
                || definitions.manifest.optional.contains(owner);
        if !component.needs.contains(owner) || (optional && component.runtime_needs.contains(owner)) {
            let first = library.needed_by.first().map_or("", String::as_str);
            let what = if optional { "optional" } else { "not in `needs`" };
            faults.push(format!(
                "`{owner}` is {what}, but {first} of `{name}` does not start without its {}",
                library.name
            ));
        }
    }
    faults
}

/// The package of each library, as far as dpkg or rpm know it.
fn packages(libraries: &BTreeSet<&str>, cancel: &Cancel) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if libraries.is_empty() {
        return found;
    }
    if which::which("dpkg-query").is_ok() {
        let patterns = libraries.iter().map(|library| format!("*/{library}"));
        let argv: Vec<String> = ["dpkg-query", "-S"].map(str::to_owned).into_iter().chain(patterns).collect();
        // It fails when it does not know one of them, and says the others all the same.
        let Ok(ended) = Program::new(argv).env("LC_ALL", "C").run(cancel) else { return found };
        for line in String::from_utf8_lossy(&ended.stdout).lines() {
            let Some((owners, path)) = line.rsplit_once(": ") else { continue };
            let (Some(base), Some(owner)) = (path.rsplit('/').next(), owners.split([',', ':']).next()) else {
                continue;
            };
            // A copy for debugging, or of another architecture, is not the one that is loaded.
            let is_usual =
                path.starts_with("/lib") || (path.starts_with("/usr/lib") && !path.starts_with("/usr/lib/debug"));
            if is_usual && libraries.contains(base) {
                found.entry(base.to_owned()).or_insert_with(|| owner.to_owned());
            }
        }
    } else if which::which("rpm").is_ok() {
        for library in libraries {
            let provides = format!("{library}()(64bit)");
            let argv = ["rpm", "-q", "--whatprovides", "--qf", "%{NAME}\n", provides.as_str()];
            let Ok(ended) = Program::new(argv).run(cancel) else { continue };
            let text = String::from_utf8_lossy(&ended.stdout).into_owned();
            if let Some(package) = text.lines().next().filter(|_| ended.status.success()) {
                found.insert((*library).to_owned(), package.to_owned());
            }
        }
    }
    found
}
