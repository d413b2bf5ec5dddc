//! Where a path leads, in the name that images store and tools print. Volumes keep the names of the device mapper: a node
//! like `/dev/dm-3` may belong to another volume tomorrow. Looks paths up; opens nothing.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// The path without links. A logical volume is `/dev/mapper/GROUP-VOLUME`, by whatever name of its own it was called, and
/// a DRBD volume keeps its name below `/dev/drbd/by-res`: libvhd stores these names, and looks for parents beside them.
pub fn canonical(path: &Path) -> io::Result<PathBuf> {
    canonical_in(Path::new("/dev"), path)
}

/// The same where devices are in this directory.
fn canonical_in(dev: &Path, path: &Path) -> io::Result<PathBuf> {
    let named = std::path::absolute(path).map(|path| by_text(&path)).unwrap_or_default();
    let below: Vec<&OsStr> = named.strip_prefix(dev).map(|below| below.iter().collect()).unwrap_or_default();
    let volume = match below[..] {
        [directory, _] if directory == "mapper" => Some(named.clone()),
        [group, volume] => Some(dev.join("mapper").join(mapper_name(group, volume))),
        _ => None,
    };
    if let Some(volume) = volume.filter(|volume| volume.exists()) {
        return Ok(volume);
    }
    let real = fs::canonicalize(path)?;
    let node = real.strip_prefix(dev).ok().and_then(Path::to_str).unwrap_or_default();
    let is_drbd = below.len() > 3 && below[..2] == ["drbd", "by-res"] && is_numbered(node, "drbd");
    match (named.parent(), named.file_name()) {
        (Some(_), Some(_)) if is_drbd => Ok(named),
        (Some(directory), Some(name)) if is_numbered(node, "dm-") => Ok(fs::canonicalize(directory)?.join(name)),
        _ => Ok(real),
    }
}

/// The name of a logical volume in `/dev/mapper`: dashes of the two names are doubled.
pub fn mapper_name(group: &OsStr, volume: &OsStr) -> OsString {
    let doubled = |name: &OsStr| {
        let twice = |&byte: &u8| if byte == b'-' { vec![byte, byte] } else { vec![byte] };
        name.as_bytes().iter().flat_map(twice).collect::<Vec<u8>>()
    };
    OsString::from_vec([doubled(group), doubled(volume)].join(&b'-'))
}

fn is_numbered(node: &str, kind: &str) -> bool {
    let number = node.strip_prefix(kind).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// An absolute path without `.` and `..`, links not looked at, as in libvhd.
fn by_text(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut found, component| {
        match component {
            Component::ParentDir => drop(found.pop()),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) | Component::Normal(_) => found.push(component),
        }
        found
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory like `/dev`, with the volumes `vg-x/VHD-a` and `vg-x/other`, of which the mapper knows one.
    fn dev() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let dev = directory.path().canonicalize().unwrap().join("dev");
        for made in ["mapper", "vg-x", "drbd/by-res/res"] {
            fs::create_dir_all(dev.join(made)).unwrap();
        }
        for node in ["dm-3", "dm-4", "drbd1000", "sda"] {
            fs::write(dev.join(node), node).unwrap();
        }
        symlink("../dm-3", dev.join("mapper/vg--x-VHD--a")).unwrap();
        symlink("../dm-3", dev.join("vg-x/VHD-a")).unwrap();
        symlink("../dm-4", dev.join("vg-x/other")).unwrap();
        symlink("../../../drbd1000", dev.join("drbd/by-res/res/0")).unwrap();
        symlink("dev/vg-x/VHD-a", dev.with_file_name("link")).unwrap();
        (directory, dev)
    }

    fn check(path: &str, expected: &str) {
        let (_directory, dev) = dev();
        let found = canonical_in(&dev, &dev.join(path)).unwrap();
        assert_eq!(found, by_text(&dev.join(expected)), "{path}");
    }

    #[test]
    fn volumes_have_the_names_of_the_mapper() {
        check("vg-x/VHD-a", "mapper/vg--x-VHD--a");
        check("mapper/vg--x-VHD--a", "mapper/vg--x-VHD--a");
        check("./vg-x/../vg-x//./VHD-a", "mapper/vg--x-VHD--a");
        check("mapper/./vg--x-VHD--a", "mapper/vg--x-VHD--a");
        // Without a name there, the one that was given.
        check("vg-x/other", "vg-x/other");
    }

    #[test]
    fn other_devices_and_files_have_no_links() {
        check("sda", "sda");
        check("dm-3", "dm-3");
        check("drbd/by-res/res/0", "drbd/by-res/res/0");
        check("../link", "../link");
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let (_directory, dev) = dev();
        for path in ["mapper/gone", "vg-x/gone", "gone", "../gone"] {
            assert_eq!(canonical_in(&dev, &dev.join(path)).unwrap_err().kind(), io::ErrorKind::NotFound, "{path}");
        }
    }

    #[test]
    fn dashes_are_doubled_in_the_names_of_the_mapper() {
        assert_eq!(mapper_name("VG_x-y".as_ref(), "VHD-1--2".as_ref()), "VG_x--y-VHD--1----2");
    }
}
