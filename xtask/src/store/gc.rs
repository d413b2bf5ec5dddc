//! Garbage collection: results of live checkouts are roots; of the rest the longest unused goes first until the quota holds.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use prost::Message;
use serde::{Deserialize, Serialize};

use super::blobs::{Found, Store};
use crate::digest::{Digest, Hash};
use crate::error::{Context, Error, Result};
use crate::reapi;
use crate::tree::{Node, Tree};
use crate::turn::{self, Hold};

/// What a checkout needs: kept in `roots/` under a name made of its path.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Root {
    /// The checkout; a root whose checkout is gone counts no more.
    checkout: PathBuf,
    /// By manifest: digests of the actions that its lock needs.
    actions: BTreeMap<String, Vec<Digest>>,
}

/// What `gc` did or, in a dry run, would do.
#[derive(Debug, Default, Serialize)]
pub struct Collected {
    /// Bytes in the store before.
    pub before_bytes: u64,
    /// Bytes after.
    pub after_bytes: u64,
    /// Results removed.
    pub results: usize,
    /// Blobs removed.
    pub blobs: usize,
    /// Bytes that live checkouts need, which no quota takes.
    pub needed_bytes: u64,
}

fn root_file(store: &Store, checkout: &Path) -> PathBuf {
    store.root().join("roots").join(Digest::of(checkout.as_os_str().as_encoded_bytes()).hash.to_string())
}

/// Says what the current lock of `checkout` needs, for one manifest. Writes only what changed.
pub fn register_root(store: &Store, checkout: &Path, manifest: &str, actions: Vec<Digest>) -> Result<()> {
    let file = root_file(store, checkout);
    let mut root = fs::read(&file)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Root>(&bytes).ok())
        .unwrap_or(Root { checkout: checkout.to_path_buf(), actions: BTreeMap::new() });
    if root.actions.get(manifest) == Some(&actions) {
        return Ok(());
    }
    root.actions.insert(manifest.to_owned(), actions);
    let bytes = serde_json::to_vec(&root).context(|| "cannot encode the roots of this checkout".to_owned())?;
    crate::atomic::write(&file, &bytes)
}

struct Kept {
    path: PathBuf,
    used: SystemTime,
    blobs: HashSet<Hash>,
    needed: bool,
}

impl Store {
    /// Removes results that no live checkout needs, oldest first, until what stays fits into `quota_bytes`; then every blob that
    /// nothing names any more.
    pub fn collect(&self, quota_bytes: u64, dry_run: bool) -> Result<Collected> {
        let Some(_alone) = turn::try_take(&self.root().join("gc.lock"), Hold::Alone)? else {
            return Err(Error::machine("cannot collect garbage: a build or another gc uses the store"));
        };
        let needed = self.needed()?;
        let mut sizes = self.sizes()?;
        let mut done = Collected { before_bytes: sizes.values().sum(), ..Collected::default() };
        let mut results = self.results(&needed)?;
        results.sort_by_key(|result| (!result.needed, std::cmp::Reverse(result.used)));
        let mut kept: HashSet<Hash> = HashSet::new();
        let mut kept_bytes = 0;
        for result in &results {
            let new: Vec<Hash> = result.blobs.iter().filter(|hash| !kept.contains(*hash)).copied().collect();
            let new_bytes: u64 = new.iter().filter_map(|hash| sizes.get(hash)).sum();
            if result.needed || kept_bytes + new_bytes <= quota_bytes {
                kept.extend(new);
                kept_bytes += new_bytes;
                if result.needed {
                    done.needed_bytes = kept_bytes;
                }
            } else {
                done.results += 1;
                if !dry_run {
                    fs::remove_file(&result.path).context(|| format!("cannot remove `{}`", result.path.display()))?;
                }
            }
        }
        sizes.retain(|hash, size| {
            let goes = !kept.contains(hash);
            done.blobs += usize::from(goes);
            done.after_bytes += if goes { 0 } else { *size };
            goes
        });
        if !dry_run {
            for hash in sizes.keys() {
                let blob = self.blob(Digest { hash: *hash, size: 0 });
                fs::remove_file(&blob).context(|| format!("cannot remove `{}`", blob.display()))?;
            }
        }
        Ok(done)
    }

    /// Actions that live checkouts need; roots of checkouts that are gone are dropped.
    fn needed(&self) -> Result<HashSet<Hash>> {
        let dir = self.root().join("roots");
        let mut needed = HashSet::new();
        for entry in fs::read_dir(&dir).context(|| format!("cannot read `{}`", dir.display()))?.flatten() {
            let Some(root) = fs::read(entry.path()).ok().and_then(|bytes| serde_json::from_slice::<Root>(&bytes).ok())
            else {
                return Err(Error::machine(format!("cannot read the root `{}`", entry.path().display()))
                    .help("it names what a checkout needs; run `cargo xtask build` there to write it again, or remove the file"));
            };
            if root.checkout.join("manifests").is_dir() {
                needed.extend(root.actions.into_values().flatten().map(|digest| digest.hash));
            }
        }
        Ok(needed)
    }

