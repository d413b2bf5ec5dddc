//! What a child stores about its parent: identity, name, time, and the relative path in three encodings, as libvhd
//! writes them.

use std::path::{Component, Path, PathBuf};

use uuid::Uuid;

use crate::canonical::canonical;
use crate::directory;
use crate::error::{Error, ErrorKind, Result};
use crate::header::LOCATOR_SLOTS;
use crate::image::Image;
use crate::image_file::ImageFile;
use crate::key_hash::KeyHash;
use crate::locator::{DataSpace, Locator, PlatformCode};
use crate::locator_path;
use crate::medium::Medium;
use crate::parent_name::ParentName;
use crate::plan::Step;
use crate::timestamp::Timestamp;
use crate::units::{in_memory, sector_aligned, sum};

/// The locators that libvhd writes, in its order.
pub(crate) const CODES: [PlatformCode; 3] = [PlatformCode::MacX, PlatformCode::W2ku, PlatformCode::W2ru];

/// A child's link to its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentLink {
    /// Identity of the parent; nil for a raw one.
    pub uuid: Uuid,
    /// When the parent was last written.
    pub timestamp: Timestamp,
    /// File name of the parent.
    pub name: ParentName,
    /// From the directory of the child to the parent, `./name` or `../directory/name`.
    pub path: PathBuf,
    /// Hash of the key that the parent is encrypted with; its children have the same.
    pub key_hash: Option<KeyHash>,
}

impl ParentLink {
    /// From an image that is or will be at `child` to a VHD.
    pub fn to_vhd(child: &Path, parent: &Image) -> Result<Self> {
        ParentLink::to(child, parent.file(), parent.footer().uuid, parent.key_hash()?)
    }

    /// From an image that is or will be at `child` to a raw disk.
    pub fn to_raw(child: &Path, parent: &ImageFile) -> Result<Self> {
        ParentLink::to(child, parent, Uuid::nil(), None)
    }

    fn to(child: &Path, parent: &ImageFile, uuid: Uuid, key_hash: Option<KeyHash>) -> Result<Self> {
        let shown = parent.path().display();
        let cannot = |source| Error::io(format!("cannot link to parent `{shown}`"), source);
        let real = canonical(parent.path()).map_err(cannot)?;
        let name = real.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidInput,
                format!("name of parent `{shown}` is not UTF-8, so UTF-16 cannot carry it"),
            )
        })?;
        Ok(ParentLink {
            uuid,
            timestamp: Timestamp::from(parent.modified().map_err(cannot)?),
            name: ParentName::encode(name)?,
            path: relative(&real_directory(child)?, &real),
            key_hash,
        })
    }

    /// The path in every encoding.
    pub(crate) fn encoded(&self) -> Result<Vec<(PlatformCode, Vec<u8>)>> {
        CODES.into_iter().map(|code| Ok((code, locator_path::encode(code, &self.path)?))).collect()
    }

    /// Slots for paths stored one behind the other from `offset` on.
    pub(crate) fn place(&self, offset: u64) -> Result<Placed> {
        let mut placed = Placed::none(offset);
        let mut at = offset;
        for (locator, (code, mut bytes)) in placed.locators.iter_mut().zip(self.encoded()?) {
            let room_bytes = sector_aligned("parent locator", bytes.len() as u64)?;
            let narrow = |len: u64| u32::try_from(len).map_err(|_| Error::corrupt("path of a parent is too long"));
            *locator = Locator {
                code,
                // In bytes, as Microsoft and libvhd write it; the specification says sectors.
                space: DataSpace(narrow(room_bytes)?),
                len_bytes: narrow(bytes.len() as u64)?,
                reserved: 0,
                offset: at,
            };
            bytes.resize(in_memory("parent locator", room_bytes)?, 0);
            placed.paths.push(Step::Write { what: "parent locator", offset: at, bytes });
            at = sum("parent locator", &[at, room_bytes])?;
        }
        placed.end = at;
        Ok(placed)
    }
}

/// Locators with places for their paths.
pub(crate) struct Placed {
    pub(crate) locators: [Locator; LOCATOR_SLOTS],
    /// Writes of the paths, padded to whole sectors.
    pub(crate) paths: Vec<Step>,
    /// The byte position after the last path.
    pub(crate) end: u64,
}

impl Placed {
    pub(crate) fn none(end: u64) -> Self {
        Placed { locators: [Locator::default(); LOCATOR_SLOTS], paths: vec![], end }
    }
}

/// The real directory of an image that need not exist yet.
fn real_directory(child: &Path) -> Result<PathBuf> {
    let beside = || canonical(directory::of(child));
    let directory = match canonical(child) {
        Ok(real) => Ok(real.parent().map(Path::to_owned).unwrap_or_default()),
        Err(_) => beside(),
    };
    directory.map_err(|source| Error::io(format!("cannot find the directory of `{}`", child.display()), source))
}

/// The path from one absolute directory to an absolute path.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(from, to)| from == to).count();
    let ups = from.components().skip(shared).map(|_| Component::ParentDir);
    let mut path: PathBuf = ups.chain(to.components().skip(shared)).collect();
    if !path.starts_with("..") {
        path = Path::new(".").join(path);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_child() {
        let check = |from: &str, to: &str, expected: &str| {
            assert_eq!(relative(from.as_ref(), to.as_ref()).to_str(), Some(expected));
        };
        check("/d", "/d/a.vhd", "./a.vhd");
        check("/d", "/d/e/a.vhd", "./e/a.vhd");
        check("/d/e", "/d/a.vhd", "../a.vhd");
        check("/d/e/f", "/g/a.vhd", "../../../g/a.vhd");
        check("/", "/a.vhd", "./a.vhd");
    }
}
