//! The bill of materials that a package carries: what its components are made of, and each of its files as it is packed.

use std::collections::BTreeMap;

use super::Package;
use crate::bill::{self, Bill, File};
use crate::definition::Name;
use crate::error::Result;
use crate::tree::Node;

/// Adds it, as `DIR/NAME.spdx.json`. `all` is the bill of everything that was built, `owners` says which component brought a file.
pub fn add(
    package: &mut Package,
    all: &Bill,
    owners: &BTreeMap<String, Name>,
    dir: &str,
    read: &dyn Fn(&Package, &str) -> Result<Vec<u8>>,
) -> Result<()> {
    let mut files = Vec::new();
    for (path, node) in &package.files {
        let Node::File { digest, .. } = node else { continue };
        let owner = owners.get(package.origin(path)).or_else(|| owners.get(path.strip_suffix(".gz")?));
        let sha1 = bill::sha1(read(package, path)?);
        let component = owner.unwrap_or(&package.component).clone();
        files.push(File { path: path.clone(), component, sha1, sha256: digest.hash });
    }
    let own = Bill {
        name: package.name.clone(),
        version: package.version.deb(),
        epoch: package.epoch,
        files,
        ..all.of(&package.components)
    };
    package.add(format!("{dir}/{}.spdx.json", package.name), bill::spdx(&own)?);
    Ok(())
}
