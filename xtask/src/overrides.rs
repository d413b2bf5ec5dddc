//! Overrides: sources that are built from a directory of the user instead of from what the lock names. They are this checkout's
//! alone, stand in `.xtask/overrides.toml`, and touch nothing that is committed.
//!
//! Invariant: an override changes the files of its source and nothing else of an action, so a restored source is a cache hit, and
//! so is an overridden one that holds the files of the pin.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::definition::{Definitions, Manifest, Name};
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::origin::{check_working_tree, read_working_tree};
use crate::tree::Rooted;

/// The directory of each overridden source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overrides(pub BTreeMap<Name, PathBuf>);

fn file(layout: &Layout) -> PathBuf {
    layout.work().join("overrides.toml")
}

impl Overrides {
    /// All of this checkout, whatever manifest they are for.
    pub fn read(layout: &Layout) -> Result<Self> {
        let file = file(layout);
        let cannot = || format!("cannot read the overrides in `{}`", file.display());
        let bytes = crate::atomic::read(&file)?.unwrap_or_default();
        let text = String::from_utf8(bytes).context(cannot)?;
        // What is damaged is not taken for none: something else would be built than was asked for.
        toml::from_str(&text)
            .context(cannot)
            .map_err(|error| error.help("cargo xtask restore --all   # then override again"))
    }

    /// Those of a manifest's sources.
    pub fn of(layout: &Layout, manifest: &Manifest) -> Result<Self> {
        let mut overrides = Self::read(layout)?;
        overrides.0.retain(|source, _| manifest.sources.contains_key(source));
        Ok(overrides)
    }

    /// Those of the manifest with the directories that settings name. `override` was said in this checkout, so it gives way to what was
    /// said nearer, and not to the environment.
    pub fn in_force(layout: &Layout, definitions: &Definitions) -> Result<Self> {
        let mut overrides = Self::of(layout, &definitions.manifest)?;
        for (source, local) in &definitions.chosen.local {
            if !local.is_far || !overrides.0.contains_key(source) {
                overrides.0.insert(source.clone(), local.dir.clone());
            }
        }
        Ok(overrides)
    }

    /// Writes them down.
    pub fn write(&self, layout: &Layout) -> Result<()> {
        let text = toml::to_string(self).context(|| "cannot write down the overrides".to_owned())?;
        crate::atomic::write(&file(layout), text.as_bytes())
    }

    /// Forgets all, also damaged ones.
    pub fn clear(layout: &Layout) -> Result<()> {
        match fs::remove_file(file(layout)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context(|| format!("cannot remove `{}`", file(layout).display()))
            }
            _ => Ok(()),
        }
    }

    /// As one line: `seabios (/home/me/seabios), xen (/home/me/xen)`; empty when there are none.
    pub fn line(&self) -> String {
        let each = self.0.iter().map(|(source, dir)| format!("{source} ({})", dir.display()));
        each.collect::<Vec<_>>().join(", ")
    }
}

/// Refuses what only makes sense for sources that others have too: an error that names every override of the manifest, with the line
/// that restores it. `command` is the one that asks: `freeze`.
pub fn refuse(layout: &Layout, manifest: &Manifest, command: &str) -> Result<()> {
    let overrides = Overrides::of(layout, manifest)?;
    if overrides.0.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = overrides.0.keys().map(Name::as_str).collect();
    Err(Error::input(format!(
        "cannot {command}: built from a directory of yours, which nobody else has: {}",
        overrides.line()
    ))
    .help(format!("cargo xtask restore {}", names.join(" "))))
}

/// The tree of an overridden source.
pub fn tree(layout: &Layout, source: &Name, dir: &Path) -> Result<Rooted> {
    read_working_tree(dir, &layout.state().join("overrides").join(source), &not_source(dir))
}

/// The directory as it is written down, or why it cannot stand for the source.
pub fn check(layout: &Layout, source: &Name, path: &Path) -> Result<PathBuf> {
    let ours = [
        (layout.work(), "where this checkout keeps what it makes"),
        (layout.dist(), "where results are installed"),
        (layout.store.clone(), "the store"),
    ];
    let cannot = |error: Error| {
        let told = Error::input(format!("cannot override source `{source}` with `{}`", path.display()));
        let helps = error.helps().to_vec();
        helps.into_iter().fold(told.because(error), Error::help)
    };
    let dir = check_working_tree(path, &ours).map_err(cannot)?;
    if tree(layout, source, &dir)?.is_empty() {
        let help = format!("git -C {} status --ignored   # says what it leaves out", dir.display());
        return Err(cannot(Error::input("there is no file in it that git tracks or would track").help(help)));
    }
    Ok(dir)
}

/// What our own tool and cargo leave in a directory that people work in. A `dist` or `target` of anything else is source.
pub fn not_source(dir: &Path) -> Vec<&'static str> {
    let is_checkout = dir.join("components").is_dir() && dir.join("manifests").is_dir();
    let dist = is_checkout.then_some("dist");
    let target = dir.join("Cargo.toml").is_file().then_some("target");
    [Some(".xtask"), dist, target].into_iter().flatten().collect()
}
