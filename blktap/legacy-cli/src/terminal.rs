//! What goes to standard output and standard error. Standard output holds only the bytes that scripts parse, as raw
//! bytes because paths need not be UTF-8; everything for people goes to standard error.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::report;

/// What is held before it is printed, where a command may print more than memory holds.
const STREAM_BYTES: usize = 1 << 18;

/// Output as it collects, printed at the end or where a command says so.
#[derive(Debug, Default)]
pub struct Terminal {
    out: Vec<u8>,
    err: Vec<u8>,
    /// Whether a command printed its usage.
    has_usage: bool,
    /// Why standard output takes no more.
    failed: Option<io::Error>,
}

impl Terminal {
    /// Adds text to standard output.
    pub fn print(&mut self, text: impl fmt::Display) {
        self.out.extend(text.to_string().bytes());
    }

    /// Adds raw bytes to standard output.
    pub fn print_bytes(&mut self, bytes: &[u8]) {
        self.out.extend(bytes);
    }

    /// Adds a path, byte for byte, to standard output.
    pub fn print_path(&mut self, path: &Path) {
        self.out.extend(path.as_os_str().as_bytes());
    }

    /// Adds a line to standard error.
    pub fn say(&mut self, text: impl fmt::Display) {
        self.err.extend(format!("{text}\n").bytes());
    }

    /// Adds a line of raw bytes, with a path in it, to standard error.
    pub fn say_bytes(&mut self, parts: &[&[u8]]) {
        self.err.extend(parts.concat());
        self.err.push(b'\n');
    }

    /// Tells people what failed and why: `error: what: why: …`.
    pub fn explain(&mut self, error: &dyn Error) {
        self.say(format_args!("error: {}", in_words(error)));
    }

    /// Tells people what to do about it.
    pub fn help(&mut self, text: impl fmt::Display) {
        self.say(format_args!("help: {text}"));
    }

    /// Adds a command's usage to standard output.
    pub fn print_usage(&mut self, usage: &str) {
        self.print(usage);
        self.has_usage = true;
    }

    /// Whether a command printed its usage: a program then tells where there is more.
    pub fn has_usage(&self) -> bool {
        self.has_usage
    }

    /// Prints what has collected for standard output: for results larger than memory, and for progress. Whether more is
    /// worth the work.
    pub fn flush(&mut self) -> bool {
        if self.failed.is_none() {
            self.failed = write(&mut io::stdout().lock(), &self.out).err();
        }
        self.out.clear();
        self.failed.is_none()
    }

    /// Prints what has collected for both outputs once it is much. Whether more is worth the work.
    pub fn stream(&mut self) -> bool {
        if self.out.len() + self.err.len() < STREAM_BYTES {
            return self.failed.is_none();
        }
        drop(write(&mut io::stderr().lock(), &std::mem::take(&mut self.err)));
        self.flush()
    }

    /// Prints everything. The exit status is `errno`, or that of the output when it cannot be written.
    pub fn finish(mut self, errno: i32) -> i32 {
        self.flush();
        if let Some(error) = &self.failed {
            self.err.extend(format!("error: cannot write to standard output: {error}\n").bytes());
        }
        // Where standard error is closed there is nobody left to tell.
        drop(write(&mut io::stderr().lock(), &self.err));
        match self.failed {
            Some(error) if errno == 0 => error.raw_os_error().unwrap_or(report::EIO),
            _ => errno,
        }
    }
}

/// An error and its causes: `what: why: …`.
pub fn in_words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}

fn write(stream: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}
