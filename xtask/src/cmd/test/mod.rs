//! `test`: everything that proves it, in three tiers. Each check is a program whose output goes to a log; the last line counts.

mod checks;
mod progress;
mod record;
mod tally;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Session;
use crate::definition::Packages;
use crate::error::{Context, Error, Kind, Result};
use crate::machine::Machine;
use crate::process::Program;
use crate::run::{duration, first_error, timed};

use checks::{Check, Tier, checks};
use record::{Record, Row, cpu_seconds};
use tally::{Skip, Tally};

/// Run the tests
///
///     cargo xtask test --quick             format, lints, unit and integration tests: while you work
///     cargo xtask test --yes               also a real Xen build, which later tests restore: what CI runs
///     cargo xtask test --full --yes        everything: QEMU and OVMF, gates that boot, docs/tour.md, benchmarks
///     cargo xtask test --record FILE       also write down the machine, the commit and what each check came to
///
/// Ends with one line, `N passed, N failed, N skipped`; what was skipped is named with its reason.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// No component build
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Everything, for an hour or two
    #[arg(long)]
    full: bool,
    /// Install without asking what building needs and what tests compare with
    #[arg(long, short)]
    yes: bool,
    /// Write the run down, as Markdown that ends with JSON
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// Killed after that; the longest, a first real build, takes a tenth.
const TIMEOUT: Duration = Duration::from_secs(100 * 60);

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let tier = match (args.quick, args.full) {
        (true, _) => Tier::Quick,
        (_, true) => Tier::Full,
        _ => Tier::Standard,
    };
    let logs = session.layout.work().join("log").join("test");
    crate::atomic::remove_tree(&logs)?;
    fs::create_dir_all(&logs).context(|| format!("cannot make `{}`", logs.display()))?;
    let machine = Machine::of(&session.layout, true)?;
    if args.yes && tier > Tier::Quick {
        provide_judges(session, &machine, tier)?;
    }
    let toolchain = machine.rust_toolchain()?;
    let mut total = Tally::default();
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    for (number, check) in checks(session, args, tier)?.into_iter().enumerate() {
        session.cancel.check()?;
        let log = logs.join(format!("{:02}-{}.log", number + 1, check.name));
        let before = cpu_seconds();
        let (tally, seconds) = timed(|| one(session, args, tier, &toolchain, &check, &log));
        let tally = tally?;
        eprintln!("{}: {} in {}", check.name, tally.line(), duration(seconds));
        if tally.failed > 0 {
            eprintln!("{}\n  log: {}", excerpt(&read(&log)), log.display());
            failures.push(check.name);
        }
        rows.push(Row {
            check: check.name.to_owned(),
            passed: tally.passed,
            failed: tally.failed,
            skipped: tally.skipped.len(),
            seconds,
            cpu_seconds: cpu_seconds() - before,
        });
        total.add(&tally);
    }
    for Skip { test, reason } in &total.skipped {
        eprintln!("skipped: {test}: {reason}");
    }
    let command = format!("cargo xtask {}", crate::process::shell_line(std::env::args().skip(1)));
    if session.json || args.record.is_some() {
        let record = Record::new(&session.layout.root, args.record.as_deref(), command, rows, &total, &session.cancel)?;
        if let Some(file) = &args.record {
            record.write(file)?;
        }
        if session.json {
            super::print_json(&record)?;
        }
    }
    if !session.json {
        println!("{}", total.line());
    }
    if failures.is_empty() {
        return Ok(());
    }
    let error = Error::step(format!("failed: {}", failures.join(", ")));
    Err(if session.json { error.said() } else { error.help(format!("the logs are in {}", logs.display())) })
}

/// Installs the programs of others that tests compare with. Without them those tests skip themselves, so a failure is said
/// and nothing more.
fn provide_judges(session: &Session, machine: &Machine, tier: Tier) -> Result<()> {
    let names = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    // Only names that are sure: one that a distribution does not know stops the others from being installed.
    let judges = Packages {
        debian: names("curl faketime fio fuse3 libnbd-bin libvhdi-utils mount qemu-utils strace wget"),
        fedora: names("curl fio libfaketime libnbd qemu-img strace util-linux wget"),
        opensuse: names("curl libfaketime qemu-tools strace util-linux wget"),
        alpine: names("curl libfaketime losetup qemu-img strace wget"),
        arch: names("curl libfaketime qemu-img strace util-linux wget"),
    };
    provide(session, machine, &judges)?;
    if tier == Tier::Full {
        // Where a distribution has it by another name, or not at all, the others are installed still.
        let browser = || names("chromium");
        let browser =
            Packages { debian: browser(), fedora: browser(), opensuse: browser(), alpine: browser(), arch: browser() };
        provide(session, machine, &browser)?;
    }
    Ok(())
}

fn provide(session: &Session, machine: &Machine, packages: &Packages) -> Result<()> {
    let missing = machine.missing(machine.own(packages))?;
    if missing.is_empty() || session.offline {
        return Ok(());
    }
    eprintln!("installing what tests watch and compare with: {}", missing.join(" "));
    match machine.install(&missing, &session.cancel, &|line| eprintln!("{line}")) {
        Err(error) if error.kind() == Kind::Interrupted => Err(error),
        Err(error) => {
            eprintln!("{}", error.report());
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Runs a check, unless this machine lacks what it is run with.
fn one(session: &Session, args: &Args, tier: Tier, toolchain: &Path, check: &Check, log: &Path) -> Result<Tally> {
    if let Some(reason) = check.lacks(toolchain) {
        eprintln!("{}: SKIPPED: {reason}", check.name);
        return Ok(Tally { skipped: vec![Skip { test: check.name.to_owned(), reason }], ..Tally::default() });
    }
    eprintln!("{}: {}", check.name, crate::process::shell_line(&check.argv));
    let file = File::create(log).context(|| format!("cannot write `{}`", log.display()))?;
    let mut program = Program::new(check.argv.clone())
        .dir(&check.dir)
        .env("XTASK_TIER", tier.name())
        .env("CARGO_TERM_COLOR", "never")
        .timeout(TIMEOUT)
        .log_to(file);
    // Tests that build restore what the real build has put there.
    if tier > Tier::Quick {
        program = program.env("XTASK_STORE", &session.layout.store);
    }
    if args.yes {
        program = program.env("XTASK_TEST_YES", "1");
    }
    let ended = progress::shown(check.name, log, || program.run(&session.cancel))?;
    let is_ok = ended.status.success();
    let mut tally = match check.counts {
        true => Tally::read(&read(log)),
        false => Tally { passed: usize::from(is_ok), ..Tally::default() },
    };
    if !is_ok {
        // A runner that died before it could count has failed once.
        tally.failed = tally.failed.max(1);
    }
    Ok(tally)
}

fn read(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
}

/// What a person wants to see first of a failed check.
fn excerpt(log: &str) -> String {
    let failed: Vec<&str> = log
        .lines()
        .filter(|line| {
            line.trim_start().starts_with("FAIL [") || line.ends_with("... FAILED") || line.contains("panicked at")
        })
        .take(20)
        .collect();
    if failed.is_empty() {
        return first_error(log).map(|excerpt| excerpt.render()).unwrap_or_default();
    }
    failed.join("\n")
}
