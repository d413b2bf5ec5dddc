//! Names in a Debian mirror's pool. Pure.

use super::version;
use crate::error::{Error, Result};

/// What a file of a source package is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Upstream's tree (`.orig.tar.*`), or all of a native package.
    Upstream,
    /// A further upstream tarball (`.orig-NAME.tar.*`): unpacked into the directory NAME.
    Extra(String),
    /// Debian's packaging, with its patches.
    Debian,
}

impl Part {
    /// The part that a file is; signatures, diffs and `.dsc` are none.
    pub(super) fn of(package: &str, path: &str) -> Result<Part> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let wrong =
            || Error::input(format!("`{name}` is not a file of source package `{package}` that can be unpacked"));
        let version = name.strip_prefix(package).and_then(|rest| rest.strip_prefix('_')).ok_or_else(wrong)?;
        let (stem, compression) = version.rsplit_once(".tar.").ok_or_else(wrong)?;
        if compression.contains('.') {
            return Err(wrong());
        }
        if stem.ends_with(".debian") {
            return Ok(Part::Debian);
        }
        if let Some((_, extra)) = stem.rsplit_once(".orig-") {
            let is_name = !extra.is_empty() && extra.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            return if is_name { Ok(Part::Extra(extra.to_owned())) } else { Err(wrong()) };
        }
        Ok(Part::Upstream)
    }
}

/// Where the files of a version may be in the pool, for each file in the order they are tried. For versions that left the indexes.
pub(super) fn candidates(package: &str, version: &str, with_debian: bool) -> Vec<Vec<String>> {
    let (_, upstream, _) = version::split(version);
    let revision = version.split_once(':').map_or(version, |(_, rest)| rest);
    let first = match package.strip_prefix("lib").and_then(|rest| rest.chars().next()) {
        Some(letter) => format!("lib{letter}"),
        None => package.chars().take(1).collect(),
    };
    let places: Vec<String> = ["pool/main", "pool/updates/main", "pool/contrib", "pool/non-free"]
        .iter()
        .map(|area| format!("{area}/{first}/{package}"))
        .collect();
    let paths = |stem: &str, compressions: &[&str]| {
        let names = compressions.iter().map(|compression| format!("{package}_{stem}.tar.{compression}"));
        let names: Vec<String> = names.collect();
        places.iter().flat_map(|place| names.iter().map(move |name| format!("{place}/{name}"))).collect::<Vec<_>>()
    };
    let mut files = vec![paths(&format!("{upstream}.orig"), &["xz", "gz"])];
    if with_debian {
        files.push(paths(&format!("{revision}.debian"), &["xz", "gz"]));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_package_are_told_apart() {
        let check = |name: &str| Part::of("foo", name).ok();
        assert_eq!(check("pool/main/f/foo/foo_1.0.orig.tar.xz"), Some(Part::Upstream));
        assert_eq!(check("foo_1.0.orig-web-ui.tar.gz"), Some(Part::Extra("web-ui".into())));
        assert_eq!(check("foo_1.0-2.debian.tar.xz"), Some(Part::Debian));
        assert_eq!(check("foo_1.0.tar.xz"), Some(Part::Upstream));
        for other in [
            "foo_1.0.dsc",
            "foo_1.0.orig.tar.xz.asc",
            "foo_1.0-1.diff.gz",
            "bar_1.0.orig.tar.xz",
            "foo_1.orig-a.b.tar.xz",
        ] {
            assert_eq!(check(other), None, "{other}");
        }
    }

    #[test]
    fn pool_paths_follow_debians_rule() {
        let paths = candidates("libaio", "0.3.113-4", true);
        assert_eq!(paths[0][0], "pool/main/liba/libaio/libaio_0.3.113.orig.tar.xz");
        assert_eq!(paths[1][0], "pool/main/liba/libaio/libaio_0.3.113-4.debian.tar.xz");
        assert_eq!(
            candidates("qemu", "1:7.2+dfsg-7+deb12u18", true)[1][1],
            "pool/main/q/qemu/qemu_7.2+dfsg-7+deb12u18.debian.tar.gz"
        );
    }
}
