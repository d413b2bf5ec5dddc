//! What is in `dist/` and was built from what is going to be built: named components bring it along, so that what stands there
//! fits together.

use std::collections::BTreeSet;

use crate::definition::{Definitions, Name};
use crate::dist::Record;
use crate::layout::Layout;
use crate::plan::Wanted;
use crate::state::State;

/// Adds them to the components that were named.
pub(super) fn add(layout: &Layout, definitions: &Definitions, wanted: &mut Wanted) {
    if wanted.names.is_empty() {
        return;
    }
    let state = State::read(layout);
    let is_of_this = |name: &Name| {
        state.built.get(name).is_some_and(|built| built.manifest.as_ref() == Some(&definitions.manifest_name))
    };
    let installed: BTreeSet<Name> = Record::read(layout).owners.into_values().filter(is_of_this).collect();
    let (mut seen, mut open) = (BTreeSet::new(), wanted.names.clone());
    while let Some(name) = open.pop() {
        let users = definitions.components.iter().filter(|(_, component)| component.needs.contains(&name));
        open.extend(users.map(|(user, _)| user.clone()).filter(|user| seen.insert(user.clone())));
    }
    let is_left = |name: &Name| definitions.chosen.left.contains_key(name);
    seen.retain(|name| installed.contains(name) && !wanted.names.contains(name) && !is_left(name));
    wanted.names.extend(seen);
}
