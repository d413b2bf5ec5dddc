//! Everything about one image and the chain below it, for `info`. Collects; what cannot be read is a warning. Prints
//! nothing.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};
use uuid::Uuid;
use vhd::batmap::Batmap;
use vhd::check::{Options, Place};
use vhd::footer::{DiskKind, Footer};
use vhd::{Error, Image, MAX_CHAIN_DEPTH, Medium, Parent, Timestamp, chain};

use crate::terminal::in_words;

/// An image.
#[derive(Debug)]
pub(crate) struct Info {
    pub(crate) file: PathBuf,
    pub(crate) footer: Footer,
    pub(crate) file_bytes: u64,
    pub(crate) physical_bytes: Option<u64>,
    /// `None` for a fixed disk.
    pub(crate) blocks: Option<Blocks>,
    pub(crate) marker: Option<u8>,
    pub(crate) key_hash: Option<[u8; 32]>,
    pub(crate) parents: Vec<Below>,
    pub(crate) warnings: Vec<String>,
}

/// The tables of a sparse image.
#[derive(Debug)]
pub(crate) struct Blocks {
    pub(crate) block_bytes: u64,
    pub(crate) count: u64,
    pub(crate) allocated: Option<usize>,
    pub(crate) max_virtual_bytes: u64,
    pub(crate) batmap: Option<Full>,
}

/// The batmap.
#[derive(Debug)]
pub(crate) struct Full {
    pub(crate) version: String,
    pub(crate) blocks: usize,
}

/// A parent.
#[derive(Debug)]
pub(crate) struct Below {
    /// As the child stores it.
    pub(crate) stored: Option<PathBuf>,
    /// Where it is; `None` when it is not found.
    pub(crate) path: Option<PathBuf>,
    pub(crate) is_raw: bool,
    /// Its identity; `None` when it is raw or cannot be opened.
    pub(crate) uuid: Option<Uuid>,
}

/// Takes values, and notes why others cannot be had.
#[derive(Default)]
struct Warnings(Vec<String>);

impl Warnings {
    fn value<T>(&mut self, read: Result<T, Error>) -> Option<T> {
        read.map_err(|error| self.0.push(in_words(&error))).ok()
    }
}

impl Info {
    /// Collects. An error only when the image cannot be opened.
    pub(crate) fn read(file: &Path) -> Result<Info, Error> {
        let image = Image::open(file)?;
        let mut warnings = Warnings::default();
        let footer = image.footer().clone();
        let physical_bytes = warnings.value(image.physical_bytes());
        let blocks = image.header().ok().map(|header| {
            let block_bytes = header.block_size.bytes();
            let batmap = warnings.value(image.batmap()).flatten();
            let count = footer.current_bytes.div_ceil(block_bytes);
            Blocks {
                block_bytes,
                count,
                allocated: warnings.value(image.bat_usage()).map(|usage| usage.allocated_blocks),
                max_virtual_bytes: u64::from(header.max_bat_entries) * block_bytes,
                batmap: batmap.map(|batmap| full(&batmap, count)),
            }
        });
        let marker = warnings.value(image.marker());
        let key_hash = warnings.value(image.key_hash()).flatten().map(|key_hash| key_hash.hash);
        match footer.is_poisoned {
            true => warnings.0.push("image is in the middle of a resize: revert its journal first".to_owned()),
            false => findings(file, &mut warnings),
        }
        if footer.kind.is_sparse() && !footer.creator.is_tap() {
            let app = footer.creator.app.escape_ascii();
            warnings
                .0
                .push(format!("creator is `{app}`, not `tap`: without a batmap, XenServer cannot resize the disk"));
        }
        let file_bytes = image.file().len_bytes();
        let parents = parents(image, &mut warnings);
        let mut warnings = warnings.0;
        let mut passed = HashSet::new();
        warnings.retain(|warning| passed.insert(warning.clone()));
        let file = file.to_owned();
        Ok(Info { file, footer, file_bytes, physical_bytes, blocks, marker, key_hash, parents, warnings })
    }

