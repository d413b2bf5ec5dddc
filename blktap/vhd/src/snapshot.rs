//! Making children: finds the image that a snapshot goes on top of, and creates it there.

use std::path::Path;

use rustix::io::Errno;

use crate::chain::{self, MAX_CHAIN_DEPTH, OpenParent};
use crate::create::{self, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::image::Image;
use crate::image_file::{self, ImageFile};
use crate::medium::Medium;
use crate::parent_link::ParentLink;

/// What a snapshot goes on top of.
#[derive(Debug)]
pub enum Base {
    /// Another VHD.
    Vhd(Box<Image>),
    /// A raw disk.
    Raw(ImageFile),
}

impl Base {
    /// The raw disk at `path`.
    pub fn raw(path: &Path) -> Result<Self> {
        Ok(Base::Raw(ImageFile::open(path)?))
    }

    /// The image at `path`.
    pub fn vhd(path: &Path) -> Result<Self> {
        Ok(Base::Vhd(Box::new(Image::open(path)?.not_poisoned()?)))
    }

    /// The image at `path`, or where it is a child without any block of its own, the first one below it that is not.
    pub fn not_empty(path: &Path) -> Result<Self> {
        let mut image = Image::open(path)?.not_poisoned()?;
        for _ in 0..MAX_CHAIN_DEPTH {
            if !image.has_parent() || image.bat()?.allocated_blocks() > 0 {
                return Ok(Base::Vhd(Box::new(image)));
            }
            image = match chain::open_parent(&image)? {
                None => return Ok(Base::Vhd(Box::new(image))),
                Some(OpenParent::Raw(file)) => return Ok(Base::Raw(file)),
                Some(OpenParent::Vhd(parent)) => *parent,
            };
        }
        let message = format!("chain of `{}` has more than {MAX_CHAIN_DEPTH} images", path.display());
        Err(Error::new(ErrorKind::ChainLoop, message))
    }

    /// Size of the disk that it holds.
    pub fn size_bytes(&self) -> u64 {
        match self {
            Base::Vhd(image) => image.footer().current_bytes,
            Base::Raw(file) => file.len_bytes(),
        }
    }

    pub(crate) fn link(&self, child: &Path) -> Result<ParentLink> {
        match self {
            Base::Vhd(image) => ParentLink::to_vhd(child, image),
            Base::Raw(file) => ParentLink::to_raw(child, file),
        }
    }

    /// Whether `path` is this image or one below it. Where a parent is missing the chain ends, as far as anybody can see.
    pub(crate) fn has_in_chain(&self, path: &Path) -> Result<bool> {
        let Ok(there) = ImageFile::open(path) else { return Ok(false) };
        let wanted = there.identity();
        let mut image = match self {
            Base::Raw(file) => return Ok(file.identity() == wanted),
            Base::Vhd(image) => Image::open(image.file().path())?,
        };
        for _ in 0..MAX_CHAIN_DEPTH {
            if image.file().identity() == wanted {
                return Ok(true);
            }
            image = match chain::open_parent(&image) {
                Ok(None) => return Ok(false),
                Ok(Some(OpenParent::Raw(file))) => return Ok(file.identity() == wanted),
                Ok(Some(OpenParent::Vhd(parent))) => *parent,
                Err(error) if error.errno() == Errno::NOENT.raw_os_error() => return Ok(false),
                Err(error) => return Err(error),
            };
        }
        Ok(false)
    }
}

/// Creates a differencing image at `child` on top of `base`. A file that stands there is emptied first, unless the
/// snapshot would then stand on itself.
pub fn create(child: &Path, request: &Request, base: &Base) -> Result<()> {
    if base.has_in_chain(child)? {
        let message = format!("`{}` is part of the chain that its own snapshot would need", child.display());
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    let link = base.link(child)?;
    image_file::create(child, |target| create::plan_child(request, &link, target))
}
