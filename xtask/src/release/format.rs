//! How an archive is packed, and how it is opened. Packs nothing.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use clap::ValueEnum;

#[cfg(feature = "extras")]
use crate::error::Context;
use crate::error::{Error, Result};

/// How an archive is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Everybody can unpack it; the largest and, on many cores, the slowest.
    Gz,
    /// Small.
    Xz,
    /// Nearly as small, and unpacked in no time.
    Zst,
}

impl Format {
    /// What a name ends in.
    pub fn suffix(self) -> &'static str {
        match self {
            Format::Gz => "tar.gz",
            Format::Xz => "tar.xz",
            Format::Zst => "tar.zst",
        }
    }

    /// As the first bytes say.
    pub fn of(first: &[u8]) -> Option<Self> {
        match first {
            [0x1f, 0x8b, ..] => Some(Format::Gz),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Format::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Format::Zst),
            _ => None,
        }
    }

    /// Opens an archive, and says how it is packed.
    pub fn open(archive: &Path) -> Result<(Self, BufReader<File>)> {
        let opened = File::open(archive).and_then(|file| {
            let mut file = BufReader::with_capacity(1 << 20, file);
            Ok((Format::of(file.fill_buf()?), file))
        });
        let wrong = Error::input(format!("cannot read `{}`", archive.display()));
        let wrong = match opened {
            Ok((Some(format), file)) => return Ok((format, file)),
            Ok((None, _)) => wrong.because("it is no .tar.gz, .tar.xz or .tar.zst"),
            Err(error) => wrong.because(error),
        };
        Err(wrong.help("cargo xtask tarball   # makes one"))
    }

    /// This binary can pack and unpack it; zstd is only in the one with the feature `extras`, since it takes long to compile.
    pub fn is_here(self) -> bool {
        self != Format::Zst || cfg!(feature = "extras")
    }

    /// Unpacks.
    pub fn reader<'a>(self, file: impl io::BufRead + 'a) -> Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Format::Gz => Box::new(flate2::bufread::GzDecoder::new(file)),
            Format::Xz => Box::new(liblzma::bufread::XzDecoder::new(file)),
            #[cfg(feature = "extras")]
            Format::Zst => {
                Box::new(zstd::Decoder::with_buffer(file).context(|| "cannot begin to unpack zstd".to_owned())?)
            }
            #[cfg(not(feature = "extras"))]
            Format::Zst => return Err(not_here()),
        })
    }
}

#[cfg(not(feature = "extras"))]
pub(super) fn not_here() -> Error {
    Error::machine("this binary has no zstd").help("cargo xtask tarball --format xz")
}
