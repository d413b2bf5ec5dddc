//! Where a file of a result comes from: component, source and revision, step, action, and what it needs. Reads the record of `dist/` or
//! of an installed root, what the last builds were, and their actions out of the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::origin;
use crate::action::Preimage;
use crate::definition::{Name, did_you_mean};
use crate::digest::{Digest, Hash};
use crate::dist;
use crate::error::{Error, Result};
use crate::installed;
use crate::layout::Layout;
use crate::process::Cancel;
use crate::runtime_deps::{Brings, runtime_needs};
use crate::state::{Built, State};
use crate::store::Found;
use crate::tree::{Node, Tree};
use crate::world::World;

/// A file that a component brought.
#[derive(Debug)]
pub struct Owned {
    /// Below the root, without the slash.
    pub path: String,
    /// Who brought it.
    pub owner: Name,
    /// Content as it was recorded where it was installed.
    recorded: Option<Hash>,
    /// Where it stands.
    pub root: PathBuf,
}

/// Everything that is known of a file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explained {
    /// As it is on the installed system.
    pub file: String,
    /// Its content, or what a link says.
    pub is: String,
    /// Who brought it.
    pub component: Name,
    /// What that is.
    pub summary: String,
    /// Its licence.
    pub licence: String,
    /// What that was built from.
    pub sources: Vec<Source>,
    /// Patches on top, in order.
    pub patches: Vec<String>,
    /// The steps that can have installed it: one, or all that may.
    pub steps: Vec<Step>,
    /// The action whose output it is; `why` and `provenance` go by it.
    pub action: Option<Digest>,
    /// Others get the same from the same inputs: built in the sandbox, from the beginning.
    pub exact: Option<bool>,
    /// Libraries that it does not start without.
    pub needs: Vec<Needed>,
    /// What of the above is not as it should be.
    pub notes: Vec<String>,
}

/// One source.
#[derive(Debug, Serialize)]
pub struct Source {
    /// Its name in the manifest.
    pub name: Name,
    /// `git`, `archive`, `apt` or `path`.
    pub origin: &'static str,
    /// Commit, version or tree.
    pub version: String,
}

/// One step.
#[derive(Debug, Serialize)]
pub struct Step {
    /// Its name, as `log` takes it.
    pub name: String,
    /// What it ran.
    pub ran: String,
}

/// One library.
#[derive(Debug, Serialize)]
pub struct Needed {
    /// As linked.
    pub library: String,
    /// Who brings it.
    pub brings: Brings,
}

/// Finds the file that a person means: a path of `dist/`, of an installed root, or as it is on the installed system.
pub fn find(layout: &Layout, given: &Path, root: Option<&Path>) -> Result<Owned> {
    let absolute = std::path::absolute(given).unwrap_or_else(|_| given.to_path_buf());
    // The last name may be a link, which is meant itself.
    let parent = absolute.parent().and_then(|parent| parent.canonicalize().ok());
    let real = parent.zip(absolute.file_name()).map_or(absolute.clone(), |(parent, name)| parent.join(name));
    let below = |root: &Path| {
        let root = root.canonicalize().ok()?;
        Some(real.strip_prefix(root).ok()?.to_string_lossy().into_owned())
    };
    let plain = || given.strip_prefix("/").unwrap_or(given).to_string_lossy().into_owned();
    if let Some(root) = root {
        return of_root(root, below(root).filter(|_| absolute.exists()).unwrap_or_else(plain));
    }
    let owners = dist::Record::read(layout).owners;
    let path = below(&layout.dist()).unwrap_or_else(plain);
    if let Some(owner) = owners.get(&path) {
        return Ok(Owned { path, owner: owner.clone(), recorded: None, root: layout.dist() });
    }
    let is_root = |dir: &&Path| dir.join(installed::RECORD).is_file();
    if let Some(root) = real.ancestors().skip(1).find(is_root) {
        return of_root(root, below(root).unwrap_or(path));
    }
    Err(unknown(&path, &layout.dist(), owners.keys(), "cargo xtask build"))
}

