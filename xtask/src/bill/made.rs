//! What the last build of a component was made from and brought, read back out of the store.

use crate::action::Preimage;
use crate::definition::Name;
use crate::error::{Error, Result};
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
/// when they were built last.
pub fn is_of_now(world: &World, state: &State, name: &Name, made: &Made) -> Result<bool> {
    let inputs = world.inputs(name, &|need| last_output(world, state, need))?;
    Ok(world.actions(name, &inputs)?.iter().any(|action| action.digest == made.built.action))
}

/// What the last build of a component brought, as far as the store has it.
pub fn last_output(world: &World, state: &State, name: &Name) -> Option<Output> {
    let root = state.built.get(name)?.output;
    match world.store.tree(root) {
        Ok(Found::Here(tree)) => Some(Output { root, tree }),
        _ => None,
    }
}
