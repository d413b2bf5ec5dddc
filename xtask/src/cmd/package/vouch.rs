//! What is stated of packages: one statement for all that have files of the same components.

use std::collections::{BTreeMap, BTreeSet};

use super::Args;
use super::write::Made;
use crate::bill::{Bill, provenance};
use crate::cmd::Session;
use crate::definition::Name;
use crate::digest::Digest;
use crate::error::Result;
use crate::state::State;
use crate::world::World;

/// The statements, each in a line. `written` has the digests of the packages' files, `bill` is of all components.
pub(super) fn lines(
    session: &Session,
    args: &Args,
    world: &World,
    bill: &Bill,
    made: &[Made<'_>],
    written: &BTreeMap<&str, Digest>,
) -> Result<Vec<u8>> {
    let mut sets: BTreeMap<&BTreeSet<Name>, BTreeMap<&str, Digest>> = BTreeMap::new();
    for made in made {
        let file = made.file.as_str();
        sets.entry(&made.package.components).or_default().insert(file, written[file]);
    }
    let asked = [
        ("format", args.format.word().into()),
        ("revision", args.revision.into()),
        ("epoch", args.epoch.into()),
        ("maintainer", args.maintainer.clone().into()),
        ("single", args.single.into()),
        ("strip", (!args.no_strip).into()),
    ];
    let state = State::read(&session.layout);
    let mut lines = Vec::new();
    for (components, files) in sets {
        let builds = components.iter().filter_map(|name| Some((name, state.built.get(name)?))).collect();
        let statement = provenance::packages(world, &files, &builds, &bill.of(components), &asked)?;
        lines.extend(args.vouching.line(session, statement, &format!("packages of {}", names(components)))?);
    }
    Ok(lines)
}

fn names(components: &BTreeSet<Name>) -> String {
    components.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
