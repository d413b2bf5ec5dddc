//! The build directory that an overridden component keeps, so that a change of a line costs what `make` takes for it: what was put
//! there, whether a build may go on from it, and the files that are brought up to date.
//!
//! Invariant: a build goes on only where the one before came to its end by itself since the machine was started, and where nothing
//! differs but the text of files that compilers read and make tracks. Anything else, also a file that a step changed, starts from
//! empty.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::action::Inputs;
use crate::atomic;
use crate::digest::Digest;
use crate::error::{Context, Result};
use crate::store::{Found, Placement, Store, place};
use crate::tree::{Node, Rooted, Tree};

/// Raised when a directory that an older xtask kept may not be gone on from.
const VERSION: u32 = 1;

/// What a compiler reads and a makefile tracks. A change of anything else may be one of what configure or make itself reads.
const CODE: [&str; 13] = ["S", "c", "cc", "cpp", "cxx", "h", "hh", "hpp", "hxx", "l", "rs", "s", "y"];

/// What stands in a directory that a build may go on from.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Record {
    version: u32,
    /// After a crash of the machine nobody knows what reached the disk.
    boot: String,
    /// The action without the files of its source: recipe, tools, packages, patches, outputs of needs.
    base: Digest,
    /// The source.
    src: Digest,
    /// When the last step ended, in nanoseconds since 1970: whatever changes now must look younger.
    ended_ns: u64,
    /// Times of files that were brought up to date; all others have that of the commit.
    times: BTreeMap<String, u64>,
}

/// The build directory of one component, and how the next build begins there.
#[derive(Debug)]
pub struct Kept {
    dir: PathBuf,
    base: Digest,
    /// Times that files got, and that they have unless a step touched them.
    times: BTreeMap<String, u64>,
    /// Where it goes on. It starts from empty where there is nothing.
    changes: Option<Changes>,
}

/// Files whose text changed since the last build there.
#[derive(Debug)]
struct Changes {
    files: Tree,
    ended_ns: u64,
}

/// Why a build cannot go on from what is there.
type Reason = String;

fn record_file(dir: &Path) -> PathBuf {
    dir.join("kept.json")
}

/// A directory that a build may go on from stands there.
pub fn is_kept(dir: &Path) -> bool {
    record_file(dir).is_file()
}

impl Kept {
    /// Looks at `dir`, where a build of these inputs is to run. The reason is one that a user is told: nothing is said of a
    /// directory where nothing was kept.
    pub fn look(dir: PathBuf, inputs: &Inputs, epoch: u64, store: &Store) -> Result<(Self, Option<Reason>)> {
        let base = Inputs { src: Tree::default().into(), ..inputs.clone() }.action()?.digest;
        let record = atomic::read(&record_file(&dir))?;
        let mut kept = Kept { dir, base, times: BTreeMap::new(), changes: None };
        let Some(record) = record else { return Ok((kept, None)) };
        let record = serde_json::from_slice::<Record>(&record).ok();
        let Some(record) = record.filter(|record| record.version == VERSION && record.boot == boot()) else {
            return Ok((kept, Some("the machine was started anew since, or another xtask built there".to_owned())));
        };
        Ok(match kept.changes(&record, inputs, epoch, store)? {
            Ok(files) => {
                kept.changes = Some(Changes { files, ended_ns: record.ended_ns });
                kept.times = record.times;
                (kept, None)
            }
            Err(reason) => (kept, Some(reason)),
        })
    }

    /// The build goes on where the last one ended.
    pub fn goes_on(&self) -> bool {
        self.changes.is_some()
    }

