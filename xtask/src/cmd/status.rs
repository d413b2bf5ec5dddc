//! `status`: pinned, checked out, changed, built, provided by the system. Reads only, starts no process.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Session;
use super::standing::{Standing, standings};
use crate::definition::{Name, Origin};
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::origin::{self, State as SourceState};
use crate::plan::{Provider, Wanted};
use crate::state::State;
use crate::world::World;

/// Show what is pinned, checked out, changed and built
///
///     cargo xtask status                   everything of the manifest
///     cargo xtask status xen               one source or component
///     cargo xtask status --json            for machines
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Sources or components [default: all]
    pub(super) names: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct SourceRow {
    source: Name,
    origin: &'static str,
    pinned: Option<String>,
    state: String,
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    instead: Option<PathBuf>,
    changes: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ComponentRow {
    component: Name,
    state: String,
    seconds: Option<f64>,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let definitions = session.settled()?;
    let names = Session::names(&args.names)?;
    let is_known =
        |name: &&Name| definitions.manifest.sources.contains_key(*name) || definitions.components.contains_key(*name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        let manifest = &session.manifest;
        return Err(Error::input(format!("manifest `{manifest}` has no source and no component `{unknown}`"))
            .help("cargo xtask list"));
    }
    let machine = Machine::of(&session.layout, false)?;
    let world = World::new(session.layout.clone(), definitions, &Wanted::default(), machine)?;
    world.read_sources()?;
    let shown = |name: &Name| names.is_empty() || names.contains(name);
    let needed = world.sources();
    let mut sources = Vec::new();
    for (source, origin) in world.definitions.manifest.sources.iter().filter(|(name, _)| shown(name)) {
        let instead = world.overrides.0.contains_key(source);
        if instead || needed.contains(source) || names.contains(source) {
            sources.push(source_row(session, &world, source, origin)?);
        }
    }
    let components: Vec<ComponentRow> =
        component_rows(session, &world)?.into_iter().filter(|row| shown(&row.component)).collect();
    if session.json {
        return super::print_json(&serde_json::json!({
            "manifest": session.manifest, "locked": world.definitions.lock.is_some(),
            "frozen": world.definitions.lock.as_ref().is_some_and(|lock| lock.frozen), "sources": sources, "components": components,
        }));
    }
    let locked = match &world.definitions.lock {
        Some(lock) if lock.frozen => "  (frozen)",
        Some(_) => "",
        None => "  (a plan: not locked)",
    };
    println!("{}: {}{locked}", session.manifest, world.definitions.manifest.summary);
    println!("\nsources");
    for row in &sources {
        println!("  {:<12} {:<8} {:<44} {}", row.source, row.origin, row.pinned.as_deref().unwrap_or("-"), row.state);
        for change in row.changes.iter().take(5) {
            println!("  {:<12} {change}", "");
        }
        if row.changes.len() > 5 {
            println!("  {:<12} and {} more", "", row.changes.len() - 5);
        }
    }
    println!("\ncomponents");
    for row in &components {
        let seconds =
            row.seconds.map(|seconds| format!(", {} to build", crate::run::duration(seconds))).unwrap_or_default();
        println!("  {:<12} {}{seconds}", row.component, row.state);
    }
    Ok(())
}

fn source_row(session: &Session, world: &World, source: &Name, origin: &Origin) -> Result<SourceRow> {
    let pin = world.pin(source);
    let pinned = pin.map(|pin| match (&pin.version, &pin.commit) {
        (Some(version), _) => version.clone(),
        (None, Some(commit)) => commit.to_string(),
        (None, None) => format!("tree {}", &pin.tree.to_string()[..12]),
    });
    let instead = world.overrides.0.get(source).cloned();
    let (state, changes) = match &instead {
        Some(dir) => (overridden(world, source, dir)?, Vec::new()),
        None => at_its_place(session, world, source, origin)?,
    };
    Ok(SourceRow { source: source.clone(), origin: origin.kind(), pinned, state, instead, changes })
}

fn overridden(world: &World, source: &Name, dir: &Path) -> Result<String> {
    let how = match world.source(source)? {
        None => ", which is not there",
        Some(tree) if tree.is_pins => ", the same as its pin",
        Some(_) => "",
    };
    Ok(format!("overridden with {}{how} ({})", dir.display(), world.back(source)))
}

/// How what fetch brought stands, and what was done to it since.
fn at_its_place(session: &Session, world: &World, source: &Name, origin: &Origin) -> Result<(String, Vec<String>)> {
    if let Some(unpacked) = world.unpacked.as_ref().filter(|_| world.is_unpacked(source)) {
        let state = match world.source(source)? {
            None => "in the archive, and not here any more",
            Some(tree) if unpacked.is_as_it_was(source, &tree.tree) => "in the archive",
            Some(_) => "in the archive, and changed since it was unpacked",
        };
        return Ok((state.to_owned(), Vec::new()));
    }
    let pin = world.pin(source);
    let at_pin = world.source(source)?.is_some_and(|tree| tree.at_pin);
    Ok(match origin {
        Origin::Path(local) => (format!("local directory {}", local.dir), Vec::new()),
        _ if at_pin => ("at its pin".to_owned(), Vec::new()),
        _ => match origin::state(&session.layout, source, origin, pin)? {
            SourceState::Local | SourceState::AtPin => ("at its pin".to_owned(), Vec::new()),
            SourceState::Missing => ("not fetched".to_owned(), Vec::new()),
            SourceState::OffPin { at } => (format!("at {at}, not at its pin (cargo xtask fetch {source})"), Vec::new()),
            SourceState::Worked { changes, commits } => {
                let counted =
                    |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
                let files = (!changes.is_empty()).then(|| format!("{} changed", counted(changes.len(), "file")));
                let commits_here = (!commits.is_empty()).then(|| counted(commits.len(), "local commit"));
                let text = files.into_iter().chain(commits_here).collect::<Vec<_>>().join(", ");
                (text, commits.into_iter().chain(changes.iter().map(ToString::to_string)).collect())
            }
            SourceState::Foreign => {
                (format!("overridden: not what the lock names (cargo xtask fetch {source} --discard)"), Vec::new())
            }
        },
    })
}

fn component_rows(session: &Session, world: &World) -> Result<Vec<ComponentRow>> {
    let state = State::read(&session.layout);
    let mut rows = Vec::new();
    for (name, standing) in standings(world, &state, false)? {
        let built = state.built.get(&name);
        let text = match standing {
            Standing::Built if built.is_some_and(|built| built.incremental) => {
                format!("built, incrementally (exact: cargo xtask build {name} --clean)")
            }
            Standing::Built => "built".to_owned(),
            Standing::InStore => "in the store".to_owned(),
            Standing::Changed => format!("to build again (cargo xtask why {name})"),
            Standing::New => "to build".to_owned(),
            Standing::Open => "to build: its source is not here, or a need is not built".to_owned(),
        };
        let unsealed = if world.machine.bubblewrap().is_none() { ", unsealed: no sandbox" } else { "" };
        let seconds = built.map(|built| built.seconds).filter(|seconds| *seconds > 0.0);
        rows.push(ComponentRow { component: name, state: format!("{text}{unsealed}"), seconds });
    }
    for (name, provider) in &world.plan.providers {
        let text = match provider {
            Provider::Internal => continue,
            Provider::System(path) if Path::new(path).exists() => format!("system, {path}"),
            Provider::System(path) => format!("system, {path} (not on this machine: cargo xtask doctor)"),
            Provider::Skipped(reason) => format!("not built here: {reason}"),
            Provider::Absent(without) => Provider::absent("not provided", without),
        };
        rows.push(ComponentRow { component: name.clone(), state: text, seconds: None });
    }
    Ok(rows)
}
