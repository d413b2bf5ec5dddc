//! `diff`: what lies between two locks.

use std::path::{Path, PathBuf};

use git2::Repository;

use super::Session;
use super::moves::{Origins, moves};
use crate::definition::{Definitions, Lock, Name};
use crate::error::{Context, Error, Result};
use crate::run::{Mode, Report};

/// Show which sources came, went and moved between two locks, with the commits of each move
///
///     cargo xtask diff HEAD              this manifest's lock, since the last commit
///     cargo xtask diff v1.0 v1.1         between two revisions of this repository
///     cargo xtask diff debian-12 mine    two manifests, as they are locked now
///     cargo xtask diff main:manifests/xen-4.20.lock old.lock --json
///
/// A lock is a file, a manifest's name, `REV:FILE`, or a revision alone for the lock of this manifest in it.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The old lock
    lock_a: String,
    /// The new lock [default: the manifest's, as it is]
    lock_b: Option<String>,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let report = Report::new(if session.json { Mode::Json } else { Mode::Auto }, None);
    let say = |line: &str| report.note(line);
    let old = Side::read(session, &args.lock_a)?;
    let new = match &args.lock_b {
        Some(lock) => Side::read(session, lock)?,
        None => Side::read(session, &session.lock_file().to_string_lossy())?,
    };
    // A source that one of them has no more is still known to the other.
    let mut origins = Origins::new();
    for side in [&old, &new] {
        match Definitions::load(&session.layout, &side.manifest) {
            Ok(definitions) => origins.extend(definitions.manifest.sources),
            Err(_) => say(&format!(
                "no commits are shown of what only `{0}` has: there is no good manifests/{0}.toml",
                side.manifest
            )),
        }
    }
    let moves = moves(&session.fetching(false, &say), &origins, &old.lock, &new.lock)?;
    if session.json {
        return super::print_json(&serde_json::json!({ "from": old.name, "to": new.name, "moves": moves }));
    }
    if moves.is_empty() {
        println!("no source differs between {} and {}", old.name, new.name);
    }
    moves.iter().for_each(|moved| println!("{}", moved.text()));
    Ok(())
}

/// One of the two.
struct Side {
    name: String,
    manifest: Name,
    lock: Lock,
}

impl Side {
    fn read(session: &Session, name: &str) -> Result<Self> {
        let cannot = || format!("cannot read lock `{name}`");
        let of_this = format!("manifests/{}.lock", session.manifest);
        let of_manifest = session.layout.root.join("manifests").join(format!("{name}.lock"));
        let file = [PathBuf::from(name), of_manifest].into_iter().find(|path| path.is_file());
        let (path, text) = if let Some(path) = file {
            (path.display().to_string(), std::fs::read_to_string(&path).context(cannot)?)
        } else {
            let (revision, path) = name.split_once(':').unwrap_or((name, &of_this));
            let text = committed(&session.layout.root, revision, path).map_err(|why| {
                Error::input(cannot())
                    .because(why)
                    .help("a lock is a file, a manifest, REV:manifests/NAME.lock, or a revision of this repository")
            })?;
            (path.to_owned(), text)
        };
        let lock: Lock = toml::from_str(&text).map_err(|error| Error::input(cannot()).because(error))?;
        let stem = Path::new(&path).file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        Ok(Side { name: name.to_owned(), manifest: stem.unwrap_or_else(|| session.manifest.clone()), lock })
    }
}

/// A file as it was in a revision of the repository around `root`; its path is seen from there, or from the repository's top.
fn committed(root: &Path, revision: &str, path: &str) -> Result<String, String> {
    let no_repository = |error: git2::Error| format!("it is no file, and here is no repository: {}", error.message());
    let repository = Repository::discover(root).map_err(no_repository)?;
    let found = repository.revparse_single(revision);
    let found = found.map_err(|error| format!("it is no file, and no revision `{revision}`: {}", error.message()))?;
    let tree = found.peel_to_tree().map_err(|_| format!("`{revision}` is no commit"))?;
    let top = repository.workdir().and_then(|top| top.canonicalize().ok()).unwrap_or_default();
    let below = root.canonicalize().ok().and_then(|root| root.strip_prefix(top).map(Path::to_path_buf).ok());
    let entry = tree.get_path(&below.unwrap_or_default().join(path)).or_else(|_| tree.get_path(Path::new(path)));
    let object = entry.and_then(|entry| entry.to_object(&repository));
    let blob = object.ok().and_then(|object| object.into_blob().ok());
    let blob = blob.ok_or_else(|| format!("revision `{revision}` has no file `{path}`"))?;
    String::from_utf8(blob.content().to_vec()).map_err(|error| error.to_string())
}
