//! The data of encrypted images: the key that fits an image, and sectors to and fro. Bitmaps, tables and footers are never
//! encrypted; no zeros on disk stand for zeros of the disk.

use blockcrypto::{Cipher, Key};
use rustix::io::Errno;

use crate::aligned::AlignedBuffer;
use crate::error::{Error, ErrorKind, Result};
use crate::image::Image;
use crate::layer_write::Write;
use crate::medium::Medium;
use crate::units::{SECTOR_BYTES, in_memory};
use crate::write_plan::Content;

/// What an image's data is encrypted with; `None` for one in the clear. `ENOKEY` without its key.
pub(crate) fn cipher<M: Medium>(image: &Image<M>, key: Option<&Key>) -> Result<Option<Cipher>> {
    let Some(proof) = image.raw_key_hash()?.and_then(|raw| raw.in_force()) else { return Ok(None) };
    let path = image.file().path().display();
    let locked = |why| Error::new(ErrorKind::InvalidInput, format!("`{path}` {why}")).with_errno(Errno::NOKEY);
    let key = key.ok_or_else(|| locked("is encrypted, and there is no key"))?;
    if key.hash(&proof.nonce) != proof.hash {
        return Err(locked("is encrypted with another key"));
    }
    let cipher = Cipher::new(key);
    cipher.map(Some).map_err(|error| Error::new(ErrorKind::InvalidInput, format!("cannot open `{path}`: {error}")))
}

/// Fills `bytes`, which lie at `at` on the disk, from sectors at `offset` of a file. Any alignment.
pub(crate) fn read(
    cipher: &Cipher,
    at: u64,
    offset: u64,
    bytes: &mut [u8],
    read: impl Fn(u64, &mut [u8]) -> Result<()>,
) -> Result<()> {
    let skip = at % SECTOR_BYTES;
    let first = at / SECTOR_BYTES;
    if skip == 0 && (bytes.len() as u64).is_multiple_of(SECTOR_BYTES) {
        read(offset, bytes)?;
        opened(cipher, at, bytes);
        return Ok(());
    }
    let whole = (skip + bytes.len() as u64).next_multiple_of(SECTOR_BYTES);
    let mut sectors = AlignedBuffer::zeroed(in_memory("read", whole)?);
    let sectors = sectors.bytes_mut();
    read(offset - skip, sectors)?;
    cipher.decrypt(first, sectors.as_chunks_mut().0);
    bytes.copy_from_slice(&sectors[in_memory("read", skip)?..][..bytes.len()]);
    Ok(())
}

/// Whole sectors that came from the file, as the disk has them; `at` is their place there.
pub(crate) fn opened(cipher: &Cipher, at: u64, bytes: &mut [u8]) {
    cipher.decrypt(at / SECTOR_BYTES, bytes.as_chunks_mut().0);
}

/// Whole sectors as they go to the file; `at` is their place on the disk.
pub(crate) fn sealed(cipher: &Cipher, at: u64, bytes: &[u8]) -> AlignedBuffer {
    let mut sealed = AlignedBuffer::zeroed(bytes.len());
    sealed.bytes_mut().copy_from_slice(bytes);
    cipher.encrypt(at / SECTOR_BYTES, sealed.bytes_mut().as_chunks_mut().0);
    sealed
}

/// What a write comes to. Zeros are written like everything else.
pub(crate) fn sealed_write(cipher: &Cipher, write: &Write<'_>) -> Result<AlignedBuffer> {
    match write.content {
        Content::Bytes(bytes) => Ok(sealed(cipher, write.offset, bytes)),
        Content::Zeros => {
            let mut zeros = AlignedBuffer::zeroed(in_memory("write", write.len_bytes)?);
            cipher.encrypt(write.offset / SECTOR_BYTES, zeros.bytes_mut().as_chunks_mut().0);
            Ok(zeros)
        }
        Content::Copy { .. } => {
            Err(Error::new(ErrorKind::Unsupported, "bytes of another file cannot be copied into an encrypted disk"))
        }
    }
}
