//! What settings make of a manifest: who provides each component, where sources come from, where things are installed. The manifest in
//! memory changes, nothing that is committed does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::directories::Directories;
use super::key::{self, Key, Tool};
use super::sources;
use super::system::{Evidence, Found};
use super::value::Provide;
use super::{From, Setting, Settings};
use crate::definition::{Component, Definitions, Git, Name, Origin, System};
use crate::error::{Error, Result};

/// What was chosen beside what stands in the manifest now.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// Where things are installed.
    pub directories: Directories,
    /// Values of `{set:NAME}`.
    pub variables: BTreeMap<String, String>,
    /// Sources that are built from a directory.
    pub local: BTreeMap<Name, Local>,
    /// Git sources that are wanted at a revision which the lock does not have: what it may be, likeliest first.
    pub unpinned: BTreeMap<Name, Vec<Git>>,
    /// The make of builds, if it is not `make`.
    pub make: Option<String>,
    /// What was found of the system's copies.
    pub found: BTreeMap<Name, Evidence>,
    /// Components that are left out because somebody said so.
    pub without: Vec<Name>,
    /// Those, and what is taken from the system; as a verb.
    pub left: BTreeMap<Name, &'static str>,
}

/// A directory that stands for a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Where.
    pub dir: PathBuf,
    /// What named it: `QEMU_UPSTREAM_LOC, argument`.
    pub said: String,
    /// `override` of the checkout goes before it.
    pub is_far: bool,
}

/// As [`super::system::look`].
type Look<'a> = dyn Fn(&Name, &System, &Provide, Option<&str>) -> Result<Found> + 'a;

/// What of the machine is asked while settings are applied.
pub struct Ask<'a> {
    /// Finds or judges a copy of the system.
    pub look: &'a Look<'a>,
    /// How a component's own package is installed here.
    pub install: &'a dyn Fn(&Component) -> Option<String>,
}

/// Applies them. Gives what a person should know once.
pub fn apply(definitions: &mut Definitions, settings: &Settings, root: &Path, ask: &Ask<'_>) -> Result<Vec<String>> {
    let mut notes = settings.notes.clone();
    definitions.chosen.directories = Directories::of(settings);
    for (key, setting) in settings.iter() {
        match key {
            Key::Provider(name) => provide(definitions, name, setting, ask, &mut notes)?,
            Key::Variable(name) => {
                definitions.chosen.variables.insert(name.clone(), setting.value.clone());
            }
            Key::Tool(Tool::Make) if setting.value != "make" => definitions.chosen.make = Some(setting.value.clone()),
            Key::Extfiles => sources::mirror(&mut definitions.manifest, &setting.value),
            _ => {}
        }
    }
    check_left(definitions, &mut notes)?;
    for tree in key::trees() {
        sources::change(definitions, settings, tree, root, &mut notes)?;
    }
    if settings.get(&Key::GitHttp).is_some_and(|setting| setting.value == "y") {
        let sources = definitions.manifest.sources.values_mut();
        let candidates = definitions.chosen.unpinned.values_mut().flatten();
        let gits = sources.filter_map(|origin| if let Origin::Git(git) = origin { Some(git) } else { None });
        gits.chain(candidates).flat_map(|git| &mut git.urls).for_each(|url| *url = sources::over_http(url));
    }
    Ok(notes)
}

