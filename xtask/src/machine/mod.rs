//! What the tool knows of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::definition::Packages;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::plan::Platform;
use crate::process::Cancel;

/// The machine.
#[derive(Debug)]
pub struct Machine {
    platform: Platform,
    bubblewrap: Option<PathBuf>,
}
pub fn need(_p: &Path, _b: u64, _w: &str) -> Result<()> { Ok(()) }
impl Machine {
    pub fn of(_layout: &Layout, no_sandbox: bool) -> Result<Self> {
        Ok(Machine { platform: Platform { arch: "x86_64".into(), distro: vec!["debian".into()] }, bubblewrap: if no_sandbox { None } else { crate::sandbox::bubblewrap() } })
    }
    pub fn platform(&self) -> Platform { self.platform.clone() }
    pub fn arch(&self) -> &str { &self.platform.arch }
    pub fn cores(&self) -> usize { std::thread::available_parallelism().map_or(1, |n| n.get()) }
    pub fn bubblewrap(&self) -> Option<PathBuf> { self.bubblewrap.clone() }
    pub fn rust_toolchain(&self) -> Result<PathBuf> { Err(Error::machine("no rust yet")) }
    pub fn tools(&self, names: &[&str], _rust: bool) -> Result<BTreeMap<String, String>> { Ok(names.iter().map(|n| (n.to_string(), String::new())).collect()) }
    pub fn packages(&self, _p: &Packages) -> Result<BTreeMap<String, String>> { Ok(BTreeMap::new()) }
    pub fn missing_packages<'a>(&self, _p: impl Iterator<Item = &'a Packages>, _no_sandbox: bool) -> Result<Vec<String>> { Ok(vec![]) }
    pub fn install_command(&self, _m: &[String]) -> String { String::new() }
    pub fn install(&self, _m: &[String], _c: &Cancel, _say: &dyn Fn(&str)) -> Result<()> { Ok(()) }
}
