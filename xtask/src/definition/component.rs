//! `components/NAME.toml`: one thing that is built. The shape of the file and nothing else; what must hold across files is
//! checked in `check.rs`, what a driver makes of it in `recipe/`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Name;
use super::packaged::{Packaged, Unpackaged};
use super::system::{Host, System};

/// One component, as its file says it. Field by field explained in `components/README.md`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Component {
    /// What it is, in one line without a full stop.
    pub summary: String,
    /// SPDX expression.
    pub licence: String,
    /// Upstream's page.
    pub homepage: String,
    /// The source of the manifest that it is built from.
    pub source: Name,
    /// Globs of the source's files that are inputs.
    #[serde(default = "everything")]
    pub inputs: Vec<String>,
    /// Globs taken away from `inputs`.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Components whose output stands at `{deps}` while this one builds.
    #[serde(default)]
    pub needs: Vec<Name>,
    /// Components that it only names by path: never inputs.
    #[serde(default)]
    pub runtime_needs: Vec<Name>,
    /// It must not share the job budget: built with one job.
    #[serde(default)]
    pub serial: bool,
    /// Programs whose identity is in the key, beside the driver's own.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Patch files relative to the repository's root, applied strictly with -p1.
    #[serde(default)]
    pub patches: Vec<String>,
    /// Installed paths that must exist after install.
    #[serde(default)]
    pub must_exist: Vec<String>,
    /// Files of other sources, read-only at `{extra:SOURCE}`.
    #[serde(default)]
    pub extra: BTreeMap<Name, Extra>,
    /// The build system.
    pub build: Driver,
    /// Steps: all of them for `steps`, those after the driver's own for the others.
    #[serde(default)]
    pub step: Vec<Step>,
    /// Environment of every step, beside the fixed one.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Named outputs: installed absolute paths.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// What a consumer that writes `{told:NAME}` gets.
    #[serde(default)]
    pub told: Told,
    /// Where it is not built, and why.
    #[serde(default)]
    pub skip: Vec<Skip>,
    /// Build dependencies, by distribution.
    #[serde(default)]
    pub packages: Packages,
    /// What a host needs to run it, by distribution.
    #[serde(default)]
    pub runtime_packages: Packages,
    /// What brings the copy of the system, where a manifest takes it from there, by distribution.
    #[serde(default)]
    pub system_packages: Packages,
    /// Where the machine's own copy is and how one knows it; without it there is no `--with-system-NAME`.
    #[serde(default)]
    pub system: Option<System>,
    /// What cannot be done where nobody provides it.
    #[serde(default)]
    pub without: Option<String>,
    /// Variables that decide what comes out, each with its default: `{set:NAME}`.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// What a host must have that runs it.
    #[serde(default)]
    pub host: Vec<Host>,
    /// Where a release archive has its source.
    #[serde(default)]
    pub tarball: Option<Tarball>,
    /// Packages that its files become, in the order in which they are tried.
    #[serde(default)]
    pub package: Vec<Packaged>,
    /// Installed files that belong into no package.
    #[serde(default)]
    pub unpackaged: Vec<Unpackaged>,
}

fn everything() -> Vec<String> {
    vec!["**".to_owned()]
}

/// Where a release archive has the source of a component, and what it has beside it so that whoever builds it by hand needs less.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tarball {
    /// Directory; `.` is the top of the archive.
    pub at: String,
    /// A component whose own build makes this one too when its source is there.
    #[serde(default, rename = "with")]
    pub built_with: Option<Name>,
    /// Steps that make `carry` and `generated`.
    #[serde(default)]
    pub steps: Vec<Name>,
    /// Globs of what those steps made, and the archive always has.
    #[serde(default)]
    pub carry: Vec<String>,
    /// The same for what it has when asked for: what autoconf makes.
    #[serde(default)]
    pub generated: Vec<String>,
    /// Directory of the archive file that the source was unpacked from, for a build that unpacks it itself.
    pub file: Option<String>,
    /// The source as one `.tar.gz`, for such a build where the source is no archive.
    pub packed: Option<String>,
    /// Files that are copied to it from elsewhere in the archive, by their new names.
    #[serde(default)]
    pub copy: BTreeMap<String, String>,
}