fn of_root(root: &Path, path: String) -> Result<Owned> {
    let Some(record) = installed::Record::read(root)? else {
        return Err(Error::input(format!("nothing of ours is installed in `{}`", root.display()))
            .help(format!("cargo xtask install --root {}", root.display())));
    };
    let Some(entry) = record.files.get(&path) else {
        let install = format!("cargo xtask install --root {}", root.display());
        return Err(unknown(&path, root, record.files.keys(), &install));
    };
    let recorded = entry.ours.iter().rev().find_map(|what| match what {
        installed::What::File { sha256, .. } => Some(*sha256),
        installed::What::Link(_) => None,
    });
    Ok(Owned { path, owner: entry.owner.clone(), recorded, root: root.to_path_buf() })
}

fn unknown<'a>(path: &str, root: &Path, known: impl Iterator<Item = &'a String>, build: &str) -> Error {
    let base = |path: &'a str| path.rsplit('/').next().unwrap_or(path);
    let known: Vec<&str> = known.map(String::as_str).collect();
    let below = format!("{}/", path.trim_end_matches('/'));
    let wrong = Error::input(format!("`/{path}` is no file that we put into `{}`", root.display()));
    if let Some(first) = known.iter().find(|other| other.starts_with(&below)) {
        return wrong.because("it is a directory").help(format!("cargo xtask explain /{first}"));
    }
    let wanted = path.rsplit('/').next().unwrap_or(path);
    let same = known.iter().find(|other| base(other) == wanted).copied();
    match same.or_else(|| did_you_mean(path, known.iter().copied())) {
        Some(near) => wrong.help(format!("cargo xtask explain /{near}")),
        None => wrong.help(build),
    }
}

/// Explains it by what its component was built from last.
pub fn explain(world: &World, file: &Owned, cancel: &Cancel) -> Result<Explained> {
    let state = State::read(&world.layout);
    let Some(component) = world.definitions.components.get(&file.owner) else {
        let message = format!(
            "`/{}` is of `{}`, which manifest `{}` does not name",
            file.path, file.owner, world.definitions.manifest_name
        );
        return Err(Error::input(message).help("cargo xtask explain --manifest NAME …"));
    };
    let mut notes = Vec::new();
    let built = state.built.get(&file.owner);
    let output = match built.map(|built| world.store.tree(built.output)).transpose()? {
        Some(Found::Here(tree)) => tree,
        _ => Tree::default(),
    };
    let node = output.0.get(&file.path);
    let built = built.filter(|_| is_of_last_build(file, node, &mut notes));
    let is = match node {
        Some(Node::File { digest, mode }) => format!("sha256 {}, {} bytes, mode {mode:o}", digest.hash, digest.size),
        Some(Node::Symlink { target }) => format!("link to {target}"),
        Some(Node::Directory { mode }) => format!("directory, mode {mode:o}"),
        None => file.recorded.map_or_else(|| "unknown".to_owned(), |hash| format!("sha256 {hash}")),
    };
    let mut sources = Vec::new();
    for name in std::iter::once(&component.source).chain(component.extra.keys()) {
        let version = match world.source(name)? {
            Some(_) => origin::version(world, name)?,
            None => world.pin(name).map_or_else(|| "not here".to_owned(), |pin| pin.tree.to_string()),
        };
        sources.push(Source { name: name.clone(), origin: world.origin(name)?.kind(), version });
    }
    let preimage = match built.map(|built| Preimage::read(&world.store, built.action)).transpose()? {
        Some(Found::Here(preimage)) => Some(preimage),
        Some(Found::Missing) => {
            notes.push("gc took what it was built from, so its steps are not known".to_owned());
            None
        }
        None => None,
    };
    if let Some(preimage) = &preimage
        && world.source(&component.source)?.is_some()
        && preimage.part("src").root() != world.files(&component.source, &component.inputs, &component.exclude)?.root()
    {
        let (source, owner) = (&component.source, &file.owner);
        notes.push(format!(
            "`{source}` has changed since this was built (cargo xtask why {owner}); its revision above is that of now"
        ));
    }
    let steps = preimage.as_ref().map(|preimage| steps(world, file, preimage)).unwrap_or_default();
    Ok(Explained {
        file: format!("/{}", file.path),
        is,
        component: file.owner.clone(),
        summary: component.summary.clone(),
        licence: component.licence.clone(),
        sources,
        patches: component.patches.clone(),
        steps,
        action: built.map(|built| built.action),
        exact: preimage.map(|preimage| preimage.environment.is_exact()),
        needs: needs(world, file, &state.built, cancel)?,
        notes,
    })
}

