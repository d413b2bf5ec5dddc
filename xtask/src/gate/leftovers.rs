//! What a job leaves that would disturb others, and what a gate leaves that was killed: processes in sessions of their own, locks of
//! git's. Whoever comes here has the state of the gate alone.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Context, Result};
use crate::process::kill_leftovers;

/// Names the directory of all logs to each job; all that a job starts has it too.
pub(super) const MARK: &str = "GATE_LOGS";

/// Ends what jobs of a gate that was killed left running.
pub(super) fn end_processes(logs: &Path) {
    kill_leftovers(MARK, &logs.display().to_string());
}

/// Removes git's locks in a bare repository: nobody else works in it, and the git that made them is dead.
pub(super) fn remove_locks(repository: &Path) -> Result<()> {
    let cannot = || format!("cannot look for locks of a git that was killed in `{}`", repository.display());
    let mut open = vec![repository.to_path_buf()];
    while let Some(dir) = open.pop() {
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.context(cannot)?,
        };
        for entry in entries {
            let entry = entry.context(cannot)?;
            let (path, name) = (entry.path(), entry.file_name());
            // Objects have no locks, and there are many.
            let is_objects = name.len() == 2 && dir.ends_with("objects");
            if entry.file_type().context(cannot)?.is_dir() {
                open.extend((!is_objects).then_some(path));
            } else if path.extension().is_some_and(|end| end == "lock") {
                fs::remove_file(&path).context(cannot)?;
            }
        }
    }
    Ok(())
}
