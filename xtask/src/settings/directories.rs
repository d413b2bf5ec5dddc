//! Directories of the installed system, and how definitions write them.

use super::key::{Directory, Key};
use super::{Setting, Settings};

/// Where `configure` scripts and the like are told to put things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    /// `--prefix`.
    pub prefix: String,
    /// `--libdir`.
    pub libdir: String,
    /// `--sysconfdir`.
    pub sysconfdir: String,
    /// `--localstatedir`.
    pub localstatedir: String,
}

impl Default for Directories {
    fn default() -> Self {
        Directories::below("/usr")
    }
}

impl Directories {
    /// As autoconf and distributions have it: what belongs to `/usr` has its configuration and state outside, anything else inside.
    fn below(prefix: &str) -> Self {
        let (sysconfdir, localstatedir) = match prefix {
            "/usr" => ("/etc".to_owned(), "/var".to_owned()),
            other => (format!("{other}/etc"), format!("{other}/var")),
        };
        Directories { libdir: format!("{prefix}/lib"), prefix: prefix.to_owned(), sysconfdir, localstatedir }
    }

    /// What was set, and the rest after the prefix.
    pub fn of(settings: &Settings) -> Self {
        let get = |directory| settings.get(&Key::Directory(directory)).map(|setting: &Setting| setting.value.clone());
        let base = get(Directory::Prefix).map_or_else(Directories::default, |prefix| Directories::below(&prefix));
        Directories {
            libdir: get(Directory::Libdir).unwrap_or(base.libdir),
            sysconfdir: get(Directory::Sysconfdir).unwrap_or(base.sysconfdir),
            localstatedir: get(Directory::Localstatedir).unwrap_or(base.localstatedir),
            prefix: base.prefix,
        }
    }

    /// The value of one.
    pub fn get(&self, directory: Directory) -> &str {
        match directory {
            Directory::Prefix => &self.prefix,
            Directory::Libdir => &self.libdir,
            Directory::Sysconfdir => &self.sysconfdir,
            Directory::Localstatedir => &self.localstatedir,
        }
    }

    /// An installed path as a definition writes it: `{libdir}/libxenctrl.so`.
    pub fn path(&self, text: &str) -> String {
        let holes = [
            ("{prefix}", &self.prefix),
            ("{libdir}", &self.libdir),
            ("{sysconfdir}", &self.sysconfdir),
            ("{localstatedir}", &self.localstatedir),
        ];
        holes.iter().fold(text.to_owned(), |text, (hole, value)| text.replace(hole, value))
    }
}
