//! Reads a manifest, its lock and all components, and refuses them with everything that is wrong, not the first of it. A lock that
//! is only incomplete is not wrong: `lock_errors` says what it lacks to those who need it whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::check_component::check_component;
use super::check_manifest::check_manifest;
use super::diagnostic::{At, Diagnostics, File, Finding, Problem};
use super::place::Place;
use super::references::World;
use super::suggest::did_you_mean;
use super::{Component, Lock, Manifest, Name, shape};
use crate::layout::Layout;

/// One manifest with everything it names, checked.
#[derive(Clone, Debug)]
pub struct Definitions {
    /// The manifest's name.
    pub manifest_name: Name,
    /// The manifest.
    pub manifest: Manifest,
    /// The components that the manifest names and whatever they need, at build time or at run time.
    pub components: BTreeMap<Name, Component>,
    /// The lock, if there is one; it may be incomplete.
    pub lock: Option<Lock>,
}

impl Definitions {
    /// Reads `manifests/MANIFEST.toml`, its lock and every file in `components/`.
    pub fn load(layout: &Layout, manifest: &Name) -> Result<Definitions, Diagnostics> {
        let mut loader = Loader { root: &layout.root, problems: Vec::new() };
        let names = loader.component_names();
        let files: Vec<_> = names.iter().filter_map(|name| loader.read_component(name)).collect();
        let manifest_file = loader.read_manifest(manifest);
        let lock_file = loader.read_lock(manifest);
        let components: BTreeMap<Name, Component> =
            files.iter().filter_map(|(name, loaded)| Some((name.clone(), loaded.value.clone()?))).collect();
        let loaded_manifest = manifest_file.as_ref().and_then(|loaded| loaded.value.as_ref());
        let world =
            World { names: &names, components: &components, manifest_name: manifest, manifest: loaded_manifest };

        let built = loaded_manifest.map(|manifest| built(manifest, &components)).unwrap_or_default();
        let mut cycles = world.cycles();
        for (name, loaded) in &files {
            let Some(component) = &loaded.value else { continue };
            let mut findings = check_component(&layout.root, name, component);
            world.check_component(component, built.contains(name), &mut findings);
            findings.extend(cycles.extract_if(.., |(first, _)| first == name).map(|(_, finding)| finding));
            loader.add(loaded, findings);
        }
        if let Some(loaded) = &manifest_file
            && let Some(manifest) = &loaded.value
        {
            let mut findings = check_manifest(manifest);
            findings.extend(world.check_manifest(manifest));
            loader.add(loaded, findings);
        }
        if let Some(loaded) = &lock_file
            && let Some(lock) = &loaded.value
        {
            loader.add(loaded, check_version(lock));
        }
        let needed = loaded_manifest.map(|manifest| needed(manifest, &components)).unwrap_or_default();
        Diagnostics::new(loader.problems).into_result()?;
        let Some(loaded_manifest) = manifest_file.and_then(|loaded| loaded.value) else {
            let message = format!("manifest `{manifest}` was not read");
            return Err(Diagnostics::new(vec![Problem::without_file(message, None)]));
        };
        Ok(Definitions {
            manifest_name: manifest.clone(),
            manifest: loaded_manifest,
            components: components.into_iter().filter(|(name, _)| needed.contains(name)).collect(),
            lock: lock_file.and_then(|loaded| loaded.value),
        })
    }
}

/// The names of the manifests of a repository, sorted.
pub fn manifest_names(layout: &Layout) -> Vec<Name> {
    toml_stems(&layout.root.join("manifests"))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|stem| stem.parse().ok())
        .collect()
}

/// What the manifest lists, and what that needs to be built.
fn built(manifest: &Manifest, components: &BTreeMap<Name, Component>) -> BTreeSet<Name> {
    closure(manifest.components.iter().chain(&manifest.optional), components, |component| {
        component.needs.iter().collect()
    })
}

/// What the manifest names, and what that needs in any way.
fn needed(manifest: &Manifest, components: &BTreeMap<Name, Component>) -> BTreeSet<Name> {
    let named = manifest
        .components
        .iter()
        .chain(&manifest.optional)
        .chain(manifest.system.keys())
        .chain(manifest.shared.values());
    closure(named, components, |component| component.needs.iter().chain(&component.runtime_needs).collect())
}

