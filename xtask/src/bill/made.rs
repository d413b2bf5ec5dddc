//! What the last build of a component was made from and brought, read back out of the store.

use crate::action::Preimage;
use crate::definition::Name;
use crate::error::{Error, Result};
use crate::state::{Built, State};
use crate::store::Found;
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

/// The component's source on disk is the one that this was built from.
pub fn is_of_now(world: &World, name: &Name, preimage: &Preimage) -> Result<bool> {
    let component = world.component(name);
    let now = world.files(&component.source, &component.inputs, &component.exclude)?;
    Ok(preimage.part("src").root() == now.root())
}
