//! `repro-check`: whether components come out the same in other circumstances.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::fetch::{How, fetch_all};
use super::{Selection, Session};
use crate::definition::Name;
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::repro::{Blamed, Circumstance, Repro, libfaketime, one_processor};
use crate::run::{Mode, Report};
use crate::world::World;

/// Build again in other circumstances, and name whatever comes out otherwise
///
///     cargo xtask repro-check seabios      one component
///     cargo xtask repro-check              all of the manifest
///     cargo xtask repro-check --json       files, offsets, sections and what is to blame, for machines
///
/// A component is taken from the store, or built as always, and built a second time: at another path,
/// by another user on a machine of another name, on one processor with another number of jobs, and
/// with a clock that is 400 days ahead where libfaketime is installed (but for cargo's components:
/// rustc cannot run with it). Nothing of that second build is kept. Where files differ, circumstances
/// are changed one by one until it is known which it depends on.
///
/// Builds in the sandbox all have one path and one user, so what depends on these is the same wherever
/// cargo xtask builds it; it is not for those who build a release by hand.
///
/// Exit status: 0 all the same; 1 something differs.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Jobs of the first build; the second has one more [default: number of cores]
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let mut definitions = session.settled()?;
    session.resolve(&mut definitions, false, &|line| eprintln!("{line}"))?;
    session.whole_lock(&definitions)?;
    let wanted = args.selection.wanted(session)?;
    let asked: BTreeSet<Name> = wanted.names.iter().cloned().collect();
    let machine = Machine::of(&session.layout, false)?;
    if machine.bubblewrap().is_none() {
        return Err(Error::machine("cannot change the circumstances of a build: there is no sandbox")
            .help("cargo xtask doctor"));
    }
    let world = World::new(session.layout.clone(), definitions, &wanted, machine)?;
    let report = Report::new(if session.json { Mode::Json } else { Mode::Auto }, None);
    let say = |line: &str| report.note(line);
    fetch_all(session, &world, &world.sources(), How::default())?;
    let _turn = session.turn(&say)?;
    world.read_sources()?;
    world.need_packages()?;
    let clock = libfaketime(world.machine.arch());
    if clock.is_none() {
        say("the clock only goes on: libfaketime is not installed, which would set it ahead");
    }
    if one_processor().is_empty() {
        say("the processors stay: taskset is not installed, which would leave one; only the number of jobs changes");
    }
    let jobs = args.jobs.unwrap_or_else(|| world.machine.cores()).max(1);
    let repro = Repro { world: &world, jobs, clock, report: &report, cancel: &session.cancel };
    let mut outputs = BTreeMap::new();
    let mut checked: Vec<(&Name, usize, Vec<Blamed>)> = Vec::new();
    for name in &world.plan.order {
        let usual = repro.usual(name, &outputs)?;
        if asked.is_empty() || asked.contains(name) {
            let blamed = repro.blamed(name, &usual, &outputs)?;
            if blamed.is_empty() && !session.json {
                println!("{name}: all {} files are the same", usual.tree.leaves());
            }
            checked.push((name, usual.tree.leaves(), blamed));
        }
        outputs.insert(name.clone(), usual);
    }
    if session.json {
        let all: Vec<_> = checked
            .iter()
            .map(|(name, files, blamed)| {
                let changed = repro.circumstances(name);
                json!({ "component": name, "files": files, "changed": changed, "differences": blamed })
            })
            .collect();
        super::print_json(&json!({ "components": all }))?;
    }
    let lines: Vec<String> =
        checked.iter().flat_map(|(name, _, blamed)| blamed.iter().map(|it| line(name, it))).collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(Error::step(format!("not the same in other circumstances\n{}", lines.join("\n")))
        .help("what a build takes from its surroundings belongs into its definition: `[env]`, {epoch}, {jobs}"))
}

fn line(name: &Name, blamed: &Blamed) -> String {
    let because = blamed.because.map_or("depends on several circumstances at once", Circumstance::words);
    format!("  {name}: {}; it {because}", blamed.difference)
}
