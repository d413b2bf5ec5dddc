//! Local leaf caches: of a chain the leaf and its parent are both written, one on storage of this host that may run out of
//! room, the other on storage that does not.
//!
//! `llp:/local/leaf`, persistent: the local image lies on the shared one. Everything is written to both; when the local one
//! has no room, the shared one is the disk. `lle:/shared/leaf`, ephemeral: the shared image lies on the local one, which is
//! written until it has no room, then the shared one is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use vhd::chain::{self, Parent};
use vhd::{Image, Medium};

use crate::params::{How, Kind, Params, Refused, Result};
use crate::store::{Fate, Pair, Role, Second, Store};

/// Which of the two images is the local one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LocalLeaf {
    /// The leaf.
    Persistent,
    /// Its parent.
    Ephemeral,
}

impl LocalLeaf {
    /// Opens both images, and the parents of the lower one for reading.
    pub(crate) fn open(self, path: &Path, how: &How<'_>, signal: PathBuf, fate: &Arc<Fate>) -> Result<Box<dyn Store>> {
        let leaf = Params { kind: Kind::Vhd, path };
        if how.is_read_only {
            return Ok(Box::new(leaf.open_chain(how)?));
        }
        let image = Image::open(path)?;
        let is_empty = image.bat_usage()?.allocated_blocks == 0;
        let parent = parent(&image)?;
        let kind = if matches!(parent, Parent::Vhd(_)) { Kind::Vhd } else { Kind::Aio };
        drop(image);
        let upper = leaf.open_alone(how)?;
        let lower = Params { kind, path: parent.path() }.open_chain(how)?;
        let sizes = [upper.size_bytes(), lower.size_bytes()];
        if sizes[0] != sizes[1] {
            let message =
                format!("`{}` has {} bytes, its parent {}: both are written", path.display(), sizes[0], sizes[1]);
            return Err(Refused::new(Errno::INVAL, message));
        }
        let (first, second, role) = match self {
            LocalLeaf::Persistent => (upper, lower, Role::Mirror),
            LocalLeaf::Ephemeral => {
                if !is_empty {
                    // What it holds is newer than what would be written below it.
                    fate.switch();
                }
                (lower, upper, Role::Standby)
            }
        };
        Ok(Box::new(Pair::new(Box::new(first), Second::Local(Box::new(second)), role, signal, Arc::clone(fate))))
    }
}

/// The parent, if it is the one the image was made on.
fn parent(image: &Image) -> Result<Parent> {
    let path = image.file().path().display();
    let parent = chain::parent(image)?.ok_or_else(|| {
        Refused::new(Errno::INVAL, format!("`{path}` has no parent: a local leaf cache is two images on each other"))
    })?;
    if let Parent::Vhd(below) = &parent {
        chain::check_parent(image, &Image::open(below)?)?;
    }
    Ok(parent)
}
