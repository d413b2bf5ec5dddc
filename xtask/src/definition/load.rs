//! Reads a manifest, its lock and all components, and refuses them with everything that is wrong, not the first of it.
//! A lock that is only incomplete is not wrong: `check_lock` says what it lacks to those who need it whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::check_component::check_component;
use super::check_manifest::check_manifest;
use super::diagnostic::{At, Diagnostics, File, Finding, Problem};
use super::include::{self, Layers, Origins};
use super::pins::{check_lock, lock_help};
use super::place::Place;
use super::references::World;
use super::suggest::did_you_mean;
use super::{Component, Lock, Manifest, Name, shape};
use crate::layout::Layout;
use crate::settings::Chosen;

/// One manifest with everything it names, checked.
#[derive(Clone, Debug)]
pub struct Definitions {
    /// The manifest's name.
    pub manifest_name: Name,
    /// The manifest.
    pub manifest: Manifest,
    /// The components that the manifest names and whatever they need, at build time or at run time.
    pub components: BTreeMap<Name, Component>,
    /// Every component of the repository, and the source it is built from.
    pub all_components: BTreeMap<Name, Name>,
    /// The lock, if there is one; it may be incomplete.
    pub lock: Option<Lock>,
    /// Where each value of the manifest stands.
    pub origins: Origins,
    /// What settings made of the above; nothing until they are applied.
    pub chosen: Chosen,
}

impl Definitions {
    /// Reads `manifests/MANIFEST.toml`, its lock and every file in `components/`.
    pub fn load(layout: &Layout, manifest: &Name) -> Result<Definitions, Diagnostics> {
        let mut problems = Vec::new();
        let names = component_names(&layout.root, &mut problems);
        let (mut components, mut component_files) = (BTreeMap::new(), Vec::new());
        for name in &names {
            let opened = Opened::open(&layout.root, format!("components/{name}.toml"));
            if let Some((component, file)) = opened.note(&mut problems) {
                components.insert(name.clone(), component);
                component_files.push((name, file));
            }
        }
        let mut manifest_read = read_manifest(&layout.root, manifest, &mut problems);
        if let Some((manifest, _)) = &mut manifest_read {
            manifest.choose_blktap();
        }
        let lock_read = Opened::<Lock>::open(&layout.root, format!("manifests/{manifest}.lock"));
        let lock_read = lock_read.with_help(&lock_help(manifest)).note(&mut problems);

        let loaded = manifest_read.as_ref().map(|(loaded, _)| loaded);
        let world = World { names: &names, components: &components, manifest_name: manifest, manifest: loaded };
        let built = loaded.map(|manifest| built(manifest, &components)).unwrap_or_default();
        let mut cycles = world.cycles();
        for (name, file) in &component_files {
            let component = &components[*name];
            let mut findings = check_component(&layout.root, name, component);
            world.check_component(component, built.contains(*name), &mut findings);
            findings.extend(cycles.extract_if(.., |(first, _)| first == *name).map(|(_, finding)| finding));
            file.note(findings, &mut problems);
        }
        if let Some((manifest, layers)) = &manifest_read {
            layers.note(check_manifest(manifest), &mut problems);
            layers.note(world.check_manifest(manifest), &mut problems);
        }
        if let Some((lock, file)) = &lock_read {
            file.note(check_lock(manifest, lock), &mut problems);
        }
        let (Some((mut loaded, layers)), true) = (manifest_read, problems.is_empty()) else {
            return Err(Diagnostics::new(problems));
        };
        loaded.drop_other_blktaps();
        let all_components =
            components.iter().map(|(name, component)| (name.clone(), component.source.clone())).collect();
        let needed = needed(&loaded, &components);
        components.retain(|name, _| needed.contains(name));
        let lock = lock_read.map(|(lock, _)| lock);
        Ok(Definitions {
            manifest_name: manifest.clone(),
            manifest: loaded,
            components,
            all_components,
            lock,
            origins: layers.origins,
            chosen: Chosen::default(),
        })
    }
}

/// The names of the manifests of a repository, sorted.
pub fn manifest_names(layout: &Layout) -> Vec<Name> {
    names_in(layout, "manifests")
}

/// The names of the gates of a repository, sorted.
pub fn gate_names(layout: &Layout) -> Vec<Name> {
    names_in(layout, "ci/gates")
}

