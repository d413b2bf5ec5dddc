//! What `configure` keeps: a file of this checkout that is never committed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};
use crate::layout::Layout;

/// The choices of a checkout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Kept {
    /// A whole set of values, by its name; any value below goes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// By name: `prefix`, `with-system-qemu`, `QEMU_UPSTREAM_URL`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// Values that `auto` found, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub found: BTreeMap<String, String>,
}

const HEADER: &str = "# Written by `cargo xtask configure`: choices of this checkout alone. `cargo xtask configure --forget` removes it.\n";

impl Kept {
    /// Where it stands.
    pub fn file(layout: &Layout) -> PathBuf {
        layout.work().join("configure.toml")
    }

    /// What was kept; nothing where `configure` never ran.
    pub fn read(layout: &Layout) -> Result<Self> {
        let file = Self::file(layout);
        let cannot = || format!("cannot read what `configure` kept in `{}`", file.display());
        let text = String::from_utf8(crate::atomic::read(&file)?.unwrap_or_default()).context(cannot)?;
        // What is damaged is not taken for nothing: something else would be built than was asked for.
        toml::from_str(&text)
            .context(cannot)
            .map_err(|error| error.help("cargo xtask configure --forget   # then configure again"))
    }

    /// Writes it down; nothing kept is no file.
    pub fn write(&self, layout: &Layout) -> Result<()> {
        let file = Self::file(layout);
        if *self == Kept::default() {
            return match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(error).context(|| format!("cannot remove `{}`", file.display()))
                }
                _ => Ok(()),
            };
        }
        let text = toml::to_string(self).context(|| "cannot write down what `configure` keeps".to_owned())?;
        crate::atomic::write(&file, format!("{HEADER}{text}").as_bytes())
    }
}
