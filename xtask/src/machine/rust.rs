//! The Rust toolchain behind `rustc`, which is usually rustup's proxy: where it stands and what it is. rustc itself is
//! asked once, and again only when something changed that rustup goes by.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::remembered::{Remembered, stamps};
use super::tools::file_hash;
use crate::error::{Context, Error, Result};
use crate::process::{Cancel, Program};

/// A Rust toolchain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toolchain {
    /// It holds `bin/cargo` and `bin/rustc`.
    pub sysroot: PathBuf,
    /// `rustc` and `cargo`: SHA-256 of the programs, and the name of the compiler proper, which holds a hash of it. No
    /// path: the same toolchain in another home is the same.
    pub fingerprint: BTreeMap<String, String>,
}

/// The toolchain that is used in `dir`.
pub(super) fn toolchain(dir: &Path, remembered: &Remembered) -> Result<Toolchain> {
    let proxy = which::which("rustc").map_err(|_| {
        Error::machine("there is no Rust toolchain on this machine: `rustc` is not in PATH").help("cargo xtask doctor")
    })?;
    let chosen = std::env::var("RUSTUP_TOOLCHAIN").unwrap_or_default();
    let question = format!("rust toolchain of {} for `{chosen}` in {}", proxy.display(), dir.display());
    if let Some(known) = remembered.recall(&question) {
        return Ok(known);
    }
    let mut made_from = vec![proxy.clone()];
    made_from.extend(rustup_home().map(|home| home.join("settings.toml")));
    for above in dir.ancestors() {
        made_from.extend([above.join("rust-toolchain"), above.join("rust-toolchain.toml")]);
    }
    let mut made_from = stamps(made_from);

    let asking = || format!("cannot ask `{}` for its sysroot", proxy.display());
    let program = Program::new([proxy.as_os_str(), "--print".as_ref(), "sysroot".as_ref()]);
    // A toolchain that is chosen but not there is the user's to install.
    let printed = program.dir(dir).env("RUSTUP_AUTO_INSTALL", "0").run(&Cancel::default())?.success(asking)?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&printed).trim());
    let (rustc, cargo) = (sysroot.join("bin/rustc"), sysroot.join("bin/cargo"));
    made_from.extend(stamps([rustc.clone(), cargo.clone(), sysroot.join("lib")]));
    if !cargo.is_file() {
        return Err(Error::machine(format!("the Rust toolchain in `{}` has no cargo", sysroot.display())));
    }
    let compiler = compiler_proper(&sysroot)?;
    let fingerprint = BTreeMap::from([
        ("rustc".to_owned(), format!("{} {compiler}", file_hash(&rustc, remembered)?)),
        ("cargo".to_owned(), file_hash(&cargo, remembered)?.to_string()),
    ]);
    let toolchain = Toolchain { sysroot, fingerprint };
    remembered.keep(&question, made_from, &toolchain)?;
    Ok(toolchain)
}

/// The name of the library that the compiler is; `rustc` only starts it.
fn compiler_proper(sysroot: &Path) -> Result<String> {
    let reading = || format!("cannot list `{}`", sysroot.join("lib").display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(sysroot.join("lib")).context(reading)? {
        let name = entry.context(reading)?.file_name().to_string_lossy().into_owned();
        if name.starts_with("librustc_driver") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.join(" "))
}

fn rustup_home() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    set("RUSTUP_HOME").or_else(|| Some(set("HOME")?.join(".rustup")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_toolchain_of_this_machine_is_found_and_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let remembered = Remembered::open(dir.path().join("state.json"));
        let found = toolchain(dir.path(), &remembered).unwrap();
        assert!(found.sysroot.join("bin/rustc").is_file());
        assert!(found.fingerprint["rustc"].contains("librustc_driver"), "{found:?}");
        assert!(!format!("{:?}", found.fingerprint).contains(&*found.sysroot.to_string_lossy()));
        // Asking again starts no process: it would fail where rustup cannot read its settings.
        assert_eq!(toolchain(dir.path(), &Remembered::open(dir.path().join("state.json"))).unwrap(), found);
    }
}
