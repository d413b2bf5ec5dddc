//! `override` and `restore`: sources from a directory of the user, and back.

use std::path::PathBuf;

use super::Session;
use crate::definition::{Definitions, Name};
use crate::error::{Error, Result};
use crate::overrides::{self, Overrides};
use crate::run::kept;

/// Build a source from a directory of yours, or list what is
///
///     cargo xtask override seabios ~/seabios   from now on, until it is restored
///     cargo xtask override                     what is overridden, and with what
///     cargo xtask restore seabios              back to the locked tree, at no cost
///
/// Nothing that is committed changes. What git tracks there counts, and what it neither tracks nor
/// ignores; without a repository, all files.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Source of the manifest
    #[arg(requires = "path")]
    source: Option<String>,
    /// Directory that holds its tree
    path: Option<PathBuf>,
}

/// Go back to the locked tree of overridden sources
///
///     cargo xtask restore seabios          this one
///     cargo xtask restore --all            every one
///
/// Your directory stays as it is. What was built from the locked tree before is not built again.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct RestoreArgs {
    /// Overridden sources
    #[arg(required_unless_present = "all")]
    sources: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with = "sources")]
    all: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let layout = &session.layout;
    let (Some(source), Some(path)) = (&args.source, &args.path) else { return list(session) };
    let definitions = session.definitions()?;
    let source = Session::names(std::slice::from_ref(source))?.remove(0);
    known(&definitions, &source)?;
    let _turn = session.turn(&|line| eprintln!("{line}"))?;
    let dir = overrides::check(layout, &source, path)?;
    let mut all = Overrides::read(layout)?;
    let before = all.0.insert(source.clone(), dir.clone());
    all.write(layout)?;
    if session.json {
        return list(session);
    }
    let instead = before.filter(|before| *before != dir).map(|before| format!(", no longer from {}", before.display()));
    println!("{source}: built from {}{}", dir.display(), instead.unwrap_or_default());
    let users = users(&definitions, &source);
    if !users.is_empty() {
        println!("  used by {}; build: cargo xtask build {}", users.join(", "), users.join(" "));
    }
    println!("  back: cargo xtask restore {source}");
    Ok(())
}

pub fn restore(session: &Session, args: &RestoreArgs) -> Result<()> {
    let layout = &session.layout;
    let names = Session::names(&args.sources)?;
    let _turn = session.turn(&|line| eprintln!("{line}"))?;
    if args.all {
        Overrides::clear(layout)?;
        return forget_builds(session, &|_| true);
    }
    let mut all = Overrides::read(layout)?;
    for source in &names {
        let Some(dir) = all.0.remove(source) else {
            let error = Error::input(format!("source `{source}` is not overridden"));
            return Err(error.help("cargo xtask override   # lists what is"));
        };
        if !session.json {
            println!("{source}: the locked tree again, no longer {}", dir.display());
        }
    }
    all.write(layout)?;
    forget_builds(session, &|source| names.contains(source))?;
    if session.json { list(session) } else { Ok(()) }
}

/// Removes what was kept to go on from, which is of use to nobody now. Definitions that are broken only leave it there.
fn forget_builds(session: &Session, of: &dyn Fn(&Name) -> bool) -> Result<()> {
    let Ok(definitions) = session.definitions() else { return Ok(()) };
    let users = definitions.components.iter().filter(|(_, component)| of(&component.source));
    for dir in users.map(|(name, _)| session.layout.build(name)).filter(|dir| kept::is_kept(dir)) {
        crate::atomic::remove_tree(&dir)?;
    }
    Ok(())
}

fn list(session: &Session) -> Result<()> {
    let overrides = Overrides::read(&session.layout)?;
    if session.json {
        return super::print_json(&overrides);
    }
    if overrides.0.is_empty() {
        println!("no source is overridden");
    }
    for (source, dir) in &overrides.0 {
        let gone = if dir.is_dir() { "" } else { " (not there any more)" };
        println!("  {source:<12} {}{gone}", dir.display());
    }
    Ok(())
}

/// Components of the manifest that are built from a source.
fn users<'a>(definitions: &'a Definitions, source: &Name) -> Vec<&'a str> {
    let uses = |(_, component): &(&Name, &crate::definition::Component)| {
        component.source == *source || component.extra.contains_key(source)
    };
    let manifest = &definitions.manifest;
    let named = |name: &Name| manifest.components.contains(name) || manifest.optional.contains(name);
    definitions.components.iter().filter(|(name, _)| named(name)).filter(uses).map(|(name, _)| name.as_str()).collect()
}

fn known(definitions: &Definitions, name: &Name) -> Result<()> {
    let sources = &definitions.manifest.sources;
    if sources.contains_key(name) {
        return Ok(());
    }
    let manifest = &definitions.manifest_name;
    if let Some(component) = definitions.components.get(name) {
        let source = &component.source;
        return Err(Error::input(format!("`{name}` is a component; what is overridden is its source, `{source}`"))
            .help(format!("cargo xtask override {source} DIR")));
    }
    let names = sources.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
    Err(Error::input(format!("manifest `{manifest}` has no source `{name}`; it has {names}"))
        .help("cargo xtask status"))
}
