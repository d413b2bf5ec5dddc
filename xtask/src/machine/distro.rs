//! Which distribution and instruction set this is. Reads os-release; runs nothing.

use std::path::Path;

use crate::definition::Packages;
use crate::plan::Platform;

/// Distributions by what installs packages and how packages are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Debian, Ubuntu and what is made of them.
    Debian,
    /// Fedora, RHEL and what is made of them.
    Fedora,
    /// openSUSE, SLES.
    OpenSuse,
    /// Alpine.
    Alpine,
    /// Arch Linux.
    Arch,
}

impl Family {
    /// The family of a distribution by its `ID` and `ID_LIKE`, the nearest first.
    pub fn of(distro: &[String]) -> Option<Family> {
        distro.iter().find_map(|id| match id.as_str() {
            "debian" | "ubuntu" => Some(Family::Debian),
            "fedora" | "rhel" | "centos" => Some(Family::Fedora),
            "opensuse" | "suse" | "sles" | "opensuse-leap" | "opensuse-tumbleweed" => Some(Family::OpenSuse),
            "alpine" => Some(Family::Alpine),
            "arch" | "archlinux" => Some(Family::Arch),
            _ => None,
        })
    }

    /// This machine's.
    pub fn here() -> Option<Family> {
        Family::of(&platform(Path::new("/")).distro)
    }

    /// What a definition calls the family.
    pub fn key(self) -> &'static str {
        match self {
            Family::Debian => "debian",
            Family::Fedora => "fedora",
            Family::OpenSuse => "opensuse",
            Family::Alpine => "alpine",
            Family::Arch => "arch",
        }
    }

    /// What a package URL calls its packages.
    pub fn package_type(self) -> &'static str {
        match self {
            Family::Debian => "deb",
            Family::Fedora | Family::OpenSuse => "rpm",
            Family::Alpine => "apk",
            Family::Arch => "alpm",
        }
    }

    /// The names for this family.
    pub fn names(self, packages: &Packages) -> &[String] {
        match self {
            Family::Debian => &packages.debian,
            Family::Fedora => &packages.fedora,
            Family::OpenSuse => &packages.opensuse,
            Family::Alpine => &packages.alpine,
            Family::Arch => &packages.arch,
        }
    }
}

/// What os-release of the system at `root` and `uname` say. A machine without os-release is of no distribution.
pub fn platform(root: &Path) -> Platform {
    let arch = rustix::system::uname().machine().to_string_lossy().into_owned();
    let read = |path: &str| std::fs::read_to_string(root.join(path));
    let text = read("etc/os-release").or_else(|_| read("usr/lib/os-release")).unwrap_or_default();
    Platform { arch, distro: distro(&text) }
}

/// `ID`, then what `ID_LIKE` lists.
fn distro(os_release: &str) -> Vec<String> {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
    };
    let like = value("ID_LIKE");
    std::iter::once(value("ID").as_str())
        .chain(like.split_whitespace())
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(os_release: &str) -> Option<Family> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/os-release"), os_release).unwrap();
        Family::of(&platform(root.path()).distro)
    }

    #[test]
    fn families_are_known_by_id_or_by_what_they_are_like() {
        assert_eq!(check("NAME=x\nID=debian\n"), Some(Family::Debian));
        assert_eq!(check("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Some(Family::Debian));
        assert_eq!(check("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Some(Family::Fedora));
        assert_eq!(check("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n"), Some(Family::OpenSuse));
        assert_eq!(check("ID=alpine\n"), Some(Family::Alpine));
        assert_eq!(check("ID=endeavouros\nID_LIKE='arch'\n"), Some(Family::Arch));
        assert_eq!(check("ID=nixos\n"), None);
        assert_eq!(check(""), None);
    }
}
