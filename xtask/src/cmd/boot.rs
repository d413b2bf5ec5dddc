//! `boot`: real boot tests in an emulated machine.

use std::path::PathBuf;

use clap::ValueEnum;

use super::Session;
use crate::boot::{self, Boot, Check, Outcome, Report, Scenario, Verdict};
use crate::error::{Error, Result};

/// Boot Xen, a dom0 and guests from dist/ in an emulated machine
///
///     cargo xtask boot                     the scenarios
///     cargo xtask boot dom0                Xen and a dom0, up to a prompt that answers
///     cargo xtask boot dom0 pv linux-nbd   one after the other
///     cargo xtask boot pv --keep /tmp/pv   keep what was booted, the console and the command line
///     cargo xtask boot pv --root /tmp/image    what was installed there instead of dist/
///
/// QEMU emulates the processor: neither root nor KVM is needed, there is no network in it, and nothing is installed. Kernel, userland and,
/// where the machine has none, the emulator are packages of this distribution, unpacked in the store. The console of the last run is in
/// .xtask/log/boot/. Exit status: 0 passed; 1 failed; 77 not run, with the reason; 2 and 3 as everywhere.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// What to boot
    #[arg(value_enum, value_name = "SCENARIO")]
    scenarios: Vec<Scenario>,
    /// Keep everything that the machine was started from, in a directory for each scenario
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Root to test [default: dist/]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    if args.scenarios.is_empty() {
        return list(session);
    }
    let root = args.root.clone().unwrap_or_else(|| session.layout.dist());
    let say = |line: &str| eprintln!("{line}");
    let fetching = session.fetching(false, &say);
    let said = |check: &Check| {
        if !session.json {
            println!("{}", line(check));
        }
    };
    let boot = Boot { fetching: &fetching, root: &root, keep: args.keep.as_deref(), said: &said };
    let mut reports = Vec::new();
    for scenario in &args.scenarios {
        if !session.json {
            println!("{}", scenario.name());
        }
        let report = boot::run(&boot, *scenario)?;
        if !session.json {
            println!("{}", summary(&report));
        }
        reports.push(report);
    }
    if session.json {
        super::print_json(&reports)?;
    }
    let names = |outcome: Outcome| {
        let of = reports.iter().filter(|report| report.outcome == outcome).map(|report| report.scenario.as_str());
        of.collect::<Vec<_>>().join(", ")
    };
    match (names(Outcome::Failed), names(Outcome::NotRun)) {
        (failed, _) if !failed.is_empty() => Err(Error::step(format!("{failed} failed")).said()),
        (_, open) if !open.is_empty() => Err(Error::not_run(format!("{open} was not run")).said()),
        _ => Ok(()),
    }
}

fn list(session: &Session) -> Result<()> {
    let help = |scenario: &Scenario| {
        let value = scenario.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    };
    let all = Scenario::value_variants();
    if session.json {
        let list: Vec<_> = all.iter().map(|it| serde_json::json!({ "name": it.name(), "summary": help(it) })).collect();
        return super::print_json(&list);
    }
    for scenario in all {
        println!("{:<10} {}", scenario.name(), help(scenario));
    }
    Ok(())
}

fn line(check: &Check) -> String {
    let mark = match check.verdict {
        Verdict::Passed => "ok    ",
        Verdict::Failed => "FAILED",
    };
    format!("  {mark} {:>4}s  {:<18} {}", check.seconds, check.name, check.text).trim_end().to_owned()
}

fn summary(report: &Report) -> String {
    let artefacts = report.artefacts.as_ref().map(|dir| format!("; see {}", dir.display())).unwrap_or_default();
    let (name, checks, seconds) = (&report.scenario, report.checks.len(), report.seconds);
    match report.outcome {
        Outcome::Passed => format!("{name}: passed, {checks} checks in {seconds}s"),
        Outcome::Failed => format!("{name}: FAILED in {seconds}s{artefacts}"),
        Outcome::NotRun => format!("{name}: not run: {}", report.reason.as_deref().unwrap_or_default()),
    }
}
