//! `[[package]]` and `[[unpackaged]]` of a component: which of its files become which package of a distribution. The shape alone; who gets
//! which file is decided in `package/`.

use serde::Deserialize;

/// One package. `{minor}` (4.17), `{major}` and `{arch}` (amd64) are replaced in names and globs.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Packaged {
    /// Its name, as Debian calls it. With `{soname}` each library is a package of its own: `libxencall1`.
    pub deb: String,
    /// Its name in an rpm, if that is another. Several of one name become one; one with `-{minor}` replaces earlier ones without.
    pub rpm: Option<String>,
    /// What it is, in one line.
    pub summary: String,
    /// Debian's section.
    #[serde(default = "misc")]
    pub section: String,
    /// Globs of installed paths: `{libdir}/*.so`. The first package that wants a file gets it.
    pub files: Vec<String>,
    /// Units of systemd that start with the machine.
    #[serde(default)]
    pub units: Vec<String>,
    /// Packages without which it does not work, by their names in `deb`. Libraries and interpreters are found by themselves.
    #[serde(default)]
    pub depends: Vec<String>,
    /// Packages that most who have it want.
    #[serde(default)]
    pub recommends: Vec<String>,
    /// Other names that it goes by.
    #[serde(default)]
    pub provides: Vec<String>,
    /// Packages of which earlier versions, ours or the distribution's, have files that are here now.
    #[serde(default)]
    pub replaces: Vec<String>,
    /// Configuration that the distribution's package of this name has and this one has not: an upgrade from that takes it away.
    #[serde(default)]
    pub obsolete: Vec<String>,
    /// How two versions of it can be installed.
    pub beside: Option<Beside>,
    /// It is the one that needs `[runtime-packages]`, and recommends `runtime-needs`.
    #[serde(default)]
    pub runs: bool,
}

/// Where files stand in a package so that another version's can be beside them. Names of packages have the version then: `{minor}`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Beside {
    /// The directory of this version, with `{minor}` in it. It has `bin` and `lib`.
    pub directory: String,
    /// Directories, as globs, whose programs stand in its `bin` instead.
    pub programs: Vec<String>,
    /// Directories, as globs, whose files stand in its `lib/python` instead.
    #[serde(default)]
    pub python: Vec<String>,
    /// The package that has links at the places of the programs, and what starts the right version's: by its name in `deb`.
    pub started_by: String,
}

fn misc() -> String {
    "misc".to_owned()
}

/// Files that are left out.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Unpackaged {
    /// Globs of installed paths.
    pub files: Vec<String>,
    /// Why.
    pub because: String,
}
