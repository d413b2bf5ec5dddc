//! Disks with encrypted images among theirs: opening them with a key, or not at all.

use blockcrypto::Key;

use super::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::map::Place;
use crate::medium::Medium;

impl<M: Medium> Disk<M> {
    /// Reads and writes what the images of the chain stand for, not what lies on disk: data of those that are encrypted is
    /// decrypted with this key. Parents may be in the clear. Whoever serves a disk calls this, with or without a key:
    /// without the call encrypted data reads as it lies there, which only tools want.
    ///
    /// # Errors
    ///
    /// `ENOKEY` for an encrypted image and no key, or another one; [`ErrorKind::InvalidInput`] for a key and a disk whose
    /// first image is in the clear.
    pub fn unlock(mut self, key: Option<&Key>) -> Result<Self> {
        self.layers.iter_mut().try_for_each(|layer| layer.unlock(key))?;
        if key.is_some() && !self.is_encrypted(0) {
            let leaf = self.images().next().map(|image| image.file().path());
            let path = leaf.or(self.raw_path()).unwrap_or("".as_ref()).display();
            return Err(Error::new(ErrorKind::InvalidInput, format!("there is a key, and `{path}` is not encrypted")));
        }
        Ok(self)
    }

    /// Whether data of this image of the chain is decrypted.
    pub(super) fn is_encrypted(&self, depth: usize) -> bool {
        self.layers.get(depth).is_some_and(|layer| layer.cipher.is_some())
    }

    /// Whether zeros at this place are zeros of the disk.
    pub(super) fn is_plain(&self, place: Place) -> bool {
        !matches!(place, Place::Layer { depth, .. } if self.is_encrypted(depth))
    }
}
