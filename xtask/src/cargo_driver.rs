//! What a cargo component needs beside its source: the crates of its Cargo.lock, vendored by `fetch` with the user's own registry
//! configuration, so that the sandbox has them at a path that is the same for everyone whatever mirror they came through.
//!
//! The crates are not part of the action: Cargo.lock, which is, names each by SHA-256 and cargo checks them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::definition::{Component, Driver};
use crate::error::{Context, Error, Result};
use crate::layout::Layout;
use crate::process::{Cancel, Program};
use crate::recipe::{Paths, Step};
use crate::tree::{Node, Tree};

/// Where the crates of a source's Cargo.lock are, or will be.
pub fn crates_dir(layout: &Layout, source: &Tree) -> Result<PathBuf> {
    match source.0.get("Cargo.lock") {
        Some(Node::File { digest, .. }) => Ok(layout.crates().join(digest.hash.to_string())),
        _ => Err(Error::input("a cargo component's source has no Cargo.lock at its top")
            .help("commit one: what is not locked cannot be built twice the same")),
    }
}

/// Brings the crates of a component, unless they are here.
pub fn vendor(
    layout: &Layout,
    component: &Component,
    source: &Path,
    tree: &Tree,
    offline: bool,
    cancel: &Cancel,
) -> Result<()> {
    if !crates_dir(layout, tree)?.is_dir() {
        check_binaries(component, source, cancel)?;
    }
    vendored(layout, source, tree, offline, cancel).map(drop)
}

/// The directory with the crates of a workspace, brought there if they are not yet. One rename at the end: what is there is whole.
pub fn vendored(layout: &Layout, source: &Path, tree: &Tree, offline: bool, cancel: &Cancel) -> Result<PathBuf> {
    let dir = crates_dir(layout, tree)?;
    if dir.is_dir() {
        return Ok(dir);
    }
    let parent = layout.crates();
    fs::create_dir_all(&parent).context(|| format!("cannot make `{}`", parent.display()))?;
    let scratch = tempfile::Builder::new().prefix(".tmp-").tempdir_in(&parent);
    let scratch = scratch.context(|| format!("cannot write in `{}`", parent.display()))?;
    let target = scratch.path().join("crates");
    let mut argv: Vec<std::ffi::OsString> = ["cargo", "vendor", "--locked", "--versioned-dirs"].map(Into::into).into();
    if offline {
        argv.push("--offline".into());
    }
    argv.push(target.clone().into());
    Program::new(argv)
        .dir(source)
        .run(cancel)?
        .success(|| format!("cannot fetch the crates of `{}`", source.display()))
        .map_err(|error| {
            error.help("cargo's own configuration says where crates come from; `cargo fetch` there shows more")
        })?;
    // A workspace without a single dependency vendors nothing.
    fs::create_dir_all(&target).context(|| format!("cannot make `{}`", target.display()))?;
    match fs::rename(&target, &dir) {
        Ok(()) => Ok(dir),
        Err(_) if dir.is_dir() => Ok(dir),
        Err(error) => Err(Error::machine(format!("cannot put crates in `{}`", dir.display())).because(error)),
    }
}

/// The binaries that the definition installs are binaries of the workspace.
fn check_binaries(component: &Component, source: &Path, cancel: &Cancel) -> Result<()> {
    let Driver::Cargo(driver) = &component.build else { return Ok(()) };
    let argv = ["cargo", "metadata", "--no-deps", "--format-version=1", "--offline"];
    let text = Program::new(argv)
        .dir(source)
        .run(cancel)?
        .success(|| format!("cannot read the workspace `{}`", source.display()))?;
    let text = String::from_utf8_lossy(&text);
    let metadata = cargo_metadata::MetadataCommand::parse(text.trim())
        .context(|| format!("cannot read the workspace `{}`", source.display()))?;
    let known: Vec<&str> = metadata
        .packages
        .iter()
        .flat_map(|package| &package.targets)
        .filter(|target| target.is_bin())
        .map(|target| target.name.as_str())
        .collect();
    match driver.bins.keys().find(|bin| !known.contains(&bin.as_str())) {
        None => Ok(()),
        Some(bin) => {
            Err(Error::input(format!("`{}` has no binary `{bin}`; it has {}", source.display(), known.join(", "))))
        }
    }
}

/// Paths are in what rustc makes. With this variable a build elsewhere has those of one in the sandbox; `elsewhere` says where `src`,
/// `build` and `crates` are there.
pub fn usual_paths(elsewhere: impl Fn(&str) -> String) -> (String, String) {
    // Of two that fit rustc takes the last.
    let map = |name: &str| format!("--remap-path-prefix={}={}", elsewhere(name), Paths::sandboxed().dir(name));
    ("RUSTFLAGS".to_owned(), ["src", "build", "crates"].map(map).join(" "))
}

/// Lets cargo find the vendored crates, by arguments: the source's own configuration stays as it is.
pub fn use_vendored_crates(steps: &mut [Step], paths: &Paths) {
    let directory = format!("source.vendored.directory=\"{}\"", paths.dir("crates"));
    for step in steps.iter_mut().filter(|step| step.argv.first().is_some_and(|program| program == "cargo")) {
        let arguments = ["--config", "source.crates-io.replace-with=\"vendored\"", "--config", &directory];
        step.argv.splice(1..1, arguments.map(str::to_owned));
    }
}
