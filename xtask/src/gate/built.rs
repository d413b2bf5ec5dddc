//! What a job was really made of: the revisions of its sources as they stand in the checkout after a build, or
//! when a test's own program begins, whatever was asked for.

use std::collections::{BTreeMap, BTreeSet};

use xtask_gate::model::{Revision, Tuple};

use super::checkout::Checkout;
use super::versions::revision_of;
use crate::definition::{Component, Definitions, Does, Name, Origin};
use crate::error::Result;
use crate::origin::{self, State};

impl Checkout {
    /// The trees of a tuple that a job is made of, each at what it is.
    pub(super) fn built(&self, does: &Does, tuple: &Tuple) -> Result<BTreeMap<String, Revision>> {
        let layout = self.layout();
        let definitions = Definitions::load(&layout, &self.gate.manifest)?;
        let sources = sources(does, &definitions);
        let mut built = BTreeMap::new();
        for tree in tuple.0.keys() {
            let source = Checkout::source(tree)?;
            if self.gate.trees.get(&source).is_some_and(|tracked| tracked.project) {
                let revision = &tuple.0[tree];
                let found = if self.is_at(&revision.0)? { revision.clone() } else { changed(revision) };
                built.insert(tree.clone(), found);
                continue;
            }
            let origin = definitions.manifest.sources.get(&source).filter(|_| sources.contains(&source));
            let Some(origin) = origin.filter(|origin| !matches!(origin, Origin::Path(_))) else { continue };
            let pin = definitions.lock.as_ref().and_then(|lock| lock.sources.get(&source));
            let found = match (origin::state(&layout, &source, origin, pin)?, pin) {
                (State::AtPin, Some(pin)) => revision_of(pin),
                (State::OffPin { at }, _) => Revision(at),
                (State::Worked { .. }, Some(pin)) => changed(&revision_of(pin)),
                // Not of this job, or nothing that could be named.
                _ => continue,
            };
            built.insert(tree.clone(), found);
        }
        Ok(built)
    }
}

/// Never equal to what was asked for.
fn changed(revision: &Revision) -> Revision {
    Revision(format!("{revision} with changes"))
}

/// Every source that goes into what a job makes or tests.
fn sources(does: &Does, definitions: &Definitions) -> BTreeSet<Name> {
    let mut todo: Vec<&Name> = match does {
        Does::Test { sources, .. } => return sources.iter().cloned().collect(),
        Does::Build { components } => components.iter().collect(),
        Does::Boot { .. } => definitions.manifest.components.iter().collect(),
    };
    let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
    while let Some(name) = todo.pop() {
        let component: Option<&Component> = definitions.components.get(name).filter(|_| seen.insert(name));
        if let Some(component) = component {
            found.insert(component.source.clone());
            found.extend(component.extra.keys().cloned());
            todo.extend(&component.needs);
        }
    }
    found
}
