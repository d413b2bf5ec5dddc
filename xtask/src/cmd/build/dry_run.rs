//! The plan, printed; nothing is done.

use super::Session;
use crate::cmd::standing::{Standing, standings};
use crate::definition::{Name, Origin};
use crate::error::Result;
use crate::plan::Provider;
use crate::state::State;
use crate::world::World;

/// Prints what a build would do.
pub(super) fn show(session: &Session, world: &World, clean: bool) -> Result<()> {
    world.read_sources()?;
    let state = State::read(&session.layout);
    let mut to_fetch = Vec::new();
    for source in world.sources() {
        if !world.is_here(&source)? {
            to_fetch.push((revision(world, &source)?, source));
        }
    }
    let standings = standings(world, &state, clean)?;
    if session.json {
        let plan: Vec<_> = standings
            .iter()
            .map(|(name, standing)| {
                let source = &world.component(name).source;
                Ok(serde_json::json!({
                    "component": name, "source": source, "revision": revision(world, source)?, "standing": standing,
                    "needs": world.component(name).needs,
                    "expected-seconds": state.built.get(name).map(|built| built.seconds),
                }))
            })
            .collect::<Result<_>>()?;
        let fetch: Vec<&Name> = to_fetch.iter().map(|(_, source)| source).collect();
        return crate::cmd::print_json(
            &serde_json::json!({ "manifest": session.manifest, "overrides": world.overridden(), "fetch": fetch, "plan": plan }),
        );
    }
    println!("{}: {}", session.manifest, world.definitions.manifest.summary);
    if world.definitions.lock.is_none() {
        println!(
            "This manifest has no lock: it is a plan. Where its origins can be reached: cargo xtask update -m {}",
            session.manifest
        );
    }
    for (source, dir) in world.overridden().0 {
        println!("  override {source:<11} {}", dir.display());
    }
    for (revision, source) in &to_fetch {
        println!("  fetch   {source:<12} {revision}");
    }
    for (name, standing) in &standings {
        let (verb, why) = match standing {
            Standing::Built => ("current", "as it was built last".to_owned()),
            Standing::InStore => ("restore", "built before from the same inputs".to_owned()),
            Standing::Changed => ("build", format!("its inputs changed: cargo xtask why {name}")),
            Standing::New => ("build", "never built here".to_owned()),
            Standing::Open => ("build", after(world, name, &to_fetch)),
        };
        let seconds = state.built.get(name).map(|built| built.seconds).filter(|seconds| *seconds > 0.0);
        let seconds = match (standing, seconds) {
            (Standing::Built | Standing::InStore, _) | (_, None) => String::new(),
            (_, Some(seconds)) => format!(", {} the last time", crate::run::duration(seconds)),
        };
        println!("  {verb:<7} {name:<12} {why}{seconds}");
    }
    for (name, provider) in &world.plan.providers {
        match provider {
            Provider::System(path) => println!("  system  {name:<12} {path}"),
            Provider::Skipped(reason) => println!("  skip    {name:<12} {reason}"),
            Provider::Absent(without) => {
                println!("  without {name:<12} {}", Provider::absent("nobody provides it", without));
            }
            Provider::Internal => {}
        }
    }
    Ok(())
}

/// What must come first.
fn after(world: &World, name: &Name, to_fetch: &[(String, Name)]) -> String {
    let sources = world.sources_of(name);
    let fetched = to_fetch.iter().map(|(_, source)| source).filter(|source| sources.contains(*source));
    let needs = world.plan.needs[name].iter();
    let first: Vec<&str> = fetched.chain(needs).map(Name::as_str).collect();
    format!("after {}", first.join(", "))
}

/// The pinned revision of a source, or what it tracks.
fn revision(world: &World, source: &Name) -> Result<String> {
    let origin = world.origin(source)?;
    if let Some(pin) = world.pin(source) {
        let exact = pin.version.clone().or(pin.commit.as_ref().map(ToString::to_string));
        return Ok(format!("{} {}", origin.kind(), exact.unwrap_or_else(|| pin.tree.to_string())));
    }
    Ok(match origin {
        Origin::Git(git) => {
            let tracked = git.branch.as_ref().or(git.tag.as_ref()).or(git.commit.as_ref()).or(git.r#ref.as_ref());
            format!("git {} of {}", tracked.map_or("HEAD", String::as_str), git.urls.join(" or "))
        }
        Origin::Archive(archive) => format!("archive {}", archive.urls.join(" or ")),
        Origin::Apt(apt) => format!("apt {} {}", apt.package, apt.version.as_deref().unwrap_or("(newest)")),
        Origin::Path(local) => format!("directory {}", local.dir),
    })
}
