//! Boot tests: Xen, its tools and our tapdisk in a machine that QEMU makes up, without KVM, root or network. The door is `Scenario`
//! with `run`. Nothing is installed: what is not in the tested root is the machine's own, or unpacked from packages of its
//! distribution into a root in the store.
//!
//! - `pieces`: emulator, kernel, userland; where they come from. `tested`: the root that is tested.
//! - `elf`, `kernel`, `initramfs`: what a made-up machine boots from.
//! - `emulator`: its command line. `console`: what it prints, and what must come of that.
//! - `scenario`, `xen`, `linux_nbd`: what is done, and what is looked for. `init/` runs in there.
//! - `report`: what it came to.
//!
//! Invariant: what could not run is never taken for passed, and nothing outlives a run.

mod console;
mod elf;
mod emulator;
mod initramfs;
mod kernel;
mod linux_nbd;
mod pieces;
mod report;
mod scenario;
mod tested;
mod workplace;
mod xen;

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::origin::Fetching;
use crate::turn::{self, Hold};

pub use report::{Check, Outcome, Report, Verdict};
pub use scenario::Scenario;

/// Why a scenario cannot run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannotRun(pub String);

/// What can keep a scenario from running to its end, each with its own meaning.
pub type Ready<T> = Result<std::result::Result<T, CannotRun>>;

/// What a run is about.
#[derive(Clone, Copy)]
pub struct Boot<'a> {
    /// Downloads, paths, Ctrl-C.
    pub fetching: &'a Fetching<'a>,
    /// The root that is tested: `dist/`, or what was installed or unpacked elsewhere.
    pub root: &'a Path,
    /// Where everything that the machine booted from stays, if anywhere.
    pub keep: Option<&'a Path>,
    /// Gets each check as it is made.
    pub said: &'a dyn Fn(&Check),
}

/// What whoever waits for that says.
pub const WAITING: &str = "another boot test runs; waiting for its end";

/// The lock of the one emulated machine that may run here at a time.
pub fn turn_of(store: &Path) -> PathBuf {
    store.join("boot/machine.lock")
}

/// Runs one scenario. An error is this machine's or the command line's, never the candidate's.
pub fn run(boot: &Boot<'_>, scenario: Scenario) -> Result<Report> {
    // An emulated machine takes all cores; two at once would only be late.
    let Fetching { layout, cancel, say, .. } = boot.fetching;
    let _turn = turn::take(&turn_of(&layout.store), Hold::Alone, cancel, say, WAITING)?;
    crate::origin::sweep(layout);
    let mut report = Report::new(scenario.name());
    match scenario.run(boot, &mut report)? {
        Ok(()) => report.conclude(),
        Err(CannotRun(reason)) => report.not_run(reason),
    }
    Ok(report)
}
