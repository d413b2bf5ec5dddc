//! What the tool knows of the machine: distribution, packages, tools, toolchain, sandbox, space. `Machine` is the door.
//!
//! Invariant: once everything is remembered, nothing here starts a process; `.xtask/state/machine.json` holds the
//! answers with the stamps of the files that they were made from.

mod apt;
mod base;
mod bubblewrap;
mod distro;
mod dpkg;
mod install;
mod packages;
mod remembered;
mod rust;
mod space;
mod tools;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::action::{Described, Environment};
use crate::definition::{self, Component, Driver};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::plan::Platform;
use crate::process::Cancel;
use crate::recipe;

pub use base::Base;
pub use bubblewrap::Refused;
pub use distro::Family;
pub use install::command_line;
pub use rust::Toolchain;
pub use space::{free_bytes, is_full, need, size};

use packages::Packages;
use remembered::Remembered;

/// This machine, as far as it decides what comes out of a build and whether one can run.
#[derive(Debug)]
pub struct Machine {
    platform: Platform,
    family: Option<Family>,
    bubblewrap: Option<PathBuf>,
    /// Where rustup looks for what this checkout wants.
    checkout: PathBuf,
    packages: Packages,
    remembered: Remembered,
    /// Fingerprints of this run: a hundred components use the same ten tools.
    tools: Mutex<BTreeMap<String, String>>,
    rust: Mutex<Option<Toolchain>>,
    environments: Mutex<BTreeMap<Wanted, Described>>,
}

/// What an environment is made of: tools, with the Rust toolchain or without, packages.
type Wanted = (Vec<String>, bool, Vec<String>);

impl Machine {
    /// Looks at the machine; what was learned before is taken from the checkout's state. `no_sandbox`: bubblewrap is
    /// not wanted.
    pub fn of(layout: &Layout, no_sandbox: bool) -> Result<Self> {
        let root = Path::new("/");
        let platform = distro::platform(root);
        let family = Family::of(&platform.distro);
        let remembered = Remembered::open(layout.state().join("machine.json"));
        let bubblewrap = if no_sandbox { None } else { bubblewrap::bubblewrap(&remembered)? };
        let packages = Packages::new(root, family);
        Ok(Machine {
            platform,
            family,
            bubblewrap,
            checkout: layout.root.clone(),
            packages,
            remembered,
            tools: Mutex::default(),
            rust: Mutex::default(),
            environments: Mutex::default(),
        })
    }

    /// As skip rules see it.
    pub fn platform(&self) -> Platform {
        self.platform.clone()
    }

    /// `uname -m`.
    pub fn arch(&self) -> &str {
        &self.platform.arch
    }

    /// The distribution's family, if it is known.
    pub fn family(&self) -> Option<Family> {
        self.family
    }

    /// Processors that we may use.
    pub fn cores(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// bubblewrap, if it is here, works, and is wanted.
    pub fn bubblewrap(&self) -> Option<PathBuf> {
        self.bubblewrap.clone()
    }

    /// Where the Rust toolchain stands.
    pub fn rust_toolchain(&self) -> Result<PathBuf> {
        Ok(self.rust()?.sysroot)
    }

    fn rust(&self) -> Result<Toolchain> {
        let mut known = self.rust.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(toolchain) => Ok(toolchain.clone()),
            None => Ok(known.insert(rust::toolchain(&self.checkout, &self.remembered)?).clone()),
        }
    }

