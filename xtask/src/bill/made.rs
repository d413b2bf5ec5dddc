//! What the last build of a component was made from and brought, read back out of the store.

use std::collections::BTreeSet;

use crate::action::Preimage;
use crate::definition::Name;
use crate::dist::Record;
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::plan::Wanted;
use crate::state::{Built, State};
use crate::store::{Found, Output};
use crate::tree::Tree;
use crate::world::World;

/// The last build of a component here.
#[derive(Debug)]
pub struct Made {
    /// Its digests.
    pub built: Built,
    /// What it was made from.
    pub preimage: Preimage,
    /// What it brought.
    pub output: Tree,
}

/// The last build of `name`, or an error that says how to get one.
pub fn made(world: &World, state: &State, name: &Name) -> Result<Made> {
    let build = format!("cargo xtask build {name}");
    let Some(built) = state.built.get(name).cloned() else {
        return Err(Error::input(format!("`{name}` was not built here yet")).help(build));
    };
    match (Preimage::read(&world.store, built.action)?, world.store.tree(built.output)?) {
        (Found::Here(preimage), Found::Here(output)) => Ok(Made { built, preimage, output }),
        _ => Err(Error::machine(format!("the store lost what `{name}` was built from")).help(build)),
    }
}

/// What `name` would be built from now is what this was built from: files, patches, steps, settings, tools, packages, and what its needs brought
/// when they were built last. A component is told of optional ones, which one plan has and another has not: each that people build by counts.
pub fn is_of_now(world: &World, state: &State, name: &Name, made: &Made) -> Result<bool> {
    let is_of = |world: &World| -> Result<bool> {
        if !world.plan.order.contains(name) {
            return Ok(false);
        }
        let inputs = world.inputs(name, &|need| last_output(world, state, need))?;
        Ok(world.actions(name, &inputs)?.iter().any(|action| action.digest == made.built.action))
    };
    if is_of(world)? {
        return Ok(true);
    }
    let named = |names: Vec<Name>| Wanted { names, all: false };
    let plans = [
        Wanted::default(),
        named(vec![name.clone()]),
        Wanted { all: true, ..Wanted::default() },
        named(installed(world)),
    ];
    for wanted in &plans {
        let machine = Machine::of(&world.layout, !made.preimage.environment.sealed)?;
        // Not everything can be planned everywhere: that is no reason to doubt what was built.
        let Ok(other) = World::new(world.layout.clone(), world.definitions.clone(), wanted, machine) else { continue };
        if is_of(&other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The line that builds `name` to go with the optional ones that are in `dist/`.
pub fn rebuild(world: &World, name: &Name) -> String {
    let main = &world.definitions.manifest.components;
    let mut names = installed(world);
    names.retain(|other| other != name && !main.contains(other));
    let names = [name.clone()].into_iter().chain(names).map(|name| name.to_string()).collect::<Vec<_>>().join(" ");
    format!("cargo xtask build {names}")
}

/// The components that are in `dist/`, as far as this manifest knows them.
fn installed(world: &World) -> Vec<Name> {
    let owners: BTreeSet<Name> = Record::read(&world.layout).owners.into_values().collect();
    owners.into_iter().filter(|owner| world.definitions.components.contains_key(owner)).collect()
}

/// What the last build of a component brought, as far as the store has it.
pub fn last_output(world: &World, state: &State, name: &Name) -> Option<Output> {
    let root = state.built.get(name)?.output;
    match world.store.tree(root) {
        Ok(Found::Here(tree)) => Some(Output { root, tree }),
        _ => None,
    }
}
