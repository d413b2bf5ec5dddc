//! `deps`: what needs what, when it runs.

use std::collections::BTreeMap;

use super::{Selection, Session};
use crate::definition::Name;
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::runtime_deps::{Brings, Needs, runtime_needs};
use crate::state::State;
use crate::store::Found;
use crate::tree::Tree;
use crate::world::World;

/// Show which component or package each built binary needs at run time
///
///     cargo xtask deps --runtime               of everything that is built
///     cargo xtask deps --runtime xen-tools     of one
///     cargo xtask deps --runtime --json        binary by binary
///
/// What a binary is linked to must be there for it to start; what a component only names by its path need not. An optional component that
/// something is linked to is mandatory: it is shown as a fault, and the exit status is 1.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// What binaries need when they run; `graph` shows what builds need
    #[arg(long, required = true)]
    runtime: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let definitions = session.settled()?;
    let wanted = args.selection.wanted(session)?;
    let world = World::new(session.layout.clone(), definitions, &wanted, Machine::of(&session.layout, false)?)?;
    let state = State::read(&session.layout);
    let mut outputs: BTreeMap<Name, Tree> = BTreeMap::new();
    let mut open = Vec::new();
    for name in &world.plan.order {
        match state.built.get(name).map(|built| world.store.tree(built.output)).transpose()? {
            Some(Found::Here(tree)) => drop(outputs.insert(name.clone(), tree)),
            _ => open.push(name.as_str()),
        }
    }
    if outputs.is_empty() {
        return Err(Error::input("nothing of it is built yet").help(format!("cargo xtask build {}", open.join(" "))));
    }
    let needs = runtime_needs(&world.definitions, &outputs, &world.store, &session.cancel)?;
    let shown: Vec<&Needs> =
        needs.iter().filter(|needs| wanted.names.is_empty() || wanted.names.contains(&needs.component)).collect();
    if session.json {
        super::print_json(
            &serde_json::json!({ "manifest": session.manifest, "components": shown, "not-built": open }),
        )?;
    } else {
        shown.iter().for_each(|needs| print(needs));
        if !open.is_empty() {
            println!("not built yet: {}", open.join(", "));
        }
    }
    let faults: Vec<&String> = shown.iter().flat_map(|needs| &needs.faults).collect();
    for fault in &faults {
        eprintln!("fault: {fault}");
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::step(format!("{} of what should be optional is mandatory", faults.len())).said())
}

fn print(needs: &Needs) {
    println!("{}", needs.component);
    let mut by_owner: BTreeMap<&Brings, Vec<&str>> = BTreeMap::new();
    let mut users: BTreeMap<&Brings, Vec<&str>> = BTreeMap::new();
    for library in &needs.libraries {
        by_owner.entry(&library.brings).or_default().push(&library.name);
        users.entry(&library.brings).or_default().extend(library.needed_by.iter().map(String::as_str));
    }
    for (owner, libraries) in by_owner.iter().filter(|(owner, _)| ***owner != Brings::Itself) {
        let owner_text = match owner {
            Brings::Itself => "itself".to_owned(),
            Brings::Component(name) => format!("component {name}"),
            Brings::Package(name) => format!("package {name}"),
            Brings::Unknown => "of unknown origin".to_owned(),
        };
        let mut users = users[*owner].clone();
        users.sort_unstable();
        users.dedup();
        let more = if users.len() > 1 { format!(" and {} more", users.len() - 1) } else { String::new() };
        println!("  {owner_text:<28} {}   ({}{more})", libraries.join(" "), users.first().unwrap_or(&""));
    }
    if !needs.names.is_empty() {
        let names = needs.names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
        println!("  {:<28} {names}", "named by path");
    }
    if !needs.programs.is_empty() {
        println!("  {:<28} {}", "programs", needs.programs.join(", "));
    }
}
