//! `why`: which inputs differ from the last build, by name.

use super::Session;
use crate::action::Preimage;
use crate::bill::made::last_output;
use crate::definition::Name;
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::plan::Wanted;
use crate::state::State;
use crate::store::Found;
use crate::why::{Difference, compare};
use crate::world::World;

/// Say why a component would be rebuilt, or what would make it
///
///     cargo xtask why xen-tools            which file, flag, package or need changed
///     cargo xtask why xen-tools --inputs   all that its digest is made of
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Component
    component: String,
    /// List every input, not only what differs
    #[arg(long)]
    inputs: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let definitions = session.settled()?;
    let name = Session::names(std::slice::from_ref(&args.component))?.remove(0);
    let machine = Machine::of(&session.layout, false)?;
    let wanted = Wanted { names: vec![name.clone()], all: false };
    let world = World::new(session.layout.clone(), definitions, &wanted, machine)?;
    let state = State::read(&session.layout);
    let last_output = |need: &Name| last_output(&world, &state, need);
    let inputs = world.inputs(&name, &last_output)?;
    let action = inputs.action()?;
    if args.inputs {
        action.keep(&inputs, &world.store)?;
        let Found::Here(preimage) = Preimage::read(&world.store, action.digest)? else {
            return Err(Error::machine("what was just kept in the store is not there"));
        };
        if session.json {
            return super::print_json(&crate::why::everything(&preimage));
        }
        crate::why::everything(&preimage).iter().for_each(|line| println!("{line}"));
        return Ok(());
    }
    let overridden = world.overridden();
    if !session.json && !overridden.0.is_empty() {
        println!("overridden: {}", overridden.line());
    }
    let Some(built) = state.built.get(&name) else {
        println!("{name} was never built here; its action is {}", action.digest);
        return Ok(());
    };
    if world.actions(&name, &inputs)?.iter().any(|action| action.digest == built.action) {
        let differences: Vec<Difference> = Vec::new();
        if session.json {
            return super::print_json(
                &serde_json::json!({ "component": name, "rebuild": false, "overrides": overridden, "differences": differences }),
            );
        }
        println!("{name} is up to date: nothing that its digest is made of has changed since it was built");
        println!("It would rebuild on a change of: {}", crate::why::summary(&inputs));
        return Ok(());
    }
    let Found::Here(before) = Preimage::read(&world.store, built.action)? else {
        return Err(Error::machine(format!("cannot say why: gc took what `{name}` was last built from"))
            .help(format!("cargo xtask build {name}   # from then on it can be said")));
    };
    action.keep(&inputs, &world.store)?;
    let Found::Here(now) = Preimage::read(&world.store, action.digest)? else {
        return Err(Error::machine("what was just kept in the store is not there"));
    };
    let owners = |path: &str| {
        let needs = &world.plan.needs[&name];
        let owner = needs.iter().find(|need| last_output(need).is_some_and(|output| output.tree.0.contains_key(path)));
        owner.map(ToString::to_string)
    };
    let differences = compare(&before, &now, world.component(&name).source.as_str(), &owners);
    if session.json {
        return super::print_json(
            &serde_json::json!({ "component": name, "rebuild": true, "overrides": overridden, "differences": differences }),
        );
    }
    let inputs = if differences.len() == 1 { "input differs" } else { "inputs differ" };
    println!("{name} would be rebuilt: {} {inputs} from its last build", differences.len());
    for difference in &differences {
        println!("  {difference}");
    }
    Ok(())
}
