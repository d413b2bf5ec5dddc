//! Pins of revisions that were asked for by a setting. They are this checkout's alone, and found by everything that was asked, so that a
//! second build asks nobody.

use std::path::PathBuf;

use crate::definition::{Git, Lock, Name, Pin};
use crate::digest::Digest;
use crate::error::Result;
use crate::layout::Layout;

fn file(layout: &Layout, source: &Name, git: &Git) -> PathBuf {
    let asked = format!("{git:?}");
    layout.work().join("pins").join(format!("{source}-{}.lock", &Digest::of(asked.as_bytes()).hash.to_string()[..16]))
}

/// What it was resolved to before.
pub fn recall(layout: &Layout, source: &Name, git: &Git) -> Result<Option<Pin>> {
    Ok(Lock::read(&file(layout, source, git))?.and_then(|mut lock| lock.sources.remove(source)))
}

/// Keeps it.
pub fn remember(layout: &Layout, source: &Name, git: &Git, pin: &Pin) -> Result<()> {
    let mut lock = Lock::default();
    lock.sources.insert(source.clone(), pin.clone());
    lock.write(&file(layout, source, git))
}