    fn changes(
        &self,
        record: &Record,
        inputs: &Inputs,
        epoch: u64,
        store: &Store,
    ) -> Result<std::result::Result<Tree, Reason>> {
        let again = |why: String| Ok(Err(why));
        if record.base != self.base {
            return again("its recipe, a tool, a package or the output of a need changed".to_owned());
        }
        let Found::Here(before) = store.tree(record.src)? else {
            return again("the store has lost what it was built from".to_owned());
        };
        let now: &Tree = &inputs.src;
        if let Some(path) = now.0.keys().find(|path| !before.0.contains_key(*path)) {
            return again(format!("`{path}` is new"));
        }
        let mut files = Tree::default();
        for (path, old) in &before.0 {
            match (old, now.0.get(path)) {
                (_, None) => return again(format!("`{path}` is gone")),
                (old, Some(new)) if old == new => {}
                (Node::File { digest, mode: was }, Some(new @ Node::File { mode, .. })) if was == mode => {
                    if !is_code(path) {
                        return again(format!("`{path}` changed, which is no code"));
                    }
                    let placed_ns = record.times.get(path).copied().unwrap_or(epoch * 1_000_000_000);
                    if !is_as_placed(&self.dir.join("src").join(path), placed_ns, digest.size) {
                        return again(format!("`{path}` changed, and so does a step change it"));
                    }
                    files.0.insert(path.clone(), new.clone());
                }
                (_, Some(_)) => return again(format!("`{path}` is of another kind or mode")),
            }
        }
        Ok(Ok(files))
    }

    /// Brings the changed files up to date. Each gets its own time where make sees by it that it changed; an older one, as a file
    /// that was moved there has, gets the first moment after the last build.
    pub fn bring(&mut self, source: &Path, epoch: u64) -> Result<()> {
        let Some(changes) = &self.changes else { return Ok(()) };
        let src = self.dir.join("src");
        for path in changes.files.0.keys() {
            let old = src.join(path);
            fs::remove_file(&old).context(|| format!("cannot replace `{}`", old.display()))?;
        }
        place(&changes.files, Placement::Directory(source), &src, epoch)?;
        let first_ns = changes.ended_ns + 1_000_000;
        for path in changes.files.0.keys() {
            let (from, to) = (source.join(path), src.join(path));
            let own_ns = mtime_ns(&from).context(|| format!("cannot look at `{}`", from.display()))?;
            let time_ns = own_ns.min(now_ns()).max(first_ns);
            let time = UNIX_EPOCH + Duration::from_nanos(time_ns);
            let file = File::open(&to).and_then(|file| file.set_modified(time));
            file.context(|| format!("cannot set the time of `{}`", to.display()))?;
            self.times.insert(path.clone(), time_ns);
        }
        Ok(())
    }

    /// The steps came to their end: the next build may go on here.
    pub fn ended(self, src: &Rooted, store: &Store) -> Result<()> {
        let record = Record {
            version: VERSION,
            boot: boot(),
            base: self.base,
            src: store.put_tree(src)?,
            ended_ns: now_ns(),
            times: self.times,
        };
        let bytes = serde_json::to_vec(&record).context(|| "cannot write down what is kept".to_owned())?;
        atomic::write(&record_file(&self.dir), &bytes)
    }
}

/// Nobody may go on from there any more.
pub fn forget(dir: &Path) -> Result<()> {
    let file = record_file(dir);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).context(|| format!("cannot remove `{}`", file.display()))
        }
        _ => Ok(()),
    }
}

fn is_code(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').is_some_and(|(stem, extension)| !stem.is_empty() && CODE.contains(&extension))
}

fn is_as_placed(file: &Path, time_ns: u64, size: u64) -> bool {
    let is_file = fs::symlink_metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.size() == size);
    is_file && mtime_ns(file).is_ok_and(|found| found == time_ns)
}

fn mtime_ns(file: &Path) -> io::Result<u64> {
    Ok(since_1970_ns(fs::symlink_metadata(file)?.modified()?))
}

fn now_ns() -> u64 {
    since_1970_ns(SystemTime::now())
}

fn since_1970_ns(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Which start of the machine this is.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_from_what_decides_how_it_is_built() {
        for code in ["a.c", "x/y.h", "x.y/z.S"] {
            assert!(is_code(code), "{code}");
        }
        for other in ["configure.ac", "Makefile", "x.c/Makefile", "Makefile.in", "a.mk", "gen.py", "configure", "x/.c"]
        {
            assert!(!is_code(other), "{other}");
        }
    }
}
