//! Everything that happened, in one SQLite file. Each change is one transaction, so that a kill leaves the state before or after
//! it. Knows no policy: `flow/` decides, this remembers.
//!
//! `flights.rs`: flights, jobs, steps. `bisections.rs`: hunts for culprits. `pushes.rs`: what is to be pushed, recorded before it is. `orders.rs`: what operators said,
//! with who and why. `overview.rs`: ages and counts for those who look. `pages.rs`: what many of them look at. `export.rs`: all of it as JSON lines. `retention.rs`: what
//! may be forgotten.

mod bisections;
mod export;
mod flights;
mod orders;
mod overview;
mod pages;
mod pushes;
mod retention;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Context, Error, Result};

pub use bisections::Bisection;
pub use flights::{NewFlight, Place};
pub use orders::{Audit, Order, OrderKind};
pub use overview::{BranchStatus, StepHistory};
pub use pages::{FlightRow, JobRow};
pub use pushes::{ABANDONED, Intent, PushState};
pub use retention::Unreferenced;

/// From each form of the file to the next; `PRAGMA user_version` says how many of them it has.
const FORMS: [&str; 4] = [
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
];
/// The form that this gate knows.
const VERSION: i64 = FORMS.len() as i64;
/// How long a reader waits for a change that is being made.
const BUSY: Duration = Duration::from_secs(10);

/// The history of all gates of one state.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
    changes_left: Option<u64>,
    _alone: Option<File>,
}

impl Store {
    /// The file, made where it is missing, for this gate alone.
    pub fn open(path: &Path) -> Result<Store> {
        make_directory(path)?;
        let alone = lock(path)?;
        Ok(Store { _alone: Some(alone), ..Store::beside(path)? })
    }

    /// The file, made where it is missing, for an operator's words beside a gate that works.
    pub fn beside(path: &Path) -> Result<Store> {
        make_directory(path)?;
        let opening = || format!("cannot open the gate's state `{}`", path.display());
        let db = Connection::open(path).context(opening)?;
        // What was recorded as intended must be on disk before it is done: FULL.
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;").context(opening)?;
        Store { db, path: path.to_path_buf(), changes_left: None, _alone: None }.ready()
    }

