//! The kernel as an emulated machine starts quickest with: the ELF file that a bzImage unpacks at boot, unpacked here, where
//! code does not run a hundred times slower. Layout: Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".

use std::io::Read;
use std::path::Path;

use crate::error::{Context, Error, Result};

/// The ELF file inside a bzImage.
pub(super) fn vmlinux(path: &Path) -> Result<Vec<u8>> {
    let cannot = || format!("cannot get the kernel out of `{}`", path.display());
    let image = std::fs::read(path).context(cannot)?;
    unpack(&image).map_err(|why| Error::machine(cannot()).because(why))
}

fn unpack(image: &[u8]) -> Result<Vec<u8>, String> {
    let payload = payload(image).ok_or("it is no bzImage")?;
    let mut elf = Vec::new();
    let read = match payload {
        [0x1f, 0x8b, ..] => flate2::read::GzDecoder::new(payload).read_to_end(&mut elf),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => liblzma::read::XzDecoder::new(payload).read_to_end(&mut elf),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            ruzstd::decoding::StreamingDecoder::new(payload).map_err(|error| error.to_string())?.read_to_end(&mut elf)
        }
        _ => return Err("it is packed by none of gzip, xz and zstd".to_owned()),
    };
    read.map_err(|error| error.to_string())?;
    if elf.starts_with(b"\x7fELF") { Ok(elf) } else { Err("what is packed in it is no ELF file".to_owned()) }
}

/// The packed kernel. Behind it the build noted its length, which is not part of what was packed.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?) as usize);
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let sectors = match image.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(*sectors),
    };
    let start = word(0x248)?.checked_add((sectors + 1) * 512)?;
    let end = start.checked_add(word(0x24c)?.checked_sub(4)?)?;
    image.get(start..end)
}

/// A kernel module, unpacked.
pub(super) fn module(path: &Path) -> Result<Vec<u8>> {
    let cannot = || format!("cannot read the kernel module `{}`", path.display());
    let bytes = std::fs::read(path).context(cannot)?;
    let mut module = Vec::new();
    match path.extension().and_then(|it| it.to_str()) {
        Some("xz") => liblzma::read::XzDecoder::new(&bytes[..]).read_to_end(&mut module).context(cannot)?,
        Some("zst") => {
            let mut decoder = ruzstd::decoding::StreamingDecoder::new(&bytes[..]).context(cannot)?;
            decoder.read_to_end(&mut module).context(cannot)?
        }
        Some("gz") => flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut module).context(cannot)?,
        _ => return Ok(bytes),
    };
    Ok(module)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A bzImage as far as its header goes.
    fn image(packed: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 5 * 512 + 16];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&u32::try_from(packed.len() + 4).unwrap().to_le_bytes());
        [image, packed.to_vec(), vec![9; 100]].concat()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn the_kernel_comes_out_however_it_was_packed() {
        let elf = b"\x7fELF and so on".repeat(100);
        for pack in [gzip, xz, zstd] {
            assert_eq!(unpack(&image(&pack(&elf))).unwrap(), elf);
        }
        assert_eq!(unpack(&image(&gzip(b"no"))).unwrap_err(), "what is packed in it is no ELF file");
        assert!(unpack(&image(b"what is this")).unwrap_err().contains("none of gzip, xz and zstd"));
    }

    #[test]
    fn a_file_that_is_cut_off_or_nonsense_is_an_error() {
        let whole = image(&xz(b"\x7fELF"));
        for length in [0, 0x1f2, 0x24a, 0x250, 5 * 512, whole.len() - 110] {
            assert!(unpack(&whole[..length]).is_err(), "{length}");
        }
        let mut wild = whole;
        wild[0x248..0x24c].fill(0xff);
        assert_eq!(unpack(&wild).unwrap_err(), "it is no bzImage");
    }
}
