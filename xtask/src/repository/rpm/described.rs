//! What an rpm's header says, in the words of repodata.

use std::path::Path;

use rpm::{DependencyFlags, FileType, PackageMetadata};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::repository::{Found, sha256};

/// One package.
#[derive(Debug, Serialize)]
pub(super) struct Described {
    name: String,
    arch: String,
    epoch: u32,
    version: String,
    release: String,
    sha256: String,
    summary: String,
    description: String,
    packager: String,
    url: String,
    licence: String,
    group: String,
    host: String,
    source: String,
    pub(super) time: u64,
    size: usize,
    installed: u64,
    header: (u64, u64),
    location: String,
    /// By the element that holds them.
    relations: Vec<(&'static str, Vec<Entry>)>,
    files: Vec<File>,
    changes: Vec<Change>,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    flags: Option<&'static str>,
    epoch: String,
    version: String,
    release: Option<String>,
    before: bool,
}

#[derive(Debug, Serialize)]
struct File {
    path: String,
    is_directory: bool,
    /// dnf looks for these without reading all files.
    is_primary: bool,
}

#[derive(Debug, Serialize)]
struct Change {
    author: String,
    time: u64,
    text: String,
}

/// Reads a package.
pub(super) fn described(package: &Found) -> Result<Described> {
    let failed = |error: rpm::Error| broken(&package.path).because(error.to_string());
    let header = PackageMetadata::parse(&mut &package.bytes[..]).map_err(failed)?;
    let optional = |value: std::result::Result<&str, rpm::Error>| value.unwrap_or_default().to_owned();
    let offsets = header.get_package_segment_offsets();
    let relations = [
        ("provides", header.get_provides()),
        ("requires", header.get_requires()),
        ("conflicts", header.get_conflicts()),
        ("obsoletes", header.get_obsoletes()),
        ("recommends", header.get_recommends()),
    ];
    let relations = relations
        .into_iter()
        .map(|(kind, list)| Ok((kind, list.map_err(failed)?.iter().filter_map(entry).collect())))
        .collect::<Result<Vec<(&str, Vec<Entry>)>>>()?;
    let files = header.get_file_entries().map_err(failed)?;
    let file = |one: &rpm::FileEntry<'_>| {
        let path = one.path().to_string_lossy().into_owned();
        let is_primary = path.starts_with("/etc/") || path.contains("bin/") || path == "/usr/lib/sendmail";
        File { is_directory: one.file_type() == FileType::Dir, is_primary, path }
    };
    let changes = header.get_changelog_entries().map_err(failed)?;
    let change = |one: rpm::ChangelogEntry| Change { author: one.name, time: one.timestamp, text: one.description };
    Ok(Described {
        name: header.get_name().map_err(failed)?.to_owned(),
        arch: header.get_arch().map_err(failed)?.to_owned(),
        epoch: header.get_epoch().unwrap_or(0),
        version: header.get_version().map_err(failed)?.to_owned(),
        release: header.get_release().map_err(failed)?.to_owned(),
        sha256: sha256(&package.bytes),
        summary: optional(header.get_summary()),
        description: optional(header.get_description()),
        packager: optional(header.get_packager()),
        url: optional(header.get_url()),
        licence: optional(header.get_license()),
        group: optional(header.get_group()),
        host: optional(header.get_build_host()),
        source: optional(header.get_source_rpm()),
        time: header.get_build_time().unwrap_or(0),
        size: package.bytes.len(),
        installed: header.get_installed_size().unwrap_or(0),
        header: (offsets.header, offsets.payload),
        location: package.location.clone(),
        relations,
        files: files.iter().map(file).collect(),
        changes: changes.into_iter().map(change).collect(),
    })
}

fn broken(file: &Path) -> Error {
    let name = file.display();
    Error::input(format!("cannot read package `{name}`"))
        .help(format!("rpm -qip '{name}'   # what rpm says of it; move it away, or make it again"))
}

impl Described {
    /// Where it is in a repository.
    pub(super) fn place(&self) -> Result<String> {
        let file = format!("{}-{}-{}.{}.rpm", self.name, self.version, self.release, self.arch);
        if file.starts_with('.') || !file.chars().all(|c| c.is_ascii_alphanumeric() || "+-._~^".contains(c)) {
            return Err(broken(Path::new(&self.location)).because(format!("`{file}` is no name for a file")));
        }
        Ok(crate::repository::place("packages", &self.epoch.to_string(), &file))
    }
}

/// Nothing for what rpm itself has to be able to.
fn entry(one: &rpm::Dependency) -> Option<Entry> {
    if one.name.starts_with("rpmlib(") {
        return None;
    }
    let has = |flag| one.flags.contains(flag);
    let flags = match (has(DependencyFlags::LESS), has(DependencyFlags::GREATER), has(DependencyFlags::EQUAL)) {
        (true, _, true) => Some("LE"),
        (true, ..) => Some("LT"),
        (_, true, true) => Some("GE"),
        (_, true, _) => Some("GT"),
        (.., true) => Some("EQ"),
        _ => None,
    };
    let (epoch, rest) = one.version.split_once(':').unwrap_or(("0", &one.version));
    let (version, release) = match rest.rsplit_once('-') {
        Some((version, release)) => (version, Some(release.to_owned())),
        None => (rest, None),
    };
    let before = has(DependencyFlags::SCRIPT_PRE) || has(DependencyFlags::SCRIPT_POST);
    Some(Entry {
        name: one.name.clone(),
        flags: flags.filter(|_| !version.is_empty()),
        epoch: epoch.to_owned(),
        version: version.to_owned(),
        release,
        before,
    })
}
