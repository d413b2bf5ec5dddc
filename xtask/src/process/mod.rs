//! The one place that starts processes. Every program has a process group of its own, which is killed as a whole on Ctrl-C, on a
//! time-out, when the program ends, and when we die (`guard`). Knows nothing of recipes or git.
//!
//! Invariant: nothing outside of this folder calls `std::process::Command` or `duct::cmd` to run a program.

mod guard;
mod leftover;
mod word;

pub use leftover::{Children, kill_leftovers};
pub use word::{Word, shell_line};

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, set_child_subreaper};

use crate::error::{Context, Error, Result};
use guard::Guard;

/// How long a tree has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How often a waiting thread looks whether the user stopped us.
const POLL: Duration = Duration::from_millis(100);

/// Set once the user wants us to stop; shared by everything that waits.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicUsize>);

impl Cancel {
    /// Stops everything that looks at it.
    pub fn stop(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// Somebody asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }

    /// Asked twice: no grace any more.
    fn is_urgent(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 1
    }

    /// `Err` once somebody asked to stop.
    pub fn check(&self) -> Result<()> {
        if self.is_stopped() { Err(Error::interrupted()) } else { Ok(()) }
    }

    /// Makes Ctrl-C, SIGTERM and SIGHUP of this process stop it.
    pub fn on_signals(&self) -> Result<()> {
        // One handler a process: commands that run one after the other in it take turns.
        static CURRENT: Mutex<Option<Cancel>> = Mutex::new(None);
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if current.replace(self.clone()).is_some() {
            return Ok(());
        }
        let stop = || {
            if let Some(cancel) = &*CURRENT.lock().unwrap_or_else(PoisonError::into_inner) {
                cancel.stop();
            }
        };
        ctrlc::set_handler(stop).context(|| "cannot take over Ctrl-C".to_owned())
    }
}

/// Where what a process prints goes.
#[derive(Debug)]
pub enum Output {
    /// Standard output is kept in memory, standard error too.
    Capture,
    /// Both into one file, in the order they are written.
    File(File),
    /// It reads from the one pipe, or nothing, and writes to the other; standard error is kept in memory.
    Pipes(Option<PipeReader>, PipeWriter),
    /// Ours, and our standard input too.
    Ours,
    /// The same, on the terminal where we run: its keys are the program's, so it stays in our process group and is not stopped by us.
    Terminal,
}

/// A program to start.
#[derive(Debug)]
pub struct Program {
    argv: Vec<OsString>,
    dir: Option<PathBuf>,
    env: Option<BTreeMap<OsString, OsString>>,
    added_env: Vec<(OsString, OsString)>,
    timeout: Option<Duration>,
    jobserver: Option<jobserver::Client>,
    output: Output,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit status.
    pub status: ExitStatus,
    /// Captured standard output.
    pub stdout: Vec<u8>,
    /// Captured standard error.
    pub stderr: Vec<u8>,
    /// It was killed because its time was over.
    pub timed_out: bool,
}

impl Program {
    /// `argv[0]` is looked up in PATH.
    pub fn new<A: Into<OsString>>(argv: impl IntoIterator<Item = A>) -> Self {
        Program {
            argv: argv.into_iter().map(Into::into).collect(),
            dir: None,
            env: None,
            added_env: Vec::new(),
            timeout: None,
            jobserver: None,
            output: Output::Capture,
        }
    }

    /// Runs there.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Exactly this environment instead of ours.
    pub fn only_env<K: Into<OsString>, V: Into<OsString>>(mut self, env: impl IntoIterator<Item = (K, V)>) -> Self {
        self.env = Some(env.into_iter().map(|(k, v)| (k.into(), v.into())).collect());
        self
    }

    /// One more variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.added_env.push((name.into(), value.into()));
        self
    }

