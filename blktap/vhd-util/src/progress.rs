//! How far long work is, for people: a bar on standard error where that is a terminal, nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar, gone again when the work is done.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Of so many bytes.
    pub(crate) fn of_bytes(what: &'static str, total: u64) -> Self {
        let style = "{msg} [{bar:30}] {percent}% {bytes} of {total_bytes} {bytes_per_sec} {eta} left";
        let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        Progress(ProgressBar::new(total).with_message(what).with_style(style))
    }

    /// So many are done, of so many.
    pub(crate) fn set_of(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.set(done);
    }

    /// So many are done.
    pub(crate) fn set(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
