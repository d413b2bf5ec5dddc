//! Looks at an image on a logical volume, active or not: on the device that it lies on, where LVM says that it begins. The
//! copy of the footer counts: where a volume ends need not be beside where it begins.

use std::path::{Path, PathBuf};

use vhd::footer::{Footer, RawFooter};
use vhd::locator::PlatformCode;
use vhd::{Image, ImageFile, Medium, Window};

use super::{Depth, Failure, Found, Kind, LOST, marks, raw};
use crate::lvm::Group;
use crate::report::{EINVAL, ENOENT};

/// A volume smaller than this holds no image.
const MIN_BYTES: u64 = 4096;
/// Footer and header.
const HEADERS_BYTES: usize = 512 + 1024;

pub(super) fn look(group: &Group, name: &Path, kind: Kind, depth: Depth) -> Result<Found, Failure> {
    let volume = group.volume(name).ok_or(Failure::new(ENOENT, LOST))?;
    let start = volume.start.as_ref().map_err(|&errno| Failure::new(errno, LOST))?;
    if start.len_bytes < MIN_BYTES {
        return Err(Failure::new(EINVAL, "device too small"));
    }
    // LVM calls devices that are lost by words; they must not be files of this directory.
    if !start.device.is_absolute() {
        return Err(Failure::new(ENOENT, "opening device"));
    }
    let device = ImageFile::open(&start.device).map_err(Failure::of("opening device"))?;
    if matches!(kind, Kind::Raw) {
        return Ok(raw(name.to_owned(), volume.size));
    }
    let window = Window::of(device, name, start.offset, start.len_bytes).map_err(Failure::of("seeking to headers"))?;
    let headers = window.read("headers", 0, HEADERS_BYTES).map_err(Failure::of("reading headers"))?;
    Footer::try_from(&RawFooter::from_prefix(&headers)).map_err(Failure::of("invalid footer"))?;
    let image = Image::on_by_backup(window).map_err(Failure::of("reading header"))?;
    let parent = stored_parent(&image, depth)?.map(|stored| group.volume_name(&stored));
    let is_raw = image.header().is_ok_and(|header| header.parent_uuid.is_nil());
    let found_parent = parent.clone().filter(|parent| group.volume(parent).is_some()).map(|parent| (parent, is_raw));
    let (marker, key_hash) = marks(&image, depth)?;
    Ok(Found {
        canonical: name.to_owned(),
        capacity: image.footer().current_bytes,
        size: volume.size,
        hidden: image.footer().hidden,
        marker,
        key_hash,
        parent,
        found_parent,
    })
}

/// The parent's path as it is stored: fast, its name in the header; else, or where that cannot be read, the locator that
/// libvhd's tool takes here.
fn stored_parent(image: &Image<Window>, depth: Depth) -> Result<Option<PathBuf>, Failure> {
    let (true, Ok(header)) = (image.has_parent(), image.header()) else { return Ok(None) };
    if depth.is_fast
        && let Ok(name) = header.parent_name.decode()
    {
        return Ok(Some(PathBuf::from(name)));
    }
    let used = || header.locators.iter().filter(|locator| locator.is_used());
    let of = |code| used().rfind(|locator| locator.code == code);
    let locator = of(PlatformCode::MacX).or_else(|| of(PlatformCode::W2ru)).or_else(|| used().next());
    let locator = locator.ok_or(Failure::new(EINVAL, "getting parent"))?;
    image.locator_path(locator).map(Some).map_err(Failure::of("getting parent"))
}
