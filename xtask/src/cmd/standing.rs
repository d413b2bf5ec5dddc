//! How components stand before a build: known from their inputs alone, nothing is done.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::definition::Name;
use crate::error::Result;
use crate::state::State;
use crate::store::{Found, Output};
use crate::world::World;

/// What a build would do with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nothing: it is what was built here last.
    Built,
    /// Take its output from the store.
    InStore,
    /// Build it: inputs changed since it was built here.
    Changed,
    /// Build it: it never was, here.
    New,
    /// Fetch its source, or build what it needs; then it is known.
    Open,
}

/// Of every component that the plan builds, in its order. `clean`: no incremental result will do.
pub fn standings(world: &World, state: &State, clean: bool) -> Result<Vec<(Name, Standing)>> {
    let mut outputs: BTreeMap<Name, Output> = BTreeMap::new();
    let mut standings = Vec::new();
    for name in &world.plan.order {
        let built = state.built.get(name);
        let mut is_open = world.plan.needs[name].iter().any(|need| !outputs.contains_key(need));
        for source in world.sources_of(name) {
            is_open |= !world.is_here(&source)?;
        }
        if is_open {
            standings.push((name.clone(), Standing::Open));
            continue;
        }
        let inputs = world.inputs(name, &|need| outputs.get(need).cloned())?;
        let mut standing = if built.is_some() { Standing::Changed } else { Standing::New };
        let actions = if clean { vec![inputs.action()?] } else { world.actions(name, &inputs)? };
        for action in actions {
            if let Found::Here(output) = world.store.output(action.digest)? {
                outputs.insert(name.clone(), output);
                let is_last = built.is_some_and(|built| built.action == action.digest);
                standing = if is_last { Standing::Built } else { Standing::InStore };
                break;
            }
        }
        standings.push((name.clone(), standing));
    }
    Ok(standings)
}
