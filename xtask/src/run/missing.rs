//! What a message of a compiler, linker, configure, meson or cargo says is not there, and which package of this distribution brings
//! it. `missing.toml` is the table; what it does not know is answered with how to search.

use serde::Deserialize;

use crate::definition::Packages;
use crate::machine::{Family, command_line};

/// Something that a build looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Header(String),
    PkgConfig(String),
    Library(String),
    Program(String),
    Python(String),
}

/// How each is said: what stands before the name, and what behind it.
type Words = (fn(String) -> Missing, &'static str, &'static str);
const WORDS: [Words; 25] = [
    // gcc, clang, meson
    (Missing::Header, "fatal error: '", "' file not found"),
    (Missing::Header, "fatal error: ", ": No such file or directory"),
    (Missing::Header, "C header '", "' not found"),
    // pkg-config, configure, meson, cargo's pkg-config and system-deps
    (Missing::PkgConfig, "No package '", "' found"),
    (Missing::PkgConfig, "Package '", "', required by"),
    (Missing::PkgConfig, "Package ", " was not found in the pkg-config search path"),
    (Missing::PkgConfig, "Dependency \"", "\" not found"),
    (Missing::PkgConfig, "The system library `", "` required by crate"),
    (Missing::PkgConfig, "Package requirements (", ") were not met"),
    // ld, meson
    (Missing::Library, "cannot find -l", ":"),
    (Missing::Library, "cannot find -l", ""),
    (Missing::Library, "unable to find library -l", ""),
    (Missing::Library, "library '", "' not found"),
    // shells, make, meson, configure, cargo
    (Missing::Program, "/bin/sh: 1: ", ": not found"),
    (Missing::Program, "sh: 1: ", ": not found"),
    (Missing::Program, ": ", ": command not found"),
    (Missing::Program, "make: ", ": No such file or directory"),
    (Missing::Program, "]: ", ": No such file or directory"),
    (Missing::Program, "Program '", "' not found"),
    (Missing::Program, "Program \"", "\" not found"),
    (Missing::Program, "please install ", ""),
    (Missing::Program, "linker `", "` not found"),
    (Missing::Python, "No module named '", "'"),
    // configure of many
    (Missing::Header, "cannot find ", ""),
    (Missing::Header, "ould not find ", ""),
];

/// A row of the table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Row {
    /// Names, or directories that end with `/`.
    headers: Vec<String>,
    pkg_config: Vec<String>,
    libraries: Vec<String>,
    programs: Vec<String>,
    python: Vec<String>,
    packages: Packages,
}

fn table() -> Vec<Row> {
    #[derive(Deserialize)]
    struct Table {
        row: Vec<Row>,
    }
    toml::from_str::<Table>(include_str!("missing.toml")).map(|table| table.row).unwrap_or_default()
}

impl Missing {
    /// What this line says is missing.
    pub(super) fn of(line: &str) -> Option<Self> {
        WORDS.iter().find_map(|(make, before, after)| {
            let rest =
                &line[line.rfind(before).filter(|_| after.is_empty()).or_else(|| line.find(before))? + before.len()..];
            let name = if after.is_empty() { rest } else { &rest[..rest.find(after)?] };
            let name = match make(String::new()) {
                // `yajl >= 2.0, uuid`
                Missing::PkgConfig(_) => name.split([' ', ',', '<', '>', '=']).next()?,
                Missing::Program(_) => name.rsplit(": ").next()?.rsplit('/').next()?,
                Missing::Header(_) if after.is_empty() => name.split([' ', ',', ':']).next()?,
                Missing::Header(_) | Missing::Library(_) | Missing::Python(_) => name,
            };
            let name = name.trim_end_matches(['.', ',']);
            let is_header = !matches!(make(String::new()), Missing::Header(_)) || name.contains(".h");
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_+./".contains(c);
            (is_header && !name.is_empty() && name.chars().all(is_name)).then(|| make(name.to_owned()))
        })
    }

    /// Packages that bring it.
    fn packages(&self, family: Family) -> Option<Vec<String>> {
        let has = |row: &Row| {
            let is = |names: &[String], name: &String| names.contains(name);
            match self {
                Missing::Header(name) => row
                    .headers
                    .iter()
                    .any(|known| known == name || known.ends_with('/') && name.starts_with(known.as_str())),
                Missing::PkgConfig(name) => is(&row.pkg_config, name),
                Missing::Library(name) => is(&row.libraries, name),
                Missing::Program(name) => is(&row.programs, name),
                Missing::Python(name) => is(&row.python, name),
            }
        };
        let row = table().into_iter().find(has)?;
        let names = family.names(&row.packages);
        (!names.is_empty()).then(|| names.to_vec())
    }

    /// What it is, as a person says it.
    fn shown(&self) -> String {
        match self {
            Missing::Header(name) => format!("the header `{name}`"),
            Missing::PkgConfig(name) => format!("`{name}.pc`, for pkg-config,"),
            Missing::Library(name) => format!("the library `{name}`"),
            Missing::Program(name) => format!("the program `{name}`"),
            Missing::Python(name) => format!("Python's module `{name}`"),
        }
    }

    /// How to get it.
    pub(super) fn help(&self, family: Option<Family>) -> String {
        let known = family.and_then(|family| self.packages(family));
        let command = known.map_or_else(|| self.search(family), |packages| command_line(family, &packages));
        format!("{command}   # {} is missing; what brings it belongs into the component's [packages]", self.shown())
    }

    /// A command that says which package brings it.
    fn search(&self, family: Option<Family>) -> String {
        let file = match self {
            Missing::Header(name) => format!("include/{name}"),
            Missing::PkgConfig(name) => format!("/{name}.pc"),
            Missing::Library(name) => format!("/lib{name}.so"),
            Missing::Program(name) => format!("bin/{name}"),
            Missing::Python(name) => format!("/{name}/__init__.py"),
        };
        match (family, self) {
            (Some(Family::Debian), _) => format!("apt-file search {file}"),
            (Some(Family::Fedora), Missing::PkgConfig(name)) => format!("dnf provides 'pkgconfig({name})'"),
            (Some(Family::Fedora), _) => format!("dnf provides '*{file}'"),
            (Some(Family::OpenSuse), Missing::PkgConfig(name)) => {
                format!("zypper search --provides 'pkgconfig({name})'")
            }
            (Some(Family::OpenSuse), _) => format!("zypper search --provides '*{file}'"),
            (Some(Family::Alpine), Missing::PkgConfig(name)) => format!("apk search pc:{name}"),
            (Some(Family::Arch), _) => format!("pacman -Fx '{file}$'"),
            (Some(Family::Alpine) | None, _) => format!("search this distribution's packages for the file {file}"),
        }
    }
}
