//! From what components installed to packages with their relations. Pure: the machine's own packages are not looked at here.

use std::collections::{BTreeMap, BTreeSet};

use super::beside::{Moved, Started, moved};
use super::facts::Facts;
use super::split::{Holes, resolve, split};
use super::version::Version;
use super::{Bound, Foreign, Format, Package, Relation};
use crate::definition::{Component, Name, Packaged};
use crate::error::{Error, Result};
use crate::settings::Directories;
use crate::tree::Tree;

/// One component's part of the result.
#[derive(Debug)]
pub struct Part<'a> {
    /// Its definition.
    pub definition: &'a Component,
    /// The version of its packages.
    pub version: Version,
    /// The date of its source.
    pub epoch: u64,
    /// What it installed.
    pub tree: Tree,
    /// Packages of the distribution that it declares as needed when it runs.
    pub needed: Vec<String>,
    /// Packages, ours or the distribution's, of components that it only names by their path.
    pub named: Vec<String>,
}

/// What packages are made of.
#[derive(Debug)]
pub struct Whole<'a> {
    /// What for.
    pub format: Format,
    /// `uname -m`.
    pub machine: &'a str,
    /// Where things are installed.
    pub directories: &'a Directories,
    /// All components.
    pub parts: BTreeMap<Name, Part<'a>>,
    /// What their files need.
    pub facts: &'a Facts,
    /// What people type to install one by its name, before it: `apt install`. Where nothing does, versions are not beside each other.
    pub installs: Option<&'static str>,
}

/// The one package that has everything, with `--single`.
const SINGLE: &str = "xen-sultana";

/// What makes the name of an rpm that of one version of Xen.
const MINOR: &str = "-{minor}";

/// A component that says nothing of packages becomes one, which no distribution has.
fn default_rule(name: &Name, component: &Component) -> Packaged {
    Packaged {
        deb: format!("sultana-{name}"),
        summary: component.summary.clone(),
        section: "misc".to_owned(),
        files: vec!["/**".to_owned()],
        runs: true,
        ..Packaged::default()
    }
}

/// The packages, sorted by name. Every file is in one of them, or declared to be in none.
pub fn plan(whole: &Whole<'_>) -> Result<Vec<Package>> {
    let defaults: BTreeMap<&Name, Vec<Packaged>> = whole
        .parts
        .iter()
        .filter(|(_, part)| part.definition.package.is_empty())
        .map(|(name, part)| (name, vec![default_rule(name, part.definition)]))
        .collect();
    let arch = whole.format.arch(whole.machine);
    let mut planned = Planned::default();
    let mut nobodys = Vec::new();
    for (name, part) in &whole.parts {
        let (minor, major) = (part.version.minor(), part.version.major());
        let holes = Holes { minor, major, arch: &arch, directories: whole.directories };
        let rules = defaults.get(name).unwrap_or(&part.definition.package);
        let split = split(rules, part.definition, &part.tree, whole.facts, &holes);
        nobodys.extend(split.nobodys.into_iter().map(|path| format!("{path} of `{name}`")));
        for (deb, (rule, files)) in split.packages {
            let (template, own) = match (&rule.rpm, whole.format) {
                (Some(rpm), Format::Rpm) => (rpm, holes.fill(rpm)),
                _ => (&rule.deb, deb.clone()),
            };
            let files = match (&rule.beside, whole.installs) {
                (Some(beside), Some(installs)) => {
                    let lacks = format!("{installs} {template}");
                    moved(beside, (template, &lacks), files, &part.tree, &holes)?
                }
                _ => Moved { files, ..Moved::default() },
            };
            if let (Format::Rpm, Some(rpm)) = (whole.format, &rule.rpm) {
                planned.plain.extend(rpm.contains(MINOR).then(|| (own.clone(), holes.fill(&rpm.replace(MINOR, "")))));
            }
            planned.add(name, part, rule, (deb, own), files, &holes)?;
        }
    }
    if !nobodys.is_empty() {
        let shown = nobodys.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
        let more = if nobodys.len() > 10 { format!(" and {} more", nobodys.len() - 10) } else { String::new() };
        return Err(Error::input(format!("{} files belong to no package: {shown}{more}", nobodys.len())).help(
            "name them in `files` of a [[package]] of the component, or in [[unpackaged]] (components/README.md)",
        ));
    }
    planned.related(whole)
}