    fn sizes(&self) -> Result<BTreeMap<Hash, u64>> {
        let mut sizes = BTreeMap::new();
        for file in files_below(&self.root().join("cas"))? {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let (Ok(hash), Ok(metadata)) = (name.parse::<Hash>(), fs::metadata(&file)) {
                sizes.insert(hash, metadata.len());
            }
        }
        Ok(sizes)
    }

    fn results(&self, needed: &HashSet<Hash>) -> Result<Vec<Kept>> {
        let mut results = Vec::new();
        for path in files_below(&self.root().join("ac"))? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let (Ok(action), Ok(metadata), Ok(bytes)) = (name.parse::<Hash>(), fs::metadata(&path), fs::read(&path))
            else {
                continue;
            };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let mut blobs = HashSet::from([action]);
            if let Ok(result) = reapi::ActionResult::decode(bytes.as_slice()) {
                for output in &result.output_directories {
                    for digest in [&output.tree_digest, &output.root_directory_digest].into_iter().flatten() {
                        blobs.extend(digest.hash.parse::<Hash>());
                    }
                    self.blobs_of_root(&output.root_directory_digest, &mut blobs)?;
                }
            }
            self.blobs_of_action(action, &mut blobs)?;
            results.push(Kept { needed: needed.contains(&action), path, used, blobs });
        }
        Ok(results)
    }

    /// The action's own messages, which `why` reads back.
    fn blobs_of_action(&self, action: Hash, into: &mut HashSet<Hash>) -> Result<()> {
        let path = self.blob(Digest { hash: action, size: 0 });
        let Ok(bytes) = fs::read(&path) else { return Ok(()) };
        let Ok(message) = reapi::Action::decode(bytes.as_slice()) else { return Ok(()) };
        into.extend(message.command_digest.and_then(|digest| digest.hash.parse::<Hash>().ok()));
        self.blobs_of_root(&message.input_root_digest, into)
    }

    fn blobs_of_root(&self, root: &Option<reapi::Digest>, into: &mut HashSet<Hash>) -> Result<()> {
        let Some(Ok(root)) = root.as_ref().map(Digest::try_from) else { return Ok(()) };
        let mut directories = Vec::new();
        let tree = Tree::decode(root, &mut |digest| {
            directories.push(digest.hash);
            Ok(match self.read(digest)? {
                Found::Here(bytes) => bytes,
                Found::Missing => Vec::new(),
            })
        })?;
        into.extend(directories);
        into.extend(tree.0.values().filter_map(|node| match node {
            Node::File { digest, .. } => Some(digest.hash),
            _ => None,
        }));
        Ok(())
    }
}

fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for fan in fs::read_dir(dir).context(|| format!("cannot read `{}`", dir.display()))?.flatten() {
        let fan = fan.path();
        files.extend(
            fs::read_dir(&fan)
                .context(|| format!("cannot read `{}`", fan.display()))?
                .flatten()
                .map(|entry| entry.path()),
        );
    }
    Ok(files)
}

/// `10G`, `500M`, `1024K` or plain bytes.
pub fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write bytes or a number with K, M, G or T, like 20G");
    let unit = match text.chars().last() {
        Some('K' | 'k') => 10,
        Some('M' | 'm') => 20,
        Some('G' | 'g') => 30,
        Some('T' | 't') => 40,
        _ => 0,
    };
    let digits = if unit == 0 { text } else { &text[..text.len() - 1] };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << unit)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stat_index::{Modes, scan};

    fn keep(store: &Store, dir: &Path, name: &str) -> Digest {
        let stage = dir.join(name);
        fs::create_dir_all(&stage).unwrap();
        fs::write(stage.join(name), name.repeat(1000)).unwrap();
        let tree = scan(&stage, &dir.join(format!("{name}.index")), Modes::Exact, &[]).unwrap().into_tree();
        let action = Digest::of(name.as_bytes());
        store.put_output(action, &stage, tree).unwrap();
        action
    }

    #[test]
    fn what_the_lock_needs_stays_whatever_the_quota() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let checkout = dir.path().join("checkout");
        fs::create_dir_all(checkout.join("manifests")).unwrap();
        let (needed, idle) = (keep(&store, dir.path(), "needed"), keep(&store, dir.path(), "idle"));
        register_root(&store, &checkout, "m", vec![needed]).unwrap();

        let planned = store.collect(0, true).unwrap();
        assert_eq!(planned.results, 1);
        assert!(matches!(store.output(idle).unwrap(), Found::Here(_)), "a dry run takes nothing");
        let done = store.collect(0, false).unwrap();
        assert!(done.after_bytes >= 6000 && done.after_bytes < done.before_bytes, "{done:?}");
        assert!(matches!(store.output(needed).unwrap(), Found::Here(_)));
        assert_eq!(store.output(idle).unwrap(), Found::Missing);

        fs::remove_dir_all(&checkout).unwrap();
        store.collect(0, false).unwrap();
        assert_eq!(store.output(needed).unwrap(), Found::Missing, "a checkout that is gone needs nothing");
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_size("20G"), Ok(20 << 30));
        assert_eq!(parse_size("7"), Ok(7));
        assert!(parse_size("G").is_err() && parse_size("-1K").is_err() && parse_size("99999999T").is_err());
    }
}
