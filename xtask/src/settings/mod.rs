//! Settings: what a person chose for this run or this checkout, each with where it was said. The door of the folder is `Settings::of`;
//! below it one file per idea:
//!
//! - `key.rs`: the closed set of names, old ones too, and which of them may be said where.
//! - `value.rs`: what each kind of setting may be.
//! - `config_file.rs`, `kept.rs`, `preset.rs`: where values come from beside the command line and the environment.
//! - `system.rs`: a copy of the machine, looked at by trying: the right kind of file, its size, its version.
//! - `apply.rs`: what settings make of a manifest and its components; `sources.rs` of its sources; `revisions.rs` remembers what a revision was resolved to.
//! - `show.rs`: what holds, for people.
//!
//! Everything but `system.rs` and the reading of two files is pure. Nothing here builds or fetches.
//!
//! Invariant: a nearer place wins: an argument, then `.config`, then what `configure` kept, then the environment, then the manifest.

mod apply;
mod config_file;
mod directories;
mod kept;
mod key;
mod preset;
mod revisions;
mod show;
mod sources;
mod system;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::error::{Error, Result};

pub use apply::{Ask, Chosen, Local, apply};
pub use config_file::read as read_config_file;
pub use directories::Directories;
pub use kept::Kept;
pub use key::{Directory, Key, Part, Place, Tool, Tree};
pub use preset::{PRESETS, Preset, preset};
pub use revisions::{recall, remember};
pub use show::{Row, rows};
pub use system::{Copy, Evidence, look};
pub use value::Provide;

/// Where a value was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// On the command line.
    Argument,
    /// In `.config`, on this line.
    ConfigFile(usize),
    /// `configure` keeps it; out of a preset, if it has a name.
    Kept(Option<String>),
    /// In the environment.
    Environment,
    /// The manifest has it.
    Manifest,
    /// Nobody said anything.
    Default,
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            From::Argument => f.write_str("argument"),
            From::ConfigFile(line) => write!(f, ".config, line {line}"),
            From::Kept(None) => f.write_str("configure"),
            From::Kept(Some(preset)) => write!(f, "configure, preset {preset}"),
            From::Environment => f.write_str("environment"),
            From::Manifest => f.write_str("manifest"),
            From::Default => f.write_str("default"),
        }
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As it was said; it has the right form.
    pub value: String,
    /// Where.
    pub from: From,
    /// The name it was said by, if that is not the key's own.
    pub said_as: Option<String>,
}

/// Everything that may say something, nearest first.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// `NAME=VALUE` and options of the command line.
    pub arguments: Vec<(String, String)>,
    /// Lines of `.config`: number, name, value.
    pub config_file: Vec<(usize, String, String)>,
    /// What `configure` kept.
    pub kept: Kept,
    /// The whole environment; only names that are ours are looked at.
    pub environment: Vec<(String, String)>,
    /// Variables of the components' `[settings]`.
    pub declared: BTreeSet<String>,
}

/// All values, the nearest of each key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<Key, Setting>,
    /// What a person should know once: old names with the new ones, lines that mean nothing here.
    pub notes: Vec<String>,
    declared: BTreeSet<String>,
}

impl Settings {
    /// Puts the layers together. A wrong name or value is an error that says where it stands.
    pub fn of(layers: &Layers) -> Result<Self> {
        let mut settings = Settings { declared: layers.declared.clone(), ..Settings::default() };
        for (name, value) in &layers.arguments {
            settings.say(name, value, From::Argument)?;
        }
        for (line, name, value) in &layers.config_file {
            settings.say(name, value, From::ConfigFile(*line))?;
        }
        for (name, value) in &layers.kept.values {
            settings.say(name, value, From::Kept(None))?;
        }
        if let Some(preset) = &layers.kept.preset {
            for (name, value) in preset::preset(preset)?.values {
                settings.say(name, value, From::Kept(Some(preset.clone())))?;
            }
        }
        for (name, value) in &layers.environment {
            // Package builds export a lot for themselves; what is empty was switched off.
            if !value.is_empty() && key::is_for_environment(name) {
                settings.say(name, value, From::Environment)?;
            }
        }
        Ok(settings)
    }

    /// Takes a value, unless a nearer place has said one.
    fn say(&mut self, name: &str, value: &str, from: From) -> Result<()> {
        let place = Place::of(&from);
        let Some(named) = Key::named_or_declared(name, &self.declared) else { return self.unknown(name, &from) };
        if !named.key.may_stand_in(place) {
            let wrong = Error::input(format!("`{name}` cannot be set in {}", place.words()));
            return Err(wrong.help(format!("cargo xtask build {name}={value}   # for one run")));
        }
        let value = value::checked(&named.key, named.forced.unwrap_or(value))
            .map_err(|why| Error::input(format!("cannot use `{name}={value}` of {}", describe(&from))).because(why))?;
        let is_old = named.is_old();
        if let Some(new) = named.instead {
            let note = format!(
                "{name} is an old name; say {new}{}",
                if new.contains('=') { String::new() } else { format!("={value}") }
            );
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        let known = self.values.get(&named.key);
        // In one place the last line counts, as for make; but the present name goes before an old one.
        let wins = known.is_none_or(|known| {
            Place::of(&known.from) == place && known.from != From::Kept(None) && (known.said_as.is_some() || !is_old)
        });
        if wins {
            let said_as = is_old.then(|| name.to_owned());
            self.values.insert(named.key, Setting { value, from, said_as });
        }
        Ok(())
    }

    /// A `.config` of Xen says much that is not ours; an argument is meant for us.
    fn unknown(&mut self, name: &str, from: &From) -> Result<()> {
        let near = key::near(name, &self.declared);
        match from {
            From::ConfigFile(line) => {
                let near = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
                self.notes.push(format!(".config, line {line}: `{name}` means nothing here{near}"));
                Ok(())
            }
            _ => {
                let wrong = Error::input(format!("there is no setting `{name}`"));
                Err(match near {
                    Some(near) => wrong.help(format!("did you mean `{near}`?")),
                    None => wrong.help("cargo xtask configure --show   # lists them"),
                })
            }
        }
    }

    /// What a name and a value mean by themselves.
    pub fn one(name: &str, value: &str, declared: &BTreeSet<String>) -> Result<(Key, String)> {
        let arguments = vec![(name.to_owned(), value.to_owned())];
        let layers = Layers { arguments, declared: declared.clone(), ..Layers::default() };
        let mut said = Settings::of(&layers)?;
        let (key, setting) =
            said.values.pop_first().ok_or_else(|| Error::input(format!("there is no setting `{name}`")))?;
        Ok((key, setting.value))
    }

    /// What was said of a key.
    pub fn get(&self, key: &Key) -> Option<&Setting> {
        self.values.get(key)
    }

    /// Everything that was said.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Setting)> {
        self.values.iter()
    }
}

fn describe(from: &From) -> String {
    match from {
        From::Argument => "the command line".to_owned(),
        From::Environment => "the environment".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
