//! `test`: everything that proves it, in three tiers. Each check is a program whose output goes to a log; the last line counts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Session;
use crate::error::{Context, Error, Result};
use crate::process::Program;
use crate::run::{duration, first_error, timed};

/// Run the tests
///
///     cargo xtask test --quick             format, lints, unit and integration tests: while you work
///     cargo xtask test --yes               also a real Xen build, which later tests restore: what CI runs
///     cargo xtask test --full --yes        everything that an issue says must be shown, benchmarks too
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
    /// Install missing build dependencies without asking
    #[arg(long, short)]
    yes: bool,
}

/// One program that must succeed.
struct Check {
    name: &'static str,
    dir: PathBuf,
    argv: Vec<String>,
    /// Its output is that of a test runner.
    counts: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
}

/// Killed after that; the longest, a first real build, takes a tenth.
const TIMEOUT: Duration = Duration::from_secs(100 * 60);

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let tier = if args.quick { "quick" } else if args.full { "full" } else { "standard" };
    let logs = session.layout.work().join("log").join("test");
    crate::atomic::remove_tree(&logs)?;
    fs::create_dir_all(&logs).context(|| format!("cannot make `{}`", logs.display()))?;
    let skips = logs.join("skipped.txt");
    File::create(&skips).context(|| format!("cannot write `{}`", skips.display()))?;
    let mut total = Counts::default();
    let mut failures = Vec::new();
    for (number, check) in checks(session, args)?.into_iter().enumerate() {
        session.cancel.check()?;
        eprintln!("{}: {}", check.name, crate::process::shell_line(&check.argv));
        let log = logs.join(format!("{:02}-{}.log", number + 1, check.name));
        let (ok, seconds) = timed(|| one(session, &check, &log, tier, &skips));
        let ok = ok?;
        let text = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
        let counts = if check.counts { count(&text) } else { Counts { passed: usize::from(ok), failed: usize::from(!ok) } };
        // A runner that died before it could count has failed once.
        let failed = if ok { counts.failed } else { counts.failed.max(1) };
        total.passed += counts.passed;
        total.failed += failed;
        eprintln!("{}: {} passed, {failed} failed in {}", check.name, counts.passed, duration(seconds));
        if !ok {
            eprintln!("{}", excerpt(&text));
            eprintln!("  log: {}", log.display());
            failures.push(check.name);
        }
    }
    let skipped = fs::read_to_string(&skips).unwrap_or_default();
    let skipped: Vec<&str> = skipped.lines().collect();
    for line in &skipped {
        eprintln!("skipped: {line}");
    }
    // A test that skips itself looks passed to its runner.
    let passed = total.passed.saturating_sub(skipped.len());
    println!("{passed} passed, {} failed, {} skipped", total.failed, skipped.len());
    if failures.is_empty() {
        return Ok(());
    }
    Err(Error::step(format!("failed: {}", failures.join(", "))).help(format!("the logs are in {}", logs.display())))
}

fn checks(session: &Session, args: &Args) -> Result<Vec<Check>> {
    let root = &session.layout.root;
    let blktap = root.join("blktap");
    let check = |name, dir: &Path, line: &str| Check {
        name,
        dir: dir.to_path_buf(),
        argv: line.split_whitespace().map(str::to_owned).collect(),
        counts: false,
    };
    let nextest = which::which("cargo-nextest").is_ok();
    let runner = if nextest { "cargo nextest run --workspace --no-fail-fast" } else { "cargo test --workspace --no-fail-fast" };
    let own = std::env::current_exe().context(|| "cannot tell what program this is".to_owned())?;
    let mut checks = vec![
        check("format", root, "cargo fmt --all --check"),
        check("format-blktap", &blktap, "cargo fmt --all --check"),
        check("lints", root, "cargo clippy --workspace --all-targets -- -D warnings"),
        check("lints-blktap", &blktap, "cargo clippy --workspace --all-targets -- -D warnings"),
        check("lints-extras", root, "cargo clippy --package xtask --features extras -- -D warnings"),
    ];
    if !args.quick {
        let mut argv = vec![own.display().to_string(), "build".to_owned()];
        argv.extend(args.yes.then(|| "--yes".to_owned()));
        argv.extend(args.full.then(|| "--all".to_owned()));
        checks.push(Check { name: "build", dir: root.clone(), argv, counts: false });
    }
    checks.push(Check { counts: true, ..check("tests", root, runner) });
    checks.push(Check { counts: true, ..check("tests-blktap", &blktap, runner) });
    if nextest {
        checks.push(Check { counts: true, ..check("doctests-blktap", &blktap, "cargo test --doc --workspace") });
    }
    if args.full {
        checks.push(check("docs-blktap", &blktap, "cargo doc --workspace --no-deps"));
        checks.push(check("benchmarks", root, "cargo bench --package xtask"));
    }
    Ok(checks)
}

fn one(session: &Session, check: &Check, log: &Path, tier: &str, skips: &Path) -> Result<bool> {
    let file = File::create(log).context(|| format!("cannot write `{}`", log.display()))?;
    let ended = Program::new(check.argv.clone())
        .dir(&check.dir)
        .env("XTASK_TIER", tier)
        .env("XTASK_SKIPS", skips)
        .env("XTASK_STORE", &session.layout.store)
        .env("CARGO_TERM_COLOR", "never")
        .timeout(TIMEOUT)
        .log_to(file)
        .run(&session.cancel)?;
    Ok(ended.status.success())
}

/// What a runner's log says: nextest's summary line, or cargo test's one for each binary.
fn count(log: &str) -> Counts {
    let mut counts = Counts::default();
    for line in log.lines() {
        let line = line.trim_start();
        let relevant = line.starts_with("test result:") || (line.starts_with("Summary [") && line.contains("tests run"));
        if !relevant {
            continue;
        }
        let before = |word: &str| -> usize {
            let number = line.split(word).next().and_then(|text| text.split_whitespace().last());
            number.filter(|_| line.contains(word)).and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        counts.passed += before(" passed");
        counts.failed += before(" failed") + before(" timed out");
    }
    counts
}

/// What a person wants to see first of a failed check.
fn excerpt(log: &str) -> String {
    let failed: Vec<&str> = log
        .lines()
        .filter(|line| line.trim_start().starts_with("FAIL [") || line.ends_with("... FAILED") || line.contains("panicked at"))
        .take(20)
        .collect();
    if failed.is_empty() {
        return first_error(log).map(|excerpt| excerpt.render()).unwrap_or_default();
    }
    failed.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runners_are_counted() {
        let nextest = "     Summary [   2.1s] 44 tests run: 42 passed (1 slow), 2 failed, 0 skipped\n";
        assert_eq!(count(nextest), Counts { passed: 42, failed: 2 });
        let cargo = "test result: ok. 3 passed; 0 failed; 0 ignored\nx\ntest result: FAILED. 1 passed; 2 failed; 0 ignored\n";
        assert_eq!(count(cargo), Counts { passed: 4, failed: 2 });
        assert_eq!(count("nothing"), Counts::default());
    }
}