fn closure<'a>(
    start: impl Iterator<Item = &'a Name>,
    components: &'a BTreeMap<Name, Component>,
    next: impl Fn(&'a Component) -> Vec<&'a Name>,
) -> BTreeSet<Name> {
    let mut todo: Vec<&Name> = start.collect();
    let mut found = BTreeSet::new();
    while let Some(name) = todo.pop() {
        if let Some(component) = components.get(name)
            && found.insert(name.clone())
        {
            todo.extend(next(component));
        }
    }
    found
}

fn check_version(lock: &Lock) -> Vec<Finding> {
    if lock.version == super::lock::VERSION {
        return Vec::new();
    }
    let message = format!("this lock has version {}, but {} is known", lock.version, super::lock::VERSION);
    vec![
        Finding::new(Place::of("version"), message, "written by another release of Sultana").help("cargo xtask update"),
    ]
}

/// One file that was read.
struct Loaded<T> {
    file: File,
    value: Option<T>,
    mended: Vec<Place>,
}

struct Loader<'a> {
    root: &'a Path,
    problems: Vec<Problem>,
}

impl Loader<'_> {
    /// The names of all components, sorted.
    fn component_names(&mut self) -> BTreeSet<Name> {
        let stems = match toml_stems(&self.root.join("components")) {
            Ok(stems) => stems,
            Err(error) => {
                self.problems.push(Problem::without_file(format!("cannot list components/: {error}"), None));
                return BTreeSet::new();
            }
        };
        let mut names = BTreeSet::new();
        for stem in stems {
            match Name::try_from(stem.clone()) {
                Ok(name) => {
                    names.insert(name);
                }
                Err(why) => {
                    let message = format!("file components/{stem}.toml does not name a component: {why}");
                    self.problems.push(Problem::without_file(message, Some("rename the file".to_owned())));
                }
            }
        }
        names
    }

    fn read_component(&mut self, name: &Name) -> Option<(Name, Loaded<Component>)> {
        Some((name.clone(), self.read(format!("components/{name}.toml"))?))
    }

    fn read_manifest(&mut self, name: &Name) -> Option<Loaded<Manifest>> {
        let path = format!("manifests/{name}.toml");
        if !self.root.join(&path).exists() {
            let known = toml_stems(&self.root.join("manifests")).unwrap_or_default();
            let help = match did_you_mean(name.as_str(), known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("manifests here: {}", known.into_iter().collect::<Vec<_>>().join(", ")),
            };
            self.problems.push(Problem::without_file(format!("there is no manifest `{name}`"), Some(help)));
            return None;
        }
        self.read(path)
    }

    fn read_lock(&mut self, name: &Name) -> Option<Loaded<Lock>> {
        self.read(format!("manifests/{name}.lock"))
    }

    /// Reads a file and notes what is wrong in its shape. A file that is not there is no mistake here.
    fn read<T: DeserializeOwned>(&mut self, path: String) -> Option<Loaded<T>> {
        let text = match std::fs::read_to_string(self.root.join(&path)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.problems.push(Problem::without_file(format!("cannot read {path}: {error}"), None));
                return None;
            }
        };
        let read = shape::read::<T>(&text);
        let file = File { path, text: text.into() };
        self.problems.extend(read.findings.into_iter().map(|finding| finding.in_file(&file)));
        Some(Loaded { file, value: read.value, mended: read.mended })
    }

    /// Notes what was found in a file, but for what was found in a stand-in.
    fn add<T>(&mut self, loaded: &Loaded<T>, findings: Vec<Finding>) {
        for finding in findings {
            let is_stand_in = match &finding.at {
                At::Place(place) => loaded.mended.iter().any(|mended| place.is_within(mended)),
                At::Bytes(_) => false,
            };
            if !is_stand_in {
                self.problems.push(finding.in_file(&loaded.file));
            }
        }
    }
}

/// The names of the `.toml` files of a directory, without their ending.
fn toml_stems(dir: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut stems = BTreeSet::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        if let Some(stem) = name.to_string_lossy().strip_suffix(".toml").filter(|stem| !stem.starts_with('.')) {
            stems.insert(stem.to_owned());
        }
    }
    Ok(stems)
}