/// The names of the jobs of a repository, sorted.
pub fn job_names(layout: &Layout) -> Vec<Name> {
    names_in(layout, "ci/jobs")
}

fn names_in(layout: &Layout, dir: &str) -> Vec<Name> {
    let stems = toml_stems(&layout.root.join(dir)).unwrap_or_default();
    stems.into_iter().filter_map(|stem| stem.parse().ok()).collect()
}

/// What the manifest lists, and what that needs to be built.
pub(super) fn built(manifest: &Manifest, components: &BTreeMap<Name, Component>) -> BTreeSet<Name> {
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

/// A file that could be read, and the places where a stand-in stands for what it says.
pub(super) struct Checked {
    pub(super) file: File,
    mended: Vec<Place>,
}

impl Checked {
    /// Adds what was found in the file, but for what was found in a stand-in.
    pub(super) fn note(&self, findings: Vec<Finding>, problems: &mut Vec<Problem>) {
        let is_real = |finding: &Finding| match &finding.at {
            At::Place(place) => !self.mended.iter().any(|mended| place.is_within(mended)),
            At::Bytes(_) => true,
        };
        problems.extend(findings.into_iter().filter(is_real).map(|finding| finding.in_file(&self.file)));
    }
}

/// What came of reading one file.
pub(super) enum Opened<T> {
    Absent,
    Unreadable(Problem),
    Text(File, shape::Read<T>),
}

impl<T: DeserializeOwned> Opened<T> {
    pub(super) fn open(root: &Path, path: String) -> Self {
        match std::fs::read_to_string(root.join(&path)) {
            Ok(text) => {
                let read = shape::read(&text);
                Opened::Text(File { path, text: text.into() }, read)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Opened::Absent,
            Err(error) => Opened::Unreadable(Problem::without_file(format!("cannot read {path}: {error}"), None)),
        }
    }

    /// Says `help` of everything that is wrong in its shape.
    fn with_help(mut self, help: &str) -> Self {
        if let Opened::Text(_, read) = &mut self {
            read.findings.iter_mut().for_each(|finding| finding.help = Some(help.to_owned()));
        }
        self
    }

    /// Adds what is wrong in its shape; gives the value, mended where it had to be.
    pub(super) fn note(self, problems: &mut Vec<Problem>) -> Option<(T, Checked)> {
        match self {
            Opened::Absent => None,
            Opened::Unreadable(problem) => {
                problems.push(problem);
                None
            }
            Opened::Text(file, read) => {
                problems.extend(read.findings.into_iter().map(|finding| finding.in_file(&file)));
                Some((read.value?, Checked { file, mended: read.mended }))
            }
        }
    }
}

/// The names of all components, sorted.
fn component_names(root: &Path, problems: &mut Vec<Problem>) -> BTreeSet<Name> {
    let stems = toml_stems(&root.join("components")).unwrap_or_else(|error| {
        problems.push(Problem::without_file(format!("cannot list components/: {error}"), None));
        BTreeSet::new()
    });
    let mut names = BTreeSet::new();
    for stem in stems {
        match Name::try_from(stem.clone()) {
            Ok(name) => {
                names.insert(name);
            }
            Err(why) => {
                let message = format!("file components/{stem}.toml does not name a component: {why}");
                problems.push(Problem::without_file(message, Some("rename the file".to_owned())));
            }
        }
    }
    names
}

fn read_manifest(root: &Path, name: &Name, problems: &mut Vec<Problem>) -> Option<(Manifest, Layers)> {
    if !root.join("manifests").join(format!("{name}.toml")).exists() {
        let known = toml_stems(&root.join("manifests")).unwrap_or_default();
        let help = match did_you_mean(name.as_str(), known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("manifests here: {}", known.into_iter().collect::<Vec<_>>().join(", ")),
        };
        problems.push(Problem::without_file(format!("there is no manifest `{name}`"), Some(help)));
        return None;
    }
    include::read(root, name, problems)
}

/// The names of the `.toml` files of a directory, without their ending.
pub(super) fn toml_stems(dir: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut stems = BTreeSet::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        if let Some(stem) = name.to_string_lossy().strip_suffix(".toml").filter(|stem| !stem.starts_with('.')) {
            stems.insert(stem.to_owned());
        }
    }
    Ok(stems)
}
