//! What an archive tells of itself: both bills of materials, and the licences of all components and crates with their texts.

use std::collections::BTreeMap;
use std::path::Path;

use super::contents::{Contents, Owner};
use super::own::DIR;
use crate::bill::{self, Stamp, texts};
use crate::error::{Context, Result};
use crate::process::Cancel;
use crate::world::World;

/// Adds them. Their time is the archive's.
pub(super) fn add(world: &World, contents: &mut Contents, cancel: &Cancel) -> Result<()> {
    let bill = bill::gather(world, &contents.top, Stamp::At(contents.epoch), false, cancel)?;
    contents.add_bytes(&format!("{DIR}/sbom.spdx.json"), &bill::spdx(&bill)?, Owner::Ours)?;
    contents.add_bytes(&format!("{DIR}/sbom.cdx.json"), &bill::cyclonedx(&bill)?, Owner::Ours)?;
    let rows = texts::rows(world, cancel)?;
    for (name, text) in texts::manifests(&rows)? {
        contents.add_bytes(&format!("{DIR}/licences/{name}"), text.as_bytes(), Owner::Ours)?;
    }
    // Two crates or inputs of one source may bring the same file.
    let files: BTreeMap<&str, &Path> = rows.iter().flat_map(texts::Row::files).collect();
    for (text, from) in files {
        let bytes = std::fs::read(from).context(|| format!("cannot read licence `{}`", from.display()))?;
        contents.add_bytes(&format!("{DIR}/licences/{text}"), &bytes, Owner::Ours)?;
    }
    Ok(())
}
