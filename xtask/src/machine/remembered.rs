//! Answers about the machine that hold as long as certain files stay as they are, kept between runs. Losing them costs
//! time, never correctness.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};

/// What a file was when it was asked about. A package manager and an editor replace a file, so one of these always
/// changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp(Option<[i64; 6]>);

impl Stamp {
    /// Follows links. A file that is not there has a stamp too.
    pub(super) fn of(path: &Path) -> Self {
        Stamp(fs::metadata(path).ok().map(|file| {
            let number = |number: u64| i64::from_ne_bytes(number.to_ne_bytes());
            [number(file.ino()), number(file.size()), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()]
        }))
    }
}

/// Stamps of everything an answer was made from.
pub(super) type Stamps = BTreeMap<PathBuf, Stamp>;

/// Stamps of these paths.
pub(super) fn stamps<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Stamps {
    paths.into_iter().map(|path| (path.as_ref().to_path_buf(), Stamp::of(path.as_ref()))).collect()
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answer {
    stamps: Stamps,
    value: serde_json::Value,
}

/// The answers in one file, by question.
#[derive(Debug)]
pub(super) struct Remembered {
    file: PathBuf,
    answers: Mutex<BTreeMap<String, Answer>>,
}

impl Remembered {
    /// Nothing is remembered if the file is absent or damaged.
    pub(super) fn open(file: PathBuf) -> Self {
        let answers = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Remembered { file, answers: Mutex::new(answers) }
    }

    /// The remembered answer, if everything it was made from is as it was.
    pub(super) fn recall<T: DeserializeOwned>(&self, question: &str) -> Option<T> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.get(question)?;
        let holds = answer.stamps.iter().all(|(path, stamp)| Stamp::of(path) == *stamp);
        holds.then(|| T::deserialize(&answer.value).ok()).flatten()
    }

    /// Remembers an answer made from files that had these stamps before they were read.
    pub(super) fn keep(&self, question: &str, stamps: Stamps, value: &impl Serialize) -> Result<()> {
        let keeping = || format!("cannot remember what is known of the machine in `{}`", self.file.display());
        let value = serde_json::to_value(value).context(keeping)?;
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(question.to_owned(), Answer { stamps, value });
        let bytes = serde_json::to_vec(&*answers).context(keeping)?;
        // Whoever may only look, or has no space left, asks again the next time.
        crate::atomic::write(&self.file, &bytes).unwrap_or_default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_until_a_file_changes_appears_or_goes() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other, state) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("state/machine.json"));
        fs::write(&file, "1").unwrap();
        let ask = || Remembered::open(state.clone()).recall::<String>("q");
        let keep = || Remembered::open(state.clone()).keep("q", stamps([&file, &other]), &"answer").unwrap();
        assert_eq!(ask(), None);
        keep();
        assert_eq!(ask().as_deref(), Some("answer"));
        fs::write(&other, "").unwrap();
        assert_eq!(ask(), None, "a file appeared");
        keep();
        fs::write(dir.path().join("new"), "2").unwrap();
        fs::rename(dir.path().join("new"), &file).unwrap();
        assert_eq!(ask(), None, "a file of the same size took its place");
        keep();
        assert!(ask().is_some());
        fs::remove_file(&file).unwrap();
        assert_eq!(ask(), None, "a file went");
        fs::write(&state, "{ damaged").unwrap();
        assert_eq!(ask(), None);
    }
}
