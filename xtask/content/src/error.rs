//! The one error type of the orchestrator. Knows kinds, exit codes and how an error reads; prints nothing itself.

use std::error::Error as StdError;
use std::fmt;

/// Short for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller (a script, the gate) branches on. Each kind has its own exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A step of a recipe failed: the candidate is to blame. Exit status 1.
    Step,
    /// A definition, a lock or the command line is wrong. Exit status 2.
    Input,
    /// This machine cannot do it: a missing tool, a full disk, no network. Exit status 3.
    Machine,
    /// Nothing was tested, for a reason that is nobody's fault. Exit status 77, as test harnesses know it.
    NotRun,
    /// The user stopped it. Exit status 130, as shells report SIGINT.
    Interrupted,
}

impl Kind {
    /// The exit status of the process.
    pub fn exit_code(self) -> i32 {
        match self {
            Kind::Step => 1,
            Kind::Input => 2,
            Kind::Machine => 3,
            Kind::NotRun => 77,
            Kind::Interrupted => 130,
        }
    }
}

/// What we were doing and to what, with its cause and, where there is one, a command that helps.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    help: Vec<String>,
    details: Option<String>,
    is_said: bool,
}

impl Error {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None, help: Vec::new(), details: None, is_said: false }
    }

    /// A step failed.
    pub fn step(message: impl Into<String>) -> Self {
        Self::new(Kind::Step, message)
    }

    /// Wrong input.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    /// The machine cannot do it.
    pub fn machine(message: impl Into<String>) -> Self {
        Self::new(Kind::Machine, message)
    }

    /// It cannot be tested here.
    pub fn not_run(message: impl Into<String>) -> Self {
        Self::new(Kind::NotRun, message)
    }

    /// The user stopped it.
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "stopped; what was finished is kept, the same command goes on from there")
    }

    /// Adds the cause.
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds a `help:` line; a command in it can be pasted.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds what frees space.
    pub fn help_with_space(self) -> Self {
        self.help("cargo xtask clean   # build directories").help("cargo xtask gc      # results in the store")
    }

    /// Adds text that stands in front of the message: every single problem, with its line and caret.
    pub fn details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }

    /// The command has shown everything itself; only the exit status is left.
    pub fn said(mut self) -> Self {
        self.is_said = true;
        self
    }

    /// Nothing of it is to be printed any more.
    pub fn is_said(&self) -> bool {
        self.is_said
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The `help:` lines, for machine-readable output.
    pub fn helps(&self) -> &[String] {
        &self.help
    }

    /// The whole text as a user sees it: message, causes, help lines.
    pub fn report(&self) -> String {
        let mut text = self.details.as_ref().map_or_else(String::new, |details| format!("{}\n\n", details.trim_end()));
        text.push_str(&format!("error: {self}"));
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(&format!("\n  because: {error}"));
            cause = error.source();
        }
        for help in &self.help {
            text.push_str(&format!("\nhelp: {help}"));
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|error| error as &(dyn StdError + 'static))
    }
}

/// Adds what we were doing to an I/O failure. A full disk and a refused permission are the machine's fault, and so is the rest.
pub trait Context<T> {
    /// Wraps the error with `message()`.
    fn context(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| {
            let error = error.into();
            let kind = error.downcast_ref().map(std::io::Error::kind);
            let told = Error::machine(message()).because(error);
            if kind == Some(std::io::ErrorKind::StorageFull) { told.help_with_space() } else { told }
        })
    }
}

/// The causes of an error, one after the other, as one text.
pub fn causes(error: &dyn StdError) -> String {
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.join(": ")
}