fn provide(
    definitions: &mut Definitions,
    name: &Name,
    setting: &Setting,
    ask: &Ask<'_>,
    notes: &mut Vec<String>,
) -> Result<()> {
    let manifest_name = definitions.manifest_name.clone();
    let Some(component) = definitions.components.get(name).cloned() else {
        // A preset is for every manifest, and so is a checkout's choice.
        if setting.from == From::Argument {
            let names = definitions.components.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
            let wrong = Error::input(format!("manifest `{manifest_name}` has no component `{name}`; it has {names}"));
            return Err(wrong.help(format!("cargo xtask list -m {manifest_name}")));
        }
        return Ok(());
    };
    let fixed = definitions.manifest.system.get(name).cloned();
    let wanted = Provide::parse(&setting.value);
    match &wanted {
        Provide::Internal => internal(definitions, name, &component, setting),
        Provide::Without => {
            leave_out(definitions, name, "leave out");
            definitions.manifest.system.remove(name);
            definitions.chosen.without.push(name.clone());
            Ok(())
        }
        // `configure` has judged it when it was given, and a preset's is the path of a package of that distribution.
        Provide::At(path) if matches!(setting.from, From::Kept(_)) => {
            leave_out(definitions, name, "take from the system");
            definitions.manifest.system.insert(name.clone(), path.clone());
            Ok(())
        }
        Provide::At(_) | Provide::System | Provide::Auto => {
            let Some(system) = &component.system else {
                let wrong = Error::input(format!("`{name}` cannot come from the system"));
                return Err(
                    wrong.because(format!("components/{name}.toml has no `[system]` that says how one knows a copy"))
                );
            };
            let install = |error: Error| match (ask.install)(&component) {
                Some(command) => error.help(command),
                None => error,
            };
            match (ask.look)(name, system, &wanted, fixed.as_deref()).map_err(install)? {
                Ok(copy) => {
                    leave_out(definitions, name, "take from the system");
                    if wanted == Provide::Auto {
                        notes.push(format!("{name}: the system's, {}: {}", copy.path, copy.evidence.join("; ")));
                    }
                    definitions.manifest.system.insert(name.clone(), copy.path);
                    definitions.chosen.found.insert(name.clone(), copy.evidence);
                    Ok(())
                }
                Err(why) if wanted == Provide::Auto => {
                    let can = can_build(definitions, &component);
                    let then = if can { "it is built here" } else { "nobody provides it" };
                    let install =
                        (ask.install)(&component).map(|line| format!(" (to have it: {line})")).unwrap_or_default();
                    notes.push(format!("{name}: no copy of the system will do, {then}: {}{install}", why.join("; ")));
                    definitions.chosen.found.insert(name.clone(), why);
                    if can {
                        return internal(definitions, name, &component, setting);
                    }
                    definitions.manifest.system.remove(name);
                    Ok(())
                }
                Err(why) => {
                    let wrong = Error::input(format!("the system has no {name} that will do")).because(why.join("; "));
                    Err(install(wrong).help(format!("--with-system-{name}=auto   # builds it where there is none")))
                }
            }
        }
    }
}

fn can_build(definitions: &Definitions, component: &Component) -> bool {
    let sources = &definitions.manifest.sources;
    sources.contains_key(&component.source) && component.extra.keys().all(|source| sources.contains_key(source))
}

fn internal(definitions: &mut Definitions, name: &Name, component: &Component, setting: &Setting) -> Result<()> {
    if !can_build(definitions, component) {
        if matches!(setting.from, From::Kept(_)) {
            return Ok(());
        }
        let (manifest, source) = (&definitions.manifest_name, &component.source);
        let wrong = Error::input(format!("cannot build `{name}`: manifest `{manifest}` has no source `{source}`"));
        return Err(wrong.help("cargo xtask list --manifests   # others may have it"));
    }
    let manifest = &mut definitions.manifest;
    manifest.system.remove(name);
    if !manifest.components.contains(name) {
        manifest.optional.retain(|other| other != name);
        manifest.components.push(name.clone());
    }
    Ok(())
}

/// Takes a component out of what is built.
fn leave_out(definitions: &mut Definitions, name: &Name, why: &'static str) {
    let manifest = &mut definitions.manifest;
    manifest.components.retain(|other| other != name);
    manifest.optional.retain(|other| other != name);
    definitions.chosen.left.insert(name.clone(), why);
}

/// What is built needs no files of what is left out; optional components that do are left out too.
fn check_left(definitions: &mut Definitions, notes: &mut Vec<String>) -> Result<()> {
    let Definitions { manifest, components, chosen, .. } = definitions;
    for (name, why) in &chosen.left {
        let needs = |other: &Name| {
            let (mut todo, mut seen) = (vec![other], Vec::new());
            while let Some(next) = todo.pop() {
                let needs = components.get(next).into_iter().flat_map(|component| &component.needs);
                let fresh: Vec<&Name> = needs.filter(|need| !seen.contains(need)).collect();
                seen.extend(fresh.iter().copied());
                todo.extend(fresh);
            }
            seen.contains(&name)
        };
        if let Some(user) = manifest.components.iter().find(|other| needs(other)) {
            let wrong = Error::input(format!("cannot {why} `{name}`: `{user}` is built with its files"));
            return Err(wrong.help(format!("--without-{user}   # too")));
        }
        let lost: Vec<&str> = manifest.optional.iter().filter(|other| needs(other)).map(Name::as_str).collect();
        if !lost.is_empty() {
            notes.push(format!("without {name} these cannot be built either: {}", lost.join(", ")));
        }
        manifest.optional.retain(|other| !needs(other));
    }
    Ok(())
}
