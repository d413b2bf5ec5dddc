//! What earlier runs of this checkout learned: each component's last action, output and durations. Losing it costs time, never
//! correctness: what is built is decided by digests alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::definition::Name;
use crate::digest::Digest;
use crate::error::{Context, Result};
use crate::layout::Layout;

/// The last success of a component here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Built {
    /// Its action.
    pub action: Digest,
    /// Root directory of what it installed.
    pub output: Digest,
    /// The manifest that it was built or restored for last.
    #[serde(default)]
    pub manifest: Option<Name>,
    /// Seconds the last real build took, not a restore.
    pub seconds: f64,
    /// The same, step by step.
    #[serde(default)]
    pub steps: Vec<(String, f64)>,
    /// Built on what an earlier build left.
    #[serde(default)]
    pub incremental: bool,
    /// Taken from the store the last time it was asked for, not built.
    #[serde(default)]
    pub restored: bool,
}

/// Everything remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct State {
    /// By component.
    #[serde(default)]
    pub built: BTreeMap<Name, Built>,
    /// By source: seconds the last fetch took.
    #[serde(default)]
    pub fetched: BTreeMap<Name, f64>,
}

fn file(layout: &Layout) -> PathBuf {
    layout.state().join("builds.json")
}

impl State {
    /// What is remembered; nothing if the file is damaged or absent.
    pub fn read(layout: &Layout) -> Self {
        fs::read(file(layout)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Remembers.
    pub fn write(&self, layout: &Layout) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(self).context(|| "cannot encode the state".to_owned())?;
        crate::atomic::write(&file(layout), &bytes)
    }

    /// Recorded seconds of a component's build, or a guess that lets unknown ones start early.
    pub fn seconds(&self, component: &Name) -> f64 {
        self.built.get(component).map_or(60.0, |built| built.seconds)
    }
}
