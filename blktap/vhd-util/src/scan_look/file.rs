//! Looks at an image in a file or on a device.

use std::fs;
use std::path::{Path, PathBuf};

use vhd::{Image, ImageFile, Medium, Parent, chain};

use super::{Depth, Failure, Found, Kind, marks, raw};

pub(super) fn look(path: &Path, kind: Kind, depth: Depth) -> Result<Found, Failure> {
    if matches!(kind, Kind::Raw) {
        let file = ImageFile::open(path).map_err(Failure::of("opening file"))?;
        return Ok(raw(path.to_owned(), file.len_bytes()));
    }
    let image = Image::open(path).map_err(Failure::of("opening file"))?;
    let is_device = !fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let size = match is_device {
        true => image.physical_bytes().map_err(Failure::of("getting physical size"))?,
        false => image.file().len_bytes(),
    };
    let (parent, found_parent) = parent(&image, depth)?;
    let (marker, key_hash) = marks(&image, depth)?;
    Ok(Found {
        canonical: vhd::canonical(path).unwrap_or_else(|_| path.to_owned()),
        capacity: image.footer().current_bytes,
        size,
        hidden: image.footer().hidden,
        marker,
        key_hash,
        parent,
        found_parent,
    })
}

/// The parent to print, and where it is and whether it is raw when it was looked for and found.
type FoundParent = (Option<PathBuf>, Option<(PathBuf, bool)>);

fn parent(image: &Image, depth: Depth) -> Result<FoundParent, Failure> {
    let stored = || chain::stored_parent(image);
    if depth.is_fast && !depth.with_parents {
        let name = || image.header().and_then(|header| header.parent_name.decode()).map(PathBuf::from).map(Some);
        return Ok((stored().or_else(|_| name()).map_err(Failure::of("getting parent"))?, None));
    }
    match chain::parent(image) {
        Ok(Some(parent)) => {
            let is_raw = matches!(parent, Parent::Raw(_));
            Ok((Some(parent.path().to_owned()), Some((parent.path().to_owned(), is_raw))))
        }
        Ok(None) => Ok((None, None)),
        Err(_) => Ok((stored().map_err(Failure::of("getting parent"))?, None)),
    }
}
