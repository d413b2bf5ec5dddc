//! The crates of a cargo workspace, vendored into the archive, so that one cargo line builds it without a registry. Crates that no
//! target of ours uses (half of the bytes are for Windows) are there in name only, since cargo wants to know every one of the lock: a
//! manifest and an empty library.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::contents::{Contents, Owner, below};
use super::unpacked::VENDOR;
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::process::{Cancel, Program};
use crate::stat_index::{Modes, read_tree};
use crate::tree::Node;

/// What the archive is for.
const TARGETS: [&str; 4] = [
    "x86_64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-gnu",
    "riscv64gc-unknown-linux-gnu",
];
const CHECKSUM: &str = ".cargo-checksum.json";

/// Adds the crates of the workspace in `dir`, which `cargo vendor` put into `vendored`, below `at`, and tells cargo that they are there.
pub(super) fn add(dir: &Path, vendored: &Path, at: &str, contents: &mut Contents, cancel: &Cancel) -> Result<()> {
    let used = used(dir, vendored, cancel)?;
    let cannot = || format!("cannot read the crates in `{}`", vendored.display());
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(vendored).context(cannot)? {
        names.push(entry.context(cannot)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    for name in &names {
        cancel.check()?;
        let target = below(at, &format!("{VENDOR}/{name}"));
        if used.contains(name) {
            let crate_dir = vendored.join(name);
            let mut tree = read_tree(&crate_dir, Modes::Source)?;
            tree.0.retain(|_, node| !matches!(node, Node::Directory { .. }));
            contents.add_tree(&target, &tree, &crate_dir, &Owner::Crates)?;
        } else {
            add_name_only(&vendored.join(name), &target, contents)?;
        }
    }
    let config = format!(
        "# Crates come from `{VENDOR}/` beside this directory, and from nowhere else.\n\
         [source.crates-io]\nreplace-with = \"vendored\"\n\n[source.vendored]\ndirectory = \"{VENDOR}\"\n\n[net]\noffline = true\n"
    );
    let path = below(at, ".cargo/config.toml");
    let own = fs::read_to_string(dir.join(".cargo/config.toml")).unwrap_or_default();
    if contents.members.get(&path).is_some_and(|member| member.owner == Owner::Ours) {
        contents.members.remove(&path);
    }
    let text = if own.is_empty() { config } else { format!("{own}\n{config}") };
    contents.add_bytes(&path, text.as_bytes(), Owner::Crates)
}

/// Directories of crates that some target of ours is built from, tests included.
fn used(dir: &Path, vendored: &Path, cancel: &Cancel) -> Result<BTreeSet<String>> {
    let cannot = || format!("cannot tell which crates `{}` is built from", dir.display());
    let source = format!("source.vendored.directory={:?}", vendored.display().to_string());
    let mut used = BTreeSet::new();
    for target in TARGETS {
        let argv = [
            "cargo",
            "metadata",
            "--format-version=1",
            "--locked",
            "--offline",
            "--config",
            "source.crates-io.replace-with=\"vendored\"",
            "--config",
            &source,
            "--filter-platform",
            target,
        ];
        let text = Program::new(argv).dir(dir).run(cancel)?.success(cannot)?;
        let metadata = cargo_metadata::MetadataCommand::parse(String::from_utf8_lossy(&text).trim()).context(cannot)?;
        let nodes: BTreeSet<_> = metadata.resolve.iter().flat_map(|it| &it.nodes).map(|node| &node.id).collect();
        for package in metadata.packages.iter().filter(|package| nodes.contains(&package.id)) {
            if package.source.is_some() {
                used.insert(format!("{}-{}", package.name, package.version));
            }
        }
    }
    Ok(used)
}

/// A crate of which cargo only ever reads the manifest.
fn add_name_only(from: &Path, at: &str, contents: &mut Contents) -> Result<()> {
    let read = |name: &str| {
        let file = from.join(name);
        fs::read(&file).context(|| format!("cannot read `{}`", file.display()))
    };
    let (manifest, checksum) = (read("Cargo.toml")?, read(CHECKSUM)?);
    let damaged =
        |why: &str| Error::machine(format!("`{}` is no vendored crate", from.display())).because(why.to_owned());
    let checksum: Value = serde_json::from_slice(&checksum).map_err(|error| damaged(&error.to_string()))?;
    let package = checksum.get("package").ok_or_else(|| damaged("its checksums name no package"))?;
    let table: toml::Table =
        toml::from_str(&String::from_utf8_lossy(&manifest)).map_err(|error| damaged(&error.to_string()))?;
    let library = table.get("lib").and_then(|lib| lib.get("path")).and_then(toml::Value::as_str);
    let library = library.unwrap_or("src/lib.rs");
    let hash = |bytes: &[u8]| Digest::of(bytes).hash.to_string();
    let files = json!({ "Cargo.toml": hash(&manifest), library: hash(b"") });
    let checksum = json!({ "files": files, "package": package }).to_string();
    contents.add_bytes(&format!("{at}/Cargo.toml"), &manifest, Owner::Crates)?;
    contents.add_bytes(&format!("{at}/{library}"), b"", Owner::Crates)?;
    contents.add_bytes(&format!("{at}/{CHECKSUM}"), checksum.as_bytes(), Owner::Crates)
}