/// One package of everything; it stands for all that would have been.
pub fn single(packages: Vec<Package>) -> Option<Package> {
    let mut packages = packages.into_iter();
    let mut all = packages.next()?;
    let mut names = BTreeSet::from([all.name.clone()]);
    for package in packages {
        names.insert(package.name);
        all.files.extend(package.files);
        all.made.extend(package.made);
        all.origins.extend(package.origins);
        all.components.extend(package.components);
        all.units.extend(package.units);
        all.depends.extend(package.depends);
        all.recommends.extend(package.recommends);
        all.provides.extend(package.provides);
        all.replaces.extend(package.replaces);
        all.libraries.extend(package.libraries);
        all.needed.extend(package.needed);
        all.named.extend(package.named);
        all.foreign.extend(package.foreign);
        all.epoch = all.epoch.max(package.epoch);
        if !all.licence.split(" AND ").any(|licence| licence == package.licence) {
            all.licence = format!("{} AND {}", all.licence, package.licence);
        }
        // The hypervisor's, which leads.
        if package.component.as_str() == "xen" {
            (all.version, all.component, all.homepage) = (package.version, package.component, package.homepage);
        }
    }
    let is_inside = |relation: &Relation| names.contains(&relation.name);
    all.depends.retain(|relation| !is_inside(relation));
    all.recommends.retain(|relation| !is_inside(relation));
    all.named.retain(|name| !names.contains(name));
    // Who needs one of a version, as packages of libraries are needed, gets it.
    let same = |name: &String| Relation { name: name.clone(), version: Some((Bound::Same, all.version.clone())) };
    all.provides.extend(names.iter().map(same));
    all.replaces.retain(|relation| !is_inside(relation));
    all.replaces.extend(names.iter().map(Relation::any));
    all.conflicts = names.iter().map(Relation::any).collect();
    all.name = SINGLE.to_owned();
    all.summary = "Xen with all that was built for it".to_owned();
    all.section = "admin".to_owned();
    Some(all)
}

/// Packages in the making.
#[derive(Debug, Default)]
struct Planned {
    /// By name.
    packages: BTreeMap<String, Package>,
    /// Names as definitions have them to names as packages have them.
    names: BTreeMap<String, String>,
    /// Relations that definitions declare: of which, how, to which.
    declared: Vec<(String, Kind, String)>,
    /// Programs that another package starts.
    started: Vec<Started>,
    /// Packages of one version of Xen, and what the distribution calls the one that it has.
    plain: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Depends,
    Recommends,
    Provides,
    Replaces,
}

impl Planned {
    fn add(
        &mut self,
        component: &Name,
        part: &Part<'_>,
        rule: &Packaged,
        (deb, name): (String, String),
        moved: Moved,
        holes: &Holes<'_>,
    ) -> Result<()> {
        let definition = part.definition;
        let package = self.packages.entry(name.clone()).or_insert_with(|| Package {
            summary: match rule.deb.contains("{soname}") && name == deb {
                true => format!("{} ({name})", rule.summary),
                false => rule.summary.clone(),
            },
            section: rule.section.clone(),
            licence: definition.licence.clone(),
            homepage: definition.homepage.clone(),
            epoch: part.epoch,
            ..Package::new(&name, component, &part.version)
        });
        if package.component != *component {
            let other = &package.component;
            return Err(Error::input(format!("`{other}` and `{component}` both make a package `{name}`"))
                .help(format!("give it another name in components/{component}.toml")));
        }
        let has_unit =
            |unit: &&String| moved.files.keys().any(|path| path.ends_with(&format!("/systemd/system/{unit}")));
        package.units.extend(rule.units.iter().filter(has_unit).cloned());
        package.obsolete.extend(rule.obsolete.iter().map(|path| holes.fill(path)));
        package.files.extend(moved.files);
        package.origins.extend(moved.origins);
        self.started.extend(moved.started);
        if rule.runs {
            package.needed.extend(part.needed.iter().cloned());
            package.named.extend(part.named.iter().cloned());
        }
        let relations = [
            (Kind::Depends, &rule.depends),
            (Kind::Recommends, &rule.recommends),
            (Kind::Provides, &rule.provides),
            (Kind::Replaces, &rule.replaces),
        ];
        for (kind, others) in relations {
            self.declared.extend(others.iter().map(|other| (name.clone(), kind, holes.fill(other))));
        }
        self.names.insert(deb, name);
        Ok(())
    }