    /// The file as it is, to read, beside a gate that works. `None` where there is none.
    pub fn look(path: &Path) -> Result<Option<Store>> {
        if !path.exists() {
            return Ok(None);
        }
        let opening = || format!("cannot open the gate's state `{}`", path.display());
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).context(opening)?;
        let store = Store { db, path: path.to_path_buf(), changes_left: None, _alone: None };
        store.db.busy_timeout(BUSY).context(opening)?;
        match store.version()? {
            VERSION => Ok(Some(store)),
            0 => Ok(None),
            other => Err(store.wrong_version(other)),
        }
    }

    /// A state that nobody keeps.
    pub fn in_memory() -> Result<Store> {
        let db = Connection::open_in_memory().context(|| "cannot make a state in memory".to_owned())?;
        db.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
            .context(|| "cannot set it up".to_owned())?;
        Store { db, path: PathBuf::from(":memory:"), changes_left: None, _alone: None }.ready()
    }

    /// For tests: the change after so many is never made, nor any later one, as if the gate had been killed before it.
    pub fn die_after(&mut self, changes: u64) {
        self.changes_left = Some(changes);
    }

    /// How many changes are left of those.
    pub fn changes_left(&self) -> Option<u64> {
        self.changes_left
    }

    /// For tests and simulations: survives a kill, not a power cut.
    pub fn do_not_sync(&self) -> Result<()> {
        self.ask("whether it syncs", |db| db.pragma_update(None, "synchronous", "OFF"))
    }

    fn ready(mut self) -> Result<Store> {
        self.db.set_prepared_statement_cache_capacity(64);
        self.db.busy_timeout(BUSY).context(|| format!("cannot set up `{}`", self.path.display()))?;
        let found = self.version()?;
        let Some(missing) = usize::try_from(found).ok().and_then(|found| FORMS.get(found..)) else {
            return Err(self.wrong_version(found));
        };
        if !missing.is_empty() {
            self.change("make the tables", |tx| {
                // Another one may have made them meanwhile.
                let found: usize = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
                let missing = FORMS.get(found..).unwrap_or_default();
                missing.iter().try_for_each(|form| tx.execute_batch(form))?;
                tx.pragma_update(None, "user_version", VERSION)
            })?;
        }
        Ok(self)
    }

    fn version(&self) -> Result<i64> {
        self.ask("its version", |db| db.pragma_query_value(None, "user_version", |row| row.get(0)))
    }

    fn wrong_version(&self, found: i64) -> Error {
        let path = self.path.display();
        let error = Error::input(format!("the gate's state `{path}` has form {found}, this gate knows {VERSION}"));
        error.help(match found < VERSION {
            true => "the next run of a gate brings it to this form: cargo xtask gate run BRANCH",
            false => {
                "use the version of Sultana that wrote it, or begin a new state: cargo xtask gate --state DIR/gate.db ..."
            }
        })
    }

    /// One transaction.
    fn change<T>(&mut self, what: &str, change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        if let Some(left) = &mut self.changes_left {
            *left = left.checked_sub(1).ok_or_else(Error::interrupted)?;
        }
        let path = &self.path;
        let done = self.db.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|tx| {
            let value = change(&tx)?;
            tx.commit()?;
            Ok(value)
        });
        if done.is_err() {
            // What a test lets die stays dead.
            self.changes_left = self.changes_left.map(|_| 0);
        }
        done.map_err(|error| told(error, format!("cannot {what} in the gate's state `{}`", path.display())))
    }

    fn ask<T>(&self, what: &str, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        ask(&self.db).map_err(|error| told(error, format!("cannot read {what} from `{}`", self.path.display())))
    }
}

/// SQLite's own words, and what helps where the disk is full.
fn told(error: rusqlite::Error, message: String) -> Error {
    let is_full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
    let error = Error::machine(message).because(error);
    if is_full { error.help_with_space() } else { error }
}

/// A text of ours that the file has and this gate does not know.
fn unknown(what: &str, text: &str) -> rusqlite::Error {
    let message = format!("`{text}` is no {what} that this gate knows");
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, message.into())
}

fn make_directory(path: &Path) -> Result<()> {
    let cannot = || format!("cannot make the directory of `{}`", path.display());
    path.parent().map_or(Ok(()), |dir| std::fs::create_dir_all(dir).context(cannot))
}

/// Two gates on one state would test and push the same things twice. Logs, mirrors and checkouts stand beside it by the numbers of
/// its flights, so the directory is locked, and is one state's for good: its lock says whose.
fn lock(path: &Path) -> Result<File> {
    let path_of_lock = path.with_file_name("gate.lock");
    let cannot = || format!("cannot lock `{}`", path_of_lock.display());
    let mut options = File::options();
    let mut file = options.create(true).truncate(false).read(true).write(true).open(&path_of_lock).context(cannot)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let message = format!("another gate works with the state `{}`", path.display());
            return Err(Error::machine(message).help("wait for its end; cargo xtask gate status shows what it does"));
        }
        Err(errno) => return Err(errno).context(cannot),
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut owner = String::new();
    file.read_to_string(&mut owner).context(cannot)?;
    if owner == name {
        return Ok(file);
    }
    let other = path.with_file_name(&owner);
    if !owner.is_empty() && other.exists() {
        let (dir, other) = (path.parent().unwrap_or(path).display(), other.display());
        return Err(Error::input(format!("`{dir}` has the logs of another state, `{other}`"))
            .help("give each state a directory of its own: cargo xtask gate --state DIR/gate.db ..."));
    }
    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(name.as_bytes())).context(cannot)?;
    Ok(file)
}