    /// What of the machine decides how a component comes out.
    pub fn environment(&self, component: &Component) -> Result<Described> {
        let tools = recipe::tools(component);
        let rust = matches!(component.build, Driver::Cargo(_));
        let packages = self.family.map_or(&[][..], |family| family.names(&component.packages));
        let wanted = (tools.iter().map(|tool| (*tool).to_owned()).collect(), rust, packages.to_vec());
        let mut known = self.environments.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&wanted) {
            return Ok(known.clone());
        }
        let described: Described = Environment {
            sealed: self.bubblewrap.is_some(),
            incremental: false,
            tools: self.tools(&tools, rust)?,
            packages: self.packages(&component.packages)?,
        }
        .try_into()?;
        known.insert(wanted, described.clone());
        Ok(described)
    }

    /// What each program is, by name: its real path and SHA-256. With `rust` also what the Rust toolchain is.
    pub fn tools(&self, names: &[&str], rust: bool) -> Result<BTreeMap<String, String>> {
        let mut found = if rust { self.rust()?.fingerprint } else { BTreeMap::new() };
        let mut known = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            let fingerprint = match known.get(*name) {
                Some(fingerprint) => fingerprint.clone(),
                None => tools::fingerprint(name, tools::PATH, &self.remembered)?,
            };
            known.insert((*name).to_owned(), fingerprint.clone());
            found.insert((*name).to_owned(), fingerprint);
        }
        Ok(found)
    }

    /// Name and version of everything installed that a build with these packages depends on; `packages.rs` says how
    /// exact that is.
    pub fn packages(&self, declared: &definition::Packages) -> Result<BTreeMap<String, String>> {
        let names = self.family.map_or(&[][..], |family| family.names(declared));
        let closure = self.packages.closure(names, self.usual(), &self.remembered)?;
        closure.map_err(|missing| lacking(&missing).help(self.install_command(&missing)))
    }

    /// Packages that are not installed: those declared, and what every build needs, where that is not here in another
    /// way.
    pub fn missing_packages<'a>(
        &self,
        declared: impl Iterator<Item = &'a definition::Packages>,
        no_sandbox: bool,
    ) -> Result<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        if let Some(family) = self.family {
            names.extend(declared.flat_map(|packages| family.names(packages)).cloned());
            names.sort();
            names.dedup();
            names = self.missing(&names)?;
        }
        let base = self.base().filter(|base| base.found.is_none());
        let base = base.filter(|base| !no_sandbox || base.what != "bubblewrap");
        names.extend(base.map(|base| base.package.to_owned()));
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// `Err`, with the command that installs them, when what these components need to be built is missing.
    pub fn need_packages<'a>(&self, declared: impl Iterator<Item = &'a definition::Packages>) -> Result<()> {
        match self.missing_packages(declared, false)? {
            missing if missing.is_empty() => Ok(()),
            missing => Err(lacking(&missing).help(self.install_command(&missing))),
        }
    }

    /// Those of `names` that are not installed.
    pub fn missing(&self, names: &[String]) -> Result<Vec<String>> {
        self.packages.missing(names, &self.remembered)
    }

    /// The command that installs these, ready to be pasted.
    pub fn install_command(&self, packages: &[String]) -> String {
        command_line(self.family, packages)
    }

    /// Installs these. `say` gets what is done, line by line.
    pub fn install(&self, packages: &[String], cancel: &Cancel, say: &dyn Fn(&str)) -> Result<()> {
        install::install(self.family, packages, cancel, say)
    }

    /// What every build needs, and whether it is here. In an unpacked archive git has nothing to bring.
    pub fn base(&self) -> impl Iterator<Item = Base> {
        let without_git = crate::release::Unpacked::is_at(&self.checkout);
        base::base(self.family).into_iter().filter(move |base| !without_git || base.what != "git")
    }

    /// Why bubblewrap, which is installed, does not work; `None` if it does.
    pub fn bubblewrap_refused(&self) -> Option<Refused> {
        if self.bubblewrap.is_some() { None } else { bubblewrap::refused() }
    }

    /// A program is where builds look for it.
    pub fn has_tool(&self, name: &str) -> bool {
        which::which_in(name, Some(tools::PATH), "/").is_ok()
    }

    /// Names of this machine's own declared packages.
    pub fn own<'a>(&self, declared: &'a definition::Packages) -> &'a [String] {
        self.family.map_or(&[], |family| family.names(declared))
    }

    /// Hosts of the package mirrors that this machine's package manager reads, or why it cannot be used.
    pub fn mirrors(&self, cancel: &Cancel) -> Result<Vec<String>> {
        install::mirrors(self.family, &self.remembered, cancel)
    }

    /// Packages that are part of every build and of no definition. On an unknown distribution nobody knows of packages.
    fn usual(&self) -> &'static [&'static str] {
        if self.family.is_some() { base::compiler_packages(self.family) } else { &[] }
    }
}

/// The error where these packages are not here.
pub fn lacking(packages: &[String]) -> Error {
    Error::machine(format!("missing build dependencies: {}", packages.join(" ")))
}