    /// The same for machines.
    pub(crate) fn json(&self) -> Value {
        let Info { footer, blocks, .. } = self;
        let hex = |hash: [u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let parents = self.parents.iter().map(|parent| {
            json!({
                "stored": parent.stored.as_ref().map(path),
                "path": parent.path.as_ref().map(path),
                "found": parent.path.is_some(),
                "kind": if parent.is_raw { "raw" } else { "vhd" },
                "uuid": parent.uuid.map(|uuid| uuid.to_string()),
            })
        });
        let batmap = blocks.as_ref().and_then(|blocks| blocks.batmap.as_ref());
        json!({
            "file": self.file.to_string_lossy(),
            "kind": self.kind(),
            "virtual_bytes": footer.current_bytes,
            "physical_bytes": self.physical_bytes,
            "file_bytes": self.file_bytes,
            "block_bytes": blocks.as_ref().map(|blocks| blocks.block_bytes),
            "blocks": blocks.as_ref().map(|blocks| blocks.count),
            "allocated_blocks": blocks.as_ref().and_then(|blocks| blocks.allocated),
            "max_virtual_bytes": blocks.as_ref().map(|blocks| blocks.max_virtual_bytes),
            "batmap": batmap.map(|batmap| json!({ "version": batmap.version, "full_blocks": batmap.blocks })),
            "uuid": footer.uuid.to_string(),
            "created": self.created(),
            "creator": { "application": self.creator(), "version": footer.creator.version.to_string() },
            "hidden": footer.hidden,
            "marker": self.marker,
            "keyhash": self.key_hash.map(hex).unwrap_or_default(),
            "resizing": footer.is_poisoned,
            "parents": parents.collect::<Vec<_>>(),
            "warnings": self.warnings,
        })
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self.footer.kind {
            DiskKind::Fixed => "fixed",
            DiskKind::Dynamic => "dynamic",
            DiskKind::Differencing => "differencing",
            DiskKind::Other(_) => "unknown",
        }
    }

    /// Who made it.
    pub(crate) fn creator(&self) -> String {
        let letters: Vec<u8> = self.footer.creator.app.into_iter().take_while(|&byte| byte != 0).collect();
        String::from_utf8_lossy(letters.trim_ascii()).into_owned()
    }

    /// When, in UTC.
    pub(crate) fn created(&self) -> String {
        let seconds = self.footer.timestamp.unix_secs();
        jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
    }
}

fn full(batmap: &Batmap, count: u64) -> Full {
    let is_full = |&block: &u64| u32::try_from(block).is_ok_and(|block| batmap.is_full(block));
    Full { version: batmap.header().version.to_string(), blocks: (0..count).filter(is_full).count() }
}

/// What `check` finds, but for what the chain says itself.
fn findings(file: &Path, warnings: &mut Warnings) {
    let options = Options { now: Timestamp::from(SystemTime::now()), ..Options::default() };
    let Some(report) = warnings.value(vhd::check::check(file, &options)) else { return };
    let of_image = report.findings.into_iter().filter(|finding| finding.place != Place::Parent);
    warnings.0.extend(of_image.map(|finding| finding.message));
    if report.omitted > 0 {
        warnings.0.push(format!("{} faults more", report.omitted));
    }
}

/// The chain below an image, as far as it can be followed.
fn parents(mut image: Image, warnings: &mut Warnings) -> Vec<Below> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut passed = HashSet::from([real(image.file().path())]);
    let mut found = Vec::new();
    while image.has_parent() && found.len() < MAX_CHAIN_DEPTH as usize {
        let wanted = image.header().map_or(Uuid::nil(), |header| header.parent_uuid);
        let stored = chain::stored_parent(&image).ok().flatten();
        let mut below = Below { stored, path: None, is_raw: wanted.is_nil(), uuid: None };
        let parent = warnings.value(chain::parent(&image)).flatten();
        below.path = parent.as_ref().map(Parent::path).map(Path::to_owned);
        let Some(Parent::Vhd(path)) = parent else {
            found.push(below);
            return found;
        };
        let next = warnings.value(Image::open(&path));
        below.uuid = next.as_ref().map(|next| next.footer().uuid);
        found.push(below);
        let Some(next) = next else { return found };
        if next.footer().uuid != wanted {
            let (path, uuid) = (path.display(), next.footer().uuid);
            warnings.0.push(format!("parent `{path}` has the identity {uuid}, not {wanted}: it is another image"));
        }
        if next.footer().is_poisoned {
            warnings.0.push(format!("parent `{}` is in the middle of a resize", path.display()));
        }
        if !passed.insert(real(&path)) {
            warnings.0.push(format!("chain comes back to `{}`", path.display()));
            return found;
        }
        image = next;
    }
    found
}
