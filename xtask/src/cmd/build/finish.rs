//! The end of a run: what was learned, and `dist/`.

use std::collections::{BTreeMap, BTreeSet};

use super::attempt::Run;
use crate::definition::Name;
use crate::dist;
use crate::error::{Error, Result};
use crate::merge::merge;
use crate::run::{Done, Event};
use crate::state::Built;
use crate::store::{Found, Output, register_root};

impl Run<'_> {
    /// Writes down what was learned, and what gc must keep.
    pub(super) fn remember(&mut self, done: &BTreeMap<Name, Done>) -> Result<()> {
        let before = self.state.clone();
        for (name, done) in done {
            let old = self.state.built.get(name);
            let (seconds, steps, restored) = match (&done.built, old) {
                (Some((seconds, steps)), _) => (*seconds, steps.clone(), false),
                (None, Some(old)) if old.action == done.action => (old.seconds, old.steps.clone(), old.restored),
                (None, old) => (old.map_or(0.0, |old| old.seconds), Vec::new(), true),
            };
            let manifest = Some(self.session.manifest.clone());
            let (action, output, incremental) = (done.action, done.output.root, done.incremental);
            let built = Built { action, output, manifest, seconds, steps, incremental, restored };
            self.state.built.insert(name.clone(), built);
        }
        if self.state != before {
            self.state.write(&self.session.layout)?;
        }
        let manifest = &self.world.definitions.manifest;
        let current = manifest.components.iter().chain(&manifest.optional);
        let needed = current.filter_map(|name| self.state.built.get(name)).map(|built| built.action).collect();
        register_root(&self.world.store, &self.session.layout.root, self.session.manifest.as_str(), needed)
    }

    /// Merges everything into dist/: what was asked for now, and what an earlier run of this manifest put there.
    pub(super) fn install(&self, done: &BTreeMap<Name, Done>) -> Result<()> {
        let manifest = &self.world.definitions.manifest;
        let record = dist::Record::read(&self.session.layout);
        let owners: BTreeSet<&Name> = record.owners.values().collect();
        let mut outputs: BTreeMap<Name, Output> = BTreeMap::new();
        for name in manifest.components.iter().chain(&manifest.optional) {
            if let Some(done) = done.get(name) {
                outputs.insert(name.clone(), done.output.clone());
            } else if let (true, Some(built)) = (owners.contains(name), self.state.built.get(name))
                && built.manifest.as_ref() == Some(&self.session.manifest)
                && let Found::Here(tree) = self.world.store.tree(built.output)?
            {
                outputs.insert(name.clone(), Output { root: built.output, tree });
            }
        }
        let merged = merge(outputs.iter().map(|(name, output)| (name, &output.tree)), &manifest.shared)?;
        let installed = dist::install(&self.session.layout, &self.world.store, &merged)?;
        self.report.send(Event::Installed {
            dist: self.session.layout.dist().display().to_string(),
            written: installed.written,
            removed: installed.removed,
            files: merged.tree.leaves(),
        });
        if !installed.foreign.is_empty() {
            let shown: Vec<&str> = installed.foreign.iter().take(3).map(String::as_str).collect();
            let more = installed.foreign.len().saturating_sub(3);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            self.report
                .note(format!("dist/ holds files that nobody here installed, left alone: {}{more}", shown.join(", ")));
        }
        if installed.lost.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = installed.lost.iter().map(Name::as_str).collect();
        Err(Error::machine(format!("the store lost a part of the output of {}", names.join(", ")))
            .help("cargo xtask build   # makes it again"))
    }
}
