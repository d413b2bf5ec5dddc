//! What every build needs and no definition names: the compiler, its headers, make, git, bubblewrap. Looks at files; runs
//! nothing.

use std::path::{Path, PathBuf};

use super::distro::Family;
use super::tools;

/// A thing that every build needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// As people call it.
    pub what: &'static str,
    /// The package that brings it.
    pub package: &'static str,
    /// Where it is.
    pub found: Option<PathBuf>,
}

/// Packages of the compiler, the C library's headers and make.
pub(super) fn compiler_packages(family: Option<Family>) -> &'static [&'static str; 3] {
    match family {
        Some(Family::Debian) => &["gcc", "libc6-dev", "make"],
        Some(Family::Fedora | Family::OpenSuse) => &["gcc", "glibc-devel", "make"],
        Some(Family::Alpine) => &["gcc", "musl-dev", "make"],
        Some(Family::Arch) => &["gcc", "glibc", "make"],
        None => &["gcc", "libc-dev", "make"],
    }
}

/// All of them.
pub(super) fn base(family: Option<Family>) -> [Base; 5] {
    let program = |name: &str| which::which_in(name, Some(tools::PATH), "/").ok();
    let headers = Path::new("/usr/include/stdio.h");
    let [compiler, headers_package, make] = *compiler_packages(family);
    [
        Base { what: "C compiler", package: compiler, found: program("cc") },
        Base { what: "C headers", package: headers_package, found: headers.exists().then(|| headers.to_path_buf()) },
        Base { what: "make", package: make, found: program("make") },
        Base { what: "git", package: "git", found: program("git") },
        Base { what: "bubblewrap", package: "bubblewrap", found: program("bwrap") },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_a_package_for_everything() {
        let families =
            [Family::Debian, Family::Fedora, Family::OpenSuse, Family::Alpine, Family::Arch].map(Some).into_iter();
        for family in families.chain([None]) {
            assert!(base(family).iter().all(|base| !base.package.is_empty()), "{family:?}");
        }
    }
}
