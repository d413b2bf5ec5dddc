//! Definitions after settings: what every command that plans, builds or shows works with. Those that write pins work with what is
//! committed.

use std::collections::BTreeSet;

use super::Session;
use crate::definition::{Component, Definitions, Git, Lock, Name, Origin, Pin};
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::origin;
use crate::overrides;
use crate::settings::{self, Ask, Kept, Layers, Settings};

impl Session {
    /// What was said, everywhere.
    pub fn settings(&self, definitions: &Definitions) -> Result<Settings> {
        let file = self.layout.root.join(".config");
        let text = crate::atomic::read(&file)?.unwrap_or_default();
        let layers = Layers {
            arguments: self.arguments.clone(),
            config_file: settings::read_config_file(&String::from_utf8_lossy(&text))?,
            kept: Kept::read(&self.layout)?,
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            declared: declared(definitions),
        };
        Settings::of(&layers)
    }

    /// Manifest, components and lock as the settings make them; old names and what `auto` found are said on standard error.
    pub fn settled(&self) -> Result<Definitions> {
        let definitions = self.definitions()?;
        let settings = self.settings(&definitions)?;
        let (definitions, notes) = self.settle(definitions, &settings)?;
        notes.iter().for_each(|note| eprintln!("note: {note}"));
        Ok(definitions)
    }

    /// The same of these definitions; says nothing.
    pub(super) fn settle(
        &self,
        mut definitions: Definitions,
        settings: &Settings,
    ) -> Result<(Definitions, Vec<String>)> {
        let layout = &self.layout;
        let install = |component: &Component| {
            let machine = Machine::of(layout, true).ok()?;
            let packages = machine.own(&component.system_packages);
            (!packages.is_empty()).then(|| machine.install_command(packages))
        };
        let ask = Ask { look: &settings::look, install: &install };
        let notes = settings::apply(&mut definitions, settings, &layout.root, &ask)?;
        for (source, local) in &mut definitions.chosen.local {
            local.dir = overrides::check(layout, source, &local.dir)
                .map_err(|error| Error::input(format!("cannot use {}", local.said)).because(error))?;
        }
        let unpinned = definitions.chosen.unpinned.clone();
        for (source, candidates) in &unpinned {
            for git in candidates {
                if let Some(pin) = settings::recall(layout, source, git)? {
                    pinned(&mut definitions, source, git, pin);
                    break;
                }
            }
        }
        Ok((definitions, notes))
    }

    /// Asks the repositories for revisions that a setting wants and nobody has asked for yet; `again` asks for all.
    pub fn resolve(&self, definitions: &mut Definitions, again: bool, say: &(dyn Fn(&str) + Sync)) -> Result<()> {
        for (source, candidates) in definitions.chosen.unpinned.clone() {
            let is_known = definitions.lock.as_ref().is_some_and(|lock| lock.sources.contains_key(&source));
            if is_known && (self.offline || !again) {
                continue;
            }
            let fetching = self.fetching(false, say);
            let mut first: Option<Error> = None;
            let mut found = None;
            for git in &candidates {
                match origin::resolve(&fetching, &source, &Origin::Git(git.clone()), None) {
                    Ok(pin) => {
                        found = pin.map(|pin| (git, pin));
                        break;
                    }
                    Err(error) if error.kind() == crate::error::Kind::Interrupted => return Err(error),
                    Err(error) => first = first.or(Some(error)),
                }
            }
            match (found, first) {
                (Some((git, pin)), _) => {
                    settings::remember(&self.layout, &source, git, &pin)?;
                    let commit = pin.commit.as_ref().map(ToString::to_string).unwrap_or_default();
                    say(&format!("{source}: {commit}, as a setting asks (cargo xtask configure --show)"));
                    pinned(definitions, &source, git, pin);
                }
                (None, Some(error)) => return Err(error),
                (None, None) => {}
            }
        }
        Ok(())
    }
}

/// Variables that components take.
pub(super) fn declared(definitions: &Definitions) -> BTreeSet<String> {
    definitions.components.values().flat_map(|component| component.settings.keys().cloned()).collect()
}

/// As if the lock had this pin.
fn pinned(definitions: &mut Definitions, source: &Name, git: &Git, pin: Pin) {
    definitions.manifest.sources.insert(source.clone(), Origin::Git(git.clone()));
    definitions.lock.get_or_insert_with(Lock::default).sources.insert(source.clone(), pin);
}
