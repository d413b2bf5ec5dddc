//! Chains of parents: finds an image's parent, counts the images below it. Bounded, whatever the images say.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use crate::canonical::canonical;
use crate::error::{Error, ErrorKind, Result};
use crate::image::Image;
use crate::image_file::ImageFile;
use crate::medium::Medium;

/// The longest chain that is walked. Toolstacks stop at 30; a hostile image may point anywhere.
pub const MAX_CHAIN_DEPTH: u32 = 1024;

/// An image's parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Another VHD.
    Vhd(PathBuf),
    /// A raw file, the end of the chain.
    Raw(PathBuf),
}

impl Parent {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Parent::Vhd(path) | Parent::Raw(path) => path,
        }
    }
}

/// The parent's path as the image stores it, from the first locator that can be read. `None` when the image has no
/// parent. Does not look whether anything is there.
pub fn stored_parent(image: &Image) -> Result<Option<PathBuf>> {
    if !image.has_parent() {
        return Ok(None);
    }
    match stored_paths(image)?.into_iter().next() {
        Some(path) => path.map(Some),
        None => Err(no_locator(image)),
    }
}

/// The parent: the first locator that can be read and leads to a readable file. Relative paths start at the directory
/// where the image really is. `None` when the image has no parent. The path is canonical.
pub fn parent(image: &Image) -> Result<Option<Parent>> {
    if !image.has_parent() {
        return Ok(None);
    }
    let is_raw = has_raw_parent(image)?;
    let mut first_error = None;
    for stored in stored_paths(image)? {
        match stored.and_then(|stored| find(image, &stored)) {
            Ok(path) if is_raw => return Ok(Some(Parent::Raw(path))),
            Ok(path) => return Ok(Some(Parent::Vhd(path))),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| no_locator(image)))
}

/// A parent that was opened for reading.
#[derive(Debug)]
pub enum OpenParent {
    /// Another VHD.
    Vhd(Box<Image>),
    /// A raw file, the end of the chain.
    Raw(ImageFile),
}

/// Opens the parent that [`parent`] finds, through the image's gate. An error where it is in the middle of a
/// resize; whether it is the right one, [`check_parent`] says.
pub fn open_parent(image: &Image) -> Result<Option<OpenParent>> {
    let Some(parent) = parent(image)? else { return Ok(None) };
    let file = image.file().open_parent(parent.path())?;
    Ok(Some(match parent {
        Parent::Raw(_) => OpenParent::Raw(file),
        Parent::Vhd(_) => OpenParent::Vhd(Box::new(Image::on(file)?.not_poisoned()?)),
    }))
}

/// An error when this is not the image that the child was made on.
pub fn check_parent(child: &Image, parent: &Image) -> Result<()> {
    let (wanted, found) = (child.header()?.parent_uuid, parent.footer().uuid);
    if wanted == found {
        return Ok(());
    }
    let (child, parent) = (child.file().path().display(), parent.file().path().display());
    Err(Error::corrupt(format!("parent of `{child}` has the identity {wanted}, `{parent}` is {found}")))
}

/// How many images the chain has, this one included; 1 for an image without parent. An error when the chain comes
/// back to an image it has passed or is longer than [`MAX_CHAIN_DEPTH`].
pub fn depth(path: &Path) -> Result<u32> {
    depth_of(Image::open(path)?)
}

/// [`depth`] of an open image; its parents open through its gate.
pub fn depth_of(mut image: Image) -> Result<u32> {
    let path = image.file().path().to_owned();
    let mut passed = HashSet::new();
    for depth in 1..=MAX_CHAIN_DEPTH {
        if !passed.insert(image.file().identity()) {
            return Err(Error::new(
                ErrorKind::ChainLoop,
                format!("chain of `{}` comes back to `{}`", path.display(), image.file().path().display()),
            ));
        }
        if has_raw_parent(&image)? {
            // Counted without being looked for, as in libvhd: a raw parent ends the chain wherever it is.
            return Ok(depth + 1);
        }
        image = match open_parent(&image)? {
            Some(OpenParent::Vhd(parent)) => *parent,
            // Raw ones were counted above.
            None | Some(OpenParent::Raw(_)) => return Ok(depth),
        };
    }
    Err(Error::new(
        ErrorKind::ChainLoop,
        format!("chain of `{}` has more than {MAX_CHAIN_DEPTH} images", path.display()),
    ))
}

/// A differencing disk that names no image as its parent lives on a raw file.
fn has_raw_parent(image: &Image) -> Result<bool> {
    Ok(image.has_parent() && image.header()?.parent_uuid.is_nil())
}

/// What the used locators say, in the order of their slots: first those that can be read.
fn stored_paths(image: &Image) -> Result<Vec<Result<PathBuf>>> {
    let used = image.header()?.locators.iter().filter(|locator| locator.is_used());
    let mut paths: Vec<_> = used.map(|locator| image.locator_path(locator)).collect();
    paths.sort_by_key(Result::is_err);
    Ok(paths)
}

fn find(image: &Image, stored: &Path) -> Result<PathBuf> {
    let child = image.file().path();
    let directory = canonical(child)
        .map(|path| path.parent().map(Path::to_owned).unwrap_or_default())
        .map_err(|source| Error::io(format!("cannot find the directory of `{}`", child.display()), source))?;
    // An absolute path replaces the directory.
    let path = directory.join(stored);
    let missing = |source| {
        let (stored, child) = (stored.display(), child.display());
        Error::io(format!("cannot find parent `{stored}` of `{child}`"), source)
    };
    let path = canonical(&path).map_err(missing)?;
    image.file().gate().check(&path)?;
    rustix::fs::access(&path, Access::READ_OK).map_err(|errno| missing(errno.into()))?;
    Ok(path)
}

fn no_locator(image: &Image) -> Error {
    Error::corrupt(format!("`{}` has a parent, but no parent locator", image.file().path().display()))
}