    /// With the relations that are declared, and those that files have.
    fn related(mut self, whole: &Whole<'_>) -> Result<Vec<Package>> {
        let owners: BTreeMap<String, String> = self
            .packages
            .values()
            .flat_map(|package| {
                package.files.keys().map(|path| (package.origin(path).to_owned(), package.name.clone()))
            })
            .collect();
        let versions: BTreeMap<String, Version> =
            self.packages.values().map(|package| (package.name.clone(), package.version.clone())).collect();
        for (name, kind, other) in std::mem::take(&mut self.declared) {
            let other = self.names.get(&other).cloned().unwrap_or(other);
            let Some(package) = self.packages.get_mut(&name).filter(|_| other != name) else { continue };
            let known = versions.get(&other).cloned();
            match kind {
                Kind::Depends => {
                    let version = known.map(|version| (Bound::AtLeast, version));
                    package.depends.insert(Relation { name: other, version });
                }
                Kind::Recommends => drop(package.recommends.insert(Relation::any(other))),
                Kind::Provides => drop(package.provides.insert(Relation::any(other))),
                // Files moved between packages of one set; another's of that name is taken over whole.
                Kind::Replaces => {
                    let version = known.map(|version| (Bound::Before, version));
                    package.replaces.insert(Relation { name: other, version });
                }
            }
        }
        // An earlier one of the distribution's is replaced by ours, which stays beside ours of another version.
        for (name, plain) in std::mem::take(&mut self.plain) {
            if let (false, Some(package)) = (versions.contains_key(&plain), self.packages.get_mut(&name)) {
                package.provides.insert(Relation::any(&plain));
                package.replaces.insert(Relation::any(plain));
            }
        }
        let mut tree = Tree::default();
        for part in whole.parts.values() {
            tree.graft("", &part.tree);
        }
        let libraries = libraries(&tree, whole, &owners);
        for package in self.packages.values_mut() {
            let files = &package.files;
            package.obsolete.retain(|path| !files.contains_key(path.trim_start_matches('/')));
            let own = libraries.iter().filter(|(_, owner)| **owner == package.name);
            package.libraries = own.map(|(soname, _)| soname.clone()).collect();
            package.relate(whole, &tree, &owners, &versions, &libraries);
        }
        for started in std::mem::take(&mut self.started) {
            let by = self.names.get(&started.by).and_then(|name| self.packages.get_mut(name));
            let by = by.ok_or_else(|| Error::input(format!("package `{}` would have no files", started.by)))?;
            started.add_to(by);
        }
        Ok(self.packages.into_values().collect())
    }
}

/// The package of each library that the dynamic linker finds by itself.
fn libraries(tree: &Tree, whole: &Whole<'_>, owners: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut libraries = BTreeMap::new();
    for path in tree.0.keys() {
        let Some((dir, base)) = path.rsplit_once('/') else { continue };
        if format!("/{dir}") != whole.directories.libdir {
            continue;
        }
        let elf = resolve(tree, path).and_then(|file| whole.facts.elf.get(&file));
        if let (Some(owner), Some(soname)) = (owners.get(path), elf.and_then(|elf| elf.soname.as_ref()))
            && soname == base
        {
            libraries.insert(soname.clone(), owner.clone());
        }
    }
    libraries
}

impl Package {
    fn relate(
        &mut self,
        whole: &Whole<'_>,
        tree: &Tree,
        owners: &BTreeMap<String, String>,
        versions: &BTreeMap<String, Version>,
        libraries: &BTreeMap<String, String>,
    ) {
        let mut needs = BTreeSet::new();
        let mut need = |owner: &String, bound: Bound| {
            if *owner != self.name {
                needs.insert(Relation { name: owner.clone(), version: Some((bound, versions[owner].clone())) });
            }
        };
        for path in self.files.keys().map(|path| self.origins.get(path).unwrap_or(path)) {
            if let Some(owner) = resolve(tree, path).filter(|file| file != path).and_then(|file| owners.get(&file)) {
                // A link into another package is right for this version of it.
                need(owner, Bound::Same);
            }
            if let Some(interpreter) = whole.facts.interpreters.get(path) {
                match owners.get(interpreter.trim_start_matches('/')) {
                    Some(owner) => need(owner, Bound::AtLeast),
                    None => drop(self.foreign.interpreters.insert(interpreter.clone())),
                }
            }
            let Some(elf) = whole.facts.elf.get(path) else { continue };
            self.foreign.python = self.foreign.python.take().or_else(|| python(path));
            for library in &elf.needed {
                match libraries.get(library) {
                    Some(owner) => need(owner, Bound::AtLeast),
                    None => {
                        let users = self.foreign.libraries.entry(library.clone()).or_default();
                        users.insert(format!("/{path}"));
                    }
                }
            }
            self.foreign.symbols.extend(elf.undefined.iter().cloned());
        }
        self.depends.extend(needs);
        // The same one by name and by version says one thing twice.
        let exact: BTreeSet<String> = self
            .depends
            .iter()
            .filter(|relation| matches!(relation.version, Some((Bound::Same, _))))
            .map(|relation| relation.name.clone())
            .collect();
        self.depends
            .retain(|relation| !exact.contains(&relation.name) || matches!(relation.version, Some((Bound::Same, _))));
    }
}

/// The version of Python for which an extension module is: `3.11` of `xc.cpython-311-x86_64-linux-gnu.so`.
fn python(path: &str) -> Option<String> {
    let (_, rest) = path.rsplit('/').next()?.split_once(".cpython-")?;
    let digits = rest.split('-').next()?;
    let (major, minor) = digits.split_at_checked(1)?;
    (!minor.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| format!("{major}.{minor}"))
}

impl Foreign {
    fn extend(&mut self, other: Foreign) {
        for (library, users) in other.libraries {
            self.libraries.entry(library).or_default().extend(users);
        }
        self.symbols.extend(other.symbols);
        self.interpreters.extend(other.interpreters);
        self.python = self.python.take().or(other.python);
    }
}

#[cfg(test)]
mod tests;
