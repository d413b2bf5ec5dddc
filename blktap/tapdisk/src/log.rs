//! Where messages go: a file of its own for each daemon, which is opened anew when somebody rotated it; standard error for
//! those in the foreground.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// Where C's log is.
const DEFAULT_DIRECTORY: &str = "/var/log/blktap";
/// Names another directory: for tests, and for users who are not root.
const VARIABLE: &str = "BLKTAP_LOG_DIR";

/// A log file that can be opened anew.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl Log {
    /// The log of this process; messages go there from now on.
    pub(crate) fn start() -> io::Result<Self> {
        let directory = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
        let directory = directory.map_or_else(|| PathBuf::from(DEFAULT_DIRECTORY), PathBuf::from);
        fs::create_dir_all(&directory)?;
        let path = directory.join(format!("tapdisk.{}.log", crate::pid()));
        let log = Log { file: Arc::new(Mutex::new(open(&path)?)), path };
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_target(false).with_writer(log.clone());
        drop(tracing::subscriber::set_global_default(subscriber.finish()));
        Ok(log)
    }

    /// Goes on in a new file, where the old one was moved away.
    pub(crate) fn reopen(&self) {
        match open(&self.path) {
            Ok(file) => *self.file() = file,
            Err(error) => tracing::warn!("cannot open `{}` again: {error}", self.path.display()),
        }
    }

    fn file(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Messages of a program in the foreground.
pub(crate) fn to_standard_error() {
    let subscriber = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false);
    drop(tracing::subscriber::set_global_default(subscriber.with_writer(io::stderr).finish()));
}

/// One message at a time.
#[derive(Debug)]
pub(crate) struct Line<'a>(MutexGuard<'a, File>);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self.file())
    }
}