    /// Killed after that long.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Runs as long as it likes.
    pub fn without_timeout(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// Inherits the job budget.
    pub fn jobserver(mut self, client: jobserver::Client) -> Self {
        self.jobserver = Some(client);
        self
    }

    /// Everything it prints goes into `file`.
    pub fn log_to(mut self, file: File) -> Self {
        self.output = Output::File(file);
        self
    }

    /// Reads from `input`, or nothing, and prints into `output`; another thread has the other ends.
    pub fn piped(mut self, input: Option<PipeReader>, output: PipeWriter) -> Self {
        self.output = Output::Pipes(input, output);
        self
    }

    /// Reads and prints where we do; a person works with it when that is a terminal.
    pub fn in_front(mut self) -> Self {
        use std::io::IsTerminal;
        self.output = if std::io::stdin().is_terminal() { Output::Terminal } else { Output::Ours };
        self
    }

    /// As a person would type it.
    pub fn display(&self) -> String {
        shell_line(self.argv.iter().map(|item| item.to_string_lossy()))
    }

    /// Starts it and waits for its end, a time-out or the user.
    pub fn run(self, cancel: &Cancel) -> Result<Ended> {
        cancel.check()?;
        let shown = self.display();
        let started = Instant::now();
        let timeout = self.timeout;
        let guard = Guard::start()?;
        let is_persons = matches!(self.output, Output::Terminal);
        let handle = self.start(&shown, guard.group())?;
        let mut kill = Kill::default();
        let (mut stopped, mut timed_out) = (false, false);
        let output = loop {
            if let Some(output) = handle.wait_timeout(POLL).context(|| format!("cannot wait for `{shown}`"))? {
                break output.clone();
            }
            // Ctrl-C was the program's too.
            stopped |= cancel.is_stopped() && !is_persons;
            timed_out |= !stopped && timeout.is_some_and(|limit| started.elapsed() > limit);
            if stopped || timed_out {
                kill.tree(&guard, cancel.is_urgent());
            }
        };
        // Nothing of the tree outlives the program: a daemon that a recipe started would hold files of the build.
        drop(guard);
        if stopped {
            return Err(Error::interrupted());
        }
        Ok(Ended { status: output.status, stdout: output.stdout, stderr: output.stderr, timed_out })
    }

    fn start(self, shown: &str, group: Pid) -> Result<duct::Handle> {
        let mut argv = self.argv;
        // duct says only "No such file or directory" for a missing program; say which.
        let program = which::which(&argv[0]).map_err(|_| {
            Error::machine(format!(
                "cannot run `{shown}`: there is no program `{}` on this machine",
                argv[0].to_string_lossy()
            ))
            .help("cargo xtask doctor")
        })?;
        argv[0] = program.into_os_string();
        let mut expression = duct::cmd(&argv[0], &argv[1..]).unchecked();
        if let Some(dir) = &self.dir {
            expression = expression.dir(dir);
        }
        // duct works from the outside in, so what is added stands inside.
        for (name, value) in self.added_env {
            expression = expression.env(name, value);
        }
        if let Some(env) = self.env {
            expression = expression.full_env(env);
        }
        let is_persons = matches!(self.output, Output::Terminal);
        expression = match self.output {
            Output::Capture => expression.stdin_null().stdout_capture().stderr_capture(),
            Output::File(file) => expression.stdin_null().stderr_to_stdout().stdout_file(file),
            Output::Pipes(input, output) => match input {
                Some(input) => expression.stdin_file(input),
                None => expression.stdin_null(),
            }
            .stdout_file(output)
            .stderr_capture(),
            Output::Ours | Output::Terminal => expression,
        };
        let jobserver = self.jobserver;
        let expression = expression.before_spawn(move |command| {
            if !is_persons {
                command.process_group(group.as_raw_nonzero().get());
            }
            if let Some(client) = &jobserver {
                client.configure_make(command);
            }
            Ok(())
        });
        expression.start().context(|| format!("cannot start `{shown}`"))
    }
}

impl Ended {
    /// What it printed on standard output, when it ended well; else an error with what it printed on standard error.
    pub fn success(self, what: impl FnOnce() -> String) -> Result<Vec<u8>> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        let said = String::from_utf8_lossy(&self.stderr).trim().to_owned();
        let end = if self.timed_out { "it took too long".to_owned() } else { self.status.to_string() };
        Err(Error::machine(what()).because(if said.is_empty() { end } else { format!("{said} ({end})") }))
    }
}

/// SIGTERM first, SIGKILL after the grace.
#[derive(Default)]
struct Kill {
    asked: Option<Instant>,
}

impl Kill {
    fn tree(&mut self, guard: &Guard, urgent: bool) {
        match self.asked {
            None => {
                guard.signal(Signal::TERM);
                self.asked = Some(Instant::now());
            }
            Some(asked) if urgent || asked.elapsed() > GRACE => guard.signal(Signal::KILL),
            Some(_) => {}
        }
    }
}

/// Makes this process the parent of whatever outlives its own, so that the end of a tree can be waited for.
pub fn adopt_orphans() {
    // A kernel that refuses it leaves them to init: then they end a moment later than we say.
    set_child_subreaper(Some(rustix::process::getpid())).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_variables_join_an_environment_of_its_own() {
        let program = Program::new(["env"]).only_env([("A", "1"), ("B", "2")]).env("B", "3").env("C", "4");
        let ended = program.run(&Cancel::default()).unwrap();
        assert_eq!(String::from_utf8(ended.stdout).unwrap(), "A=1\nB=3\nC=4\n");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Program::new(["no-such-program-here"]).run(&Cancel::default()).unwrap_err();
        assert!(error.report().contains("no program `no-such-program-here`"), "{}", error.report());
    }

    #[test]
    fn a_step_that_hangs_is_killed_with_its_children() {
        let program = Program::new(["sh", "-c", "trap '' TERM; sleep 1000 & wait"]).timeout(Duration::from_millis(1));
        let ended = program.run(&Cancel::default()).unwrap();
        assert!(ended.timed_out && !ended.status.success());
    }

    #[test]
    fn stopping_ends_a_running_program() {
        let cancel = Cancel::default();
        let stopper = cancel.clone();
        let thread = std::thread::spawn(move || stopper.stop());
        let result = Program::new(["sleep", "1000"]).run(&cancel);
        assert_eq!(result.unwrap_err().kind(), crate::error::Kind::Interrupted);
        thread.join().unwrap();
    }
}
