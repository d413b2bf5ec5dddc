//! Faults of parent locators, and of the parent they lead to.

use std::ffi::OsStr;

use super::{Options, Place, Report};
use crate::chain::{self, Parent};
use crate::image::Image;
use crate::locator::{Locator, PlatformCode};

/// Checks the locators of a differencing disk and that its parent is there and is the right one.
pub(super) fn check(image: &Image, data_end: u64, options: &Options, report: &mut Report) {
    let Ok(header) = image.header() else { return };
    if !image.has_parent() {
        return;
    }
    let name = header.parent_name.decode().unwrap_or_default();
    let mut passed: Vec<PlatformCode> = Vec::new();
    for (slot, locator) in header.locators.iter().enumerate() {
        if locator.is_used() && passed.contains(&locator.code) {
            let code = u32::from(locator.code);
            report.add(Place::Locator, format!("duplicate platform code in locator {slot}: {code:#x}"));
        }
        passed.push(locator.code);
        if let Some(fault) = fault(locator, data_end) {
            report.add(Place::Locator, format!("invalid parent locator {slot}: {fault}"));
        } else if locator.is_used() {
            check_path(image, slot, locator, &name, report);
        }
    }
    match chain::parent(image) {
        Ok(Some(Parent::Vhd(path))) => {
            let open = || Image::open(&path);
            // As libvhd: nobody looks into a parent whose identity does not matter.
            let fault = match (!options.ignore_parent_uuid).then(open) {
                Some(Err(_)) => Some("error opening parent"),
                Some(Ok(parent)) if parent.footer().uuid != header.parent_uuid => Some("invalid parent uuid"),
                None | Some(Ok(_)) => None,
            };
            if let Some(fault) = fault {
                report.add(Place::Parent, format!("invalid parent {}: {fault}", path.display()));
            }
            report.parent = Some(path);
        }
        Ok(_) => {}
        Err(error) => {
            let message = match chain::stored_parent(image) {
                Ok(Some(path)) => format!("error resolving {}: -{}", path.display(), error.errno()),
                _ => format!("could not find parent {name}"),
            };
            report.add_errno(Place::Parent, message, error.errno());
        }
    }
}

fn fault(locator: &Locator, data_end: u64) -> Option<&'static str> {
    if !locator.is_used() {
        return (*locator != Locator::default()).then_some("non-zero locator");
    }
    let is_outside = locator.end().map_or(true, |end| end > data_end);
    [
        (locator.offset == 0, "invalid data offset"),
        (locator.space.0 == 0, "invalid data space"),
        (locator.len_bytes == 0, "invalid data length"),
        (locator.reserved != 0, "invalid reserved bits"),
        (is_outside, "invalid size"),
    ]
    .into_iter()
    .find_map(|(is_wrong, fault)| is_wrong.then_some(fault))
}

fn check_path(image: &Image, slot: usize, locator: &Locator, name: &str, report: &mut Report) {
    match image.locator_path(locator) {
        Err(error) => {
            let message = format!("error reading parent locator {slot}: -{}", error.errno());
            report.add_errno(Place::Locator, message, error.errno());
        }
        Ok(path) => {
            let stored = path.file_name().unwrap_or(OsStr::new(".")).to_string_lossy();
            if stored != name {
                let message = format!("parent locator {slot} name ({stored}) does not match header name ({name})");
                report.add(Place::Locator, message);
            }
        }
    }
}