/// The file is what the last build of its component brought; else `notes` say what it is.
fn is_of_last_build(file: &Owned, node: Option<&Node>, notes: &mut Vec<String>) -> bool {
    let Some(node) = node else {
        notes.push("the last build of its component is not known here, or did not bring it".to_owned());
        return false;
    };
    let Node::File { digest, .. } = node else { return true };
    if file.recorded.is_some_and(|recorded| recorded != digest.hash) {
        notes.push("it was installed from another build than the last one here".to_owned());
        return false;
    }
    match std::fs::File::open(file.root.join(&file.path)).and_then(|mut there| Digest::of_reader(&mut there)) {
        Ok(now) if now != *digest => {
            notes.push(format!("its content was changed since: it is sha256 {} now", now.hash))
        }
        Ok(_) => {}
        Err(error) => notes.push(format!("it cannot be read where it was installed: {error}")),
    }
    true
}

/// Steps that name the stage can have installed something; one that names the file did, and so did one whose log does.
fn steps(world: &World, file: &Owned, preimage: &Preimage) -> Vec<Step> {
    let stage = match preimage.environment.sealed {
        true => "/b/stage".to_owned(),
        false => world.layout.build(&file.owner).join("stage").display().to_string(),
    };
    let all = crate::why::steps_in_order(&preimage.steps);
    let able: Vec<(usize, &(String, String))> =
        all.iter().enumerate().filter(|(_, (_, line))| line.contains(&stage)).collect();
    let whole = format!("{stage}/{}", file.path);
    let (dir, base) = whole.rsplit_once('/').unwrap_or(("", &whole));
    let names = |text: &str| {
        let has = |line: &str, word: &str| {
            line.split([' ', '\'', '"', ';', '`', ',']).any(|part| part.trim_end_matches('/') == word)
        };
        let ends = |line: &str| {
            line.split([' ', '\'', '"', ';']).any(|part| part == base || part.ends_with(&format!("/{base}")))
        };
        text.lines().any(|line| has(line, &whole) || (has(line, dir) && ends(line)))
    };
    let logged = |index: usize, name: &str| {
        let log = world.layout.logs(&file.owner).join(format!("{:02}-{name}.log", index + 1));
        std::fs::read(log).is_ok_and(|bytes| names(&String::from_utf8_lossy(&bytes)))
    };
    let by_line: Vec<_> = able.iter().filter(|(_, (_, line))| names(line)).copied().collect();
    let by_log: Vec<_> = able.iter().filter(|(index, (name, _))| logged(*index, name)).copied().collect();
    let told = [by_line, by_log, able].into_iter().find(|steps| !steps.is_empty()).unwrap_or_default();
    told.into_iter().map(|(_, (name, ran))| Step { name: name.clone(), ran: ran.clone() }).collect()
}

fn needs(world: &World, file: &Owned, built: &BTreeMap<Name, Built>, cancel: &Cancel) -> Result<Vec<Needed>> {
    let mut outputs = BTreeMap::new();
    for name in world.definitions.components.keys() {
        if let Some(built) = built.get(name)
            && let Found::Here(tree) = world.store.tree(built.output)?
        {
            outputs.insert(name.clone(), tree);
        }
    }
    let path = format!("/{}", file.path);
    let all = runtime_needs(&world.definitions, &outputs, &world.store, cancel)?;
    let own = all.into_iter().filter(|needs| needs.component == file.owner).flat_map(|needs| needs.libraries);
    let own = own.filter(|library| library.needed_by.contains(&path));
    Ok(own.map(|library| Needed { library: library.name, brings: library.brings }).collect())
}
