//! The TYPE argument: the drivers whose disks td-util knows.

use std::ffi::OsStr;
use std::fmt;

/// Its usage.
pub(crate) const USAGE: &str = "TYPE := { vhd | aio }";

/// How a disk is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskType {
    /// A VHD.
    Vhd,
    /// Its bytes and nothing else.
    Aio,
}

impl DiskType {
    /// The type of this name.
    pub(crate) fn named(name: &OsStr) -> Option<Self> {
        match name.to_str()? {
            "vhd" => Some(DiskType::Vhd),
            "aio" => Some(DiskType::Aio),
            _ => None,
        }
    }
}

impl fmt::Display for DiskType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DiskType::Vhd => "vhd",
            DiskType::Aio => "aio",
        })
    }
}