/// Files of another source.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Extra {
    /// Globs of that source.
    pub inputs: Vec<String>,
}

/// The build system; gives the usual steps.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Driver {
    /// configure, make, make install.
    Autotools(Autotools),
    /// make, make install.
    Make(Make),
    /// .config, make olddefconfig, make.
    Kconfig(Kconfig),
    /// meson setup, compile, install.
    Meson(Options),
    /// cmake configure, build, install.
    Cmake(Options),
    /// cargo build --locked --offline.
    Cargo(Cargo),
    /// Only what stands in `[[step]]`.
    Steps(Steps),
}

/// autogen, configure, make, make install.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Autotools {
    /// argv that makes `configure`; absent where the source has one.
    pub autogen: Vec<String>,
    /// Added to the four directories.
    pub configure: Vec<String>,
    /// Added to `make`.
    pub make: Vec<String>,
    /// Added to `make DESTDIR={stage}`; `install` if absent.
    pub install: Option<Vec<String>>,
    /// configure runs in `{build}`.
    pub out_of_tree: bool,
    /// `make install` makes what is out of date by itself, so that one call is enough where only code changed.
    pub install_makes: bool,
}

/// make, make install.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Make {
    /// Before everything.
    pub prepare: Vec<String>,
    /// Added to `make`.
    pub make: Vec<String>,
    /// Added to `make DESTDIR={stage}`; `install` if absent.
    pub install: Option<Vec<String>>,
    /// Where in the source make runs.
    pub subdir: Option<String>,
    /// See `Autotools::install_makes`.
    pub install_makes: bool,
}

/// `.config` from a file, then make.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kconfig {
    /// The file copied to `.config`.
    pub config: String,
    /// The target that fills in what it leaves open.
    #[serde(default = "olddefconfig")]
    pub defconfig_target: String,
    /// Added to `make`.
    #[serde(default)]
    pub make: Vec<String>,
    /// Added to `make DESTDIR={stage}`; no install by make if absent.
    pub install: Option<Vec<String>>,
}

fn olddefconfig() -> String {
    "olddefconfig".to_owned()
}

/// Options of a configure stage.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Options {
    /// Added to the configure call.
    pub options: Vec<String>,
}

/// Binaries of a cargo workspace.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cargo {
    /// Name of the binary and where it is installed.
    pub bins: BTreeMap<String, String>,
}

/// No steps of its own.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Steps {}

/// One argv.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// Names its log; unique in the component.
    pub name: Name,
    /// argv; no shell.
    pub run: Vec<String>,
    /// Where; `{src}` if absent.
    pub dir: Option<String>,
    /// Beside the component's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// After this the whole tree of the step is killed; 120 minutes if absent.
    pub timeout_mins: Option<u64>,
}

/// What consumers are told, as argv items.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Told {
    /// We build it.
    pub internal: Vec<String>,
    /// The machine provides it at `{path}`.
    pub system: Vec<String>,
    /// Nobody does.
    pub absent: Vec<String>,
}

/// Where a component is not built.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Skip {
    /// Instruction sets as `uname -m` says them; all if empty.
    #[serde(default)]
    pub arch: Vec<String>,
    /// Distributions as `ID` or `ID_LIKE` of os-release says them; all if empty.
    #[serde(default)]
    pub distro: Vec<String>,
    /// Why, for whoever wonders where it is.
    pub reason: String,
}

/// Package names by distribution.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Packages {
    /// Debian, Ubuntu.
    pub debian: Vec<String>,
    /// Fedora, RHEL.
    pub fedora: Vec<String>,
    /// openSUSE, SLES.
    pub opensuse: Vec<String>,
    /// Alpine.
    pub alpine: Vec<String>,
    /// Arch Linux.
    pub arch: Vec<String>,
}
