//! The VHD format as blktap's libvhd writes it.
//!
//! Three layers, each ignorant of the ones above it:
//!
//! 1. **Formats** (`footer`, `header`, `locator`, `locator_path`, `parent_name`, `bat`, `batmap`, `bitmap`, `key_hash` and `journal`
//!    over `checksum`, `geometry`, `timestamp`, `version`, `units`, `prefix`): bytes to checked values and back. Raw types
//!    show what lies on disk, checked types cannot be wrong. No I/O.
//! 2. **Planners** (`create`, `write_plan` over `space`, `compact::arrangement`, `resize_plan` over `layout`; `apart`): pure functions from a
//!    request to a `plan`, the writes in their order. No I/O, no clock, no randomness.
//! 3. **Files**: open, read within bounds, perform plans.
//!    - where bytes lie: `medium`, `image_file` over `open`, `direct`, `gather`, `engine` with `threads`, and `aligned`, `directory` and `attribute`, `window`, `new_file`, `copy`, `zeros`;
//!    - an image and its chain: `image` over `footer_copies`, `gate`, `canonical`, `chain`, `parent_link`;
//!    - a disk that is read and written: `disk` over `layer`, `layer_write` (with `layer_perform`, `layer_free`, `layer_ahead`
//!      over `places`), `encryption`, `base`, `owners` and `map`;
//!    - what is done to images: `snapshot`, `relink`, `edit`, `check`, `repair`, `coalesce`, `compact`, `convert`, `resize` (with
//!      `journal_file`, `journal_writer`), `revert` (with `journal_reader`, `unmarked`).
//!
//! Images are hostile until proved otherwise: every number from a file is checked before it is used, memory and work
//! are bounded, and no input may panic.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod aligned;
mod apart;
mod attribute;
mod base;
pub mod bat;
mod bat_pages;
pub mod batmap;
pub mod bitmap;
mod canonical;
pub mod chain;
pub mod check;
mod checksum;
pub mod coalesce;
pub mod compact;
pub mod convert;
mod copy;
pub mod create;
mod direct;
mod directory;
mod disk;
pub mod edit;
mod encryption;
mod engine;
mod error;
pub mod footer;
mod footer_copies;
mod gate;
mod gather;
mod geometry;
pub mod header;
mod image;
mod image_file;
mod journal;
mod journal_file;
mod journal_reader;
mod journal_writer;
mod key_hash;
mod layer;
mod layer_ahead;
mod layer_free;
mod layer_perform;
mod layer_write;
mod layout;
pub mod locator;
pub mod locator_path;
pub mod map;
mod medium;
mod new_file;
mod open;
mod owners;
mod parent_link;
pub mod parent_name;
mod places;
pub mod plan;
mod prefix;
pub mod relink;
pub mod repair;
pub mod resize;
mod resize_plan;
pub mod revert;
mod seen;
pub mod snapshot;
mod space;
mod threads;
mod timestamp;
pub mod units;
mod unmarked;
mod version;
mod window;
mod write_plan;
mod zeros;

use std::path::Path;

pub use aligned::AlignedBuffer;
pub use canonical::{canonical, mapper_name};
pub use chain::{MAX_CHAIN_DEPTH, Parent};
pub use disk::{Disk, LazyDisk, Stretch};
pub use engine::{Bytes, Engine, Transfer};
pub use error::{Error, ErrorKind, Result};
pub use gate::Gate;
pub use geometry::Geometry;
pub use image::{Image, peek};
pub use image_file::ImageFile;
pub use journal_file::JournalFile;
pub use key_hash::KeyHash;
pub use medium::{Medium, Part};
pub use open::{Cache, Open};
pub use parent_link::ParentLink;
pub use threads::Threads;
pub use timestamp::Timestamp;
pub use version::Version;
pub use window::Window;

/// Creates an image at `path`. A file that stands there is emptied first, a block device is written in place. What was
/// not there before is removed again when anything fails.
pub fn create_image(path: &Path, request: &create::Request) -> Result<()> {
    image_file::create(path, |target| create::plan(request, target))
}

/// Creates a raw disk at `path` in the same manner: its space is reserved, and it reads as zeros.
pub fn create_raw(path: &Path, size_bytes: u64) -> Result<()> {
    image_file::create(path, |target| create::plan_raw(size_bytes, target))
}
