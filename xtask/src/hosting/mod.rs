//! What makes a machine a Xen host beside the files: services, an entry in the boot menu, a bridge. Each step says how it is taken
//! back, and what was begun stands in a record, so that it can be. Files of others are never edited: a step makes files of its own
//! or calls the program whose job it is.

mod plan;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use plan::{Wanted, plan};

use crate::error::{Context, Error, Kind, Result, causes};
use crate::placing;
use crate::process::{Cancel, Program, shell_line};

const RECORD: &str = "var/lib/sultana/configured.json";
const FORMAT: u32 = 1;

/// One change of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Step {
    /// A program, and the one that takes it back.
    Run { run: Vec<String>, undo: Vec<String> },
    /// A new file; it goes again unless somebody changed it.
    Write { path: String, text: String },
}

/// A step and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Change {
    /// In words.
    pub why: String,
    /// What is done.
    pub step: Step,
}

/// What was done to a host, or begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    format: u32,
    /// In the order in which they were done.
    pub changes: Vec<Change>,
}

impl Record {
    fn file(root: &Path) -> Result<PathBuf> {
        Ok(root.join(placing::real(root, RECORD)?))
    }

    /// What was done to the host at `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let file = Self::file(root)?;
        let reading = || format!("cannot read what was done to this host, `{}`", file.display());
        let Some(bytes) = crate::atomic::read(&file)? else {
            return Ok(Record { format: FORMAT, changes: Vec::new() });
        };
        let record: Record = serde_json::from_slice(&bytes).context(reading)?;
        if record.format != FORMAT {
            return Err(Error::input(reading())
                .because(format!("it has format {}, and this xtask knows {FORMAT}", record.format))
                .help("use the xtask that wrote it, or a newer one"));
        }
        Ok(record)
    }

    fn write(&self, root: &Path) -> Result<()> {
        let file = Self::file(root)?;
        if self.changes.is_empty() {
            return placing::remove_file(&file);
        }
        let bytes = serde_json::to_vec_pretty(self).context(|| format!("cannot write `{}`", file.display()))?;
        crate::atomic::write(&file, &bytes)
    }
}

/// Does the changes, each on record before it begins.
pub fn apply(root: &Path, changes: &[Change], cancel: &Cancel) -> Result<()> {
    let mut record = Record::read(root)?;
    for change in changes {
        cancel.check()?;
        if !record.changes.contains(change) {
            record.changes.push(change.clone());
            record.write(root)?;
        }
        change.step.apply(root, cancel).map_err(|error| error.help("cargo xtask configure-host --undo --apply"))?;
    }
    Ok(())
}

/// Takes everything back, the last first, and says what could not be: a file that was changed since is kept.
pub fn undo(root: &Path, cancel: &Cancel) -> Result<Vec<String>> {
    let mut record = Record::read(root)?;
    let mut kept = Vec::new();
    while let Some(change) = record.changes.last() {
        cancel.check()?;
        kept.extend(change.step.undo(root, cancel)?);
        record.changes.pop();
        record.write(root)?;
    }
    Ok(kept)
}

impl Step {
    fn apply(&self, root: &Path, cancel: &Cancel) -> Result<()> {
        match self {
            Step::Run { run, .. } => call(run, cancel),
            Step::Write { path, text } => {
                let file = root.join(placing::real(root, path)?);
                match fs::read(&file) {
                    Ok(there) if there == text.as_bytes() => Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        crate::atomic::write(&file, text.as_bytes())
                    }
                    _ => Err(Error::input(format!("cannot write `{}`: another file stands there", file.display()))
                        .help("look at it, then move it away")),
                }
            }
        }
    }

    /// Why it could not be, if so. A step that had failed has nothing to be taken back.
    fn undo(&self, root: &Path, cancel: &Cancel) -> Result<Option<String>> {
        match self {
            Step::Run { undo, .. } => match call(undo, cancel) {
                Err(error) if error.kind() != Kind::Interrupted => Ok(Some(format!("{error}: {}", causes(&error)))),
                done => done.map(|()| None),
            },
            Step::Write { path, text } => {
                let file = root.join(placing::real(root, path)?);
                match crate::atomic::read(&file)? {
                    Some(there) if there != text.as_bytes() => Ok(Some(format!("kept /{path}: it was changed since"))),
                    _ => placing::remove_file(&file).map(|()| None),
                }
            }
        }
    }

    /// What is done, and how it is taken back, to be read or pasted.
    pub fn lines(&self) -> (String, String) {
        match self {
            Step::Run { run, undo } => (shell_line(run), shell_line(undo)),
            Step::Write { path, text } => {
                let text = text.trim_end().replace('\n', "\n          | ");
                (format!("write /{path}\n          | {text}"), format!("rm /{path}"))
            }
        }
    }
}

fn call(argv: &[String], cancel: &Cancel) -> Result<()> {
    let what = || format!("`{}` failed", shell_line(argv));
    Program::new(argv.to_vec()).run(cancel)?.success(what).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &str) -> Change {
        Change { why: "w".into(), step: Step::Write { path: path.into(), text: "ours\n".into() } }
    }

    #[test]
    fn what_was_done_is_taken_back_and_what_was_changed_since_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (root, cancel) = (dir.path(), Cancel::default());
        let mark = root.join("mark").display().to_string();
        let run = Change {
            why: "r".into(),
            step: Step::Run { run: vec!["touch".into(), mark.clone()], undo: vec!["rm".into(), mark.clone()] },
        };
        let changes = [write("etc/a"), run, write("etc/b")];
        apply(root, &changes, &cancel).unwrap();
        apply(root, &changes, &cancel).unwrap();
        assert_eq!(Record::read(root).unwrap().changes, changes, "once each");
        fs::write(root.join("etc/a"), "mine").unwrap();
        assert_eq!(undo(root, &cancel).unwrap(), ["kept /etc/a: it was changed since"]);
        assert_eq!(fs::read_to_string(root.join("etc/a")).unwrap(), "mine");
        assert!(!root.join("etc/b").exists() && !Path::new(&mark).exists() && !root.join(RECORD).exists());
        assert!(undo(root, &cancel).unwrap().is_empty());
    }

    #[test]
    fn a_file_of_somebody_else_and_a_failure_stop_it_with_the_undo() {
        let dir = tempfile::tempdir().unwrap();
        let (root, cancel) = (dir.path(), Cancel::default());
        fs::create_dir(root.join("etc")).unwrap();
        fs::write(root.join("etc/b"), "theirs").unwrap();
        let error = apply(root, &[write("etc/a"), write("etc/b")], &cancel).unwrap_err().report();
        assert!(error.contains("another file stands there") && error.contains("--undo --apply"), "{error}");
        assert_eq!(undo(root, &cancel).unwrap(), ["kept /etc/b: it was changed since"]);
        assert_eq!(fs::read_to_string(root.join("etc/b")).unwrap(), "theirs");
        assert!(!root.join("etc/a").exists());
    }
}
