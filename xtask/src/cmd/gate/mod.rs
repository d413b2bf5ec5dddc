//! `gate`: candidates tested, judged, pushed; and what operators say and ask. One file an idea; the work is done in `crate::gate`
//! and in the crate `xtask-gate`, which only a binary with the feature `gate` has.

#[cfg(feature = "gate")]
mod bisect;
#[cfg(feature = "gate")]
mod gc;
#[cfg(feature = "gate")]
mod look;
#[cfg(feature = "gate")]
mod orders;
#[cfg(feature = "gate")]
mod run;
#[cfg(feature = "gate")]
mod site;

use std::path::PathBuf;
use std::str::FromStr;

use super::Session;
#[cfg(feature = "gate")]
use crate::error::Context;
use crate::error::Result;

/// Test candidates and push what is good
///
///     cargo xtask gate run xen-unstable                 one candidate of ci/gates/xen-unstable.toml
///     cargo xtask gate bisect xen-unstable boot-dom0    which commit made the last candidate fail
///     cargo xtask gate status                           all branches: what is tested, what blocks, since when
///     cargo xtask gate history xen-unstable boot-dom0   a job's last runs
///     cargo xtask gate site public                      the same as pages: grid, timelines, logs, bisections
///     cargo xtask gate force xen-unstable --why 'the test is wrong'   the last candidate, whatever its verdict
///     cargo xtask gate simulate ci/simulate/a-week.toml a scripted history through the same code
///
/// Everything that happened is in .xtask/gate/gate.db. A run that was killed is gone on with by the next.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[cfg_attr(not(feature = "gate"), allow(dead_code, reason = "only the other binary reads them"))]
pub struct Args {
    /// State of all gates [default: .xtask/gate/gate.db]
    #[arg(long, value_name = "FILE", global = true)]
    state: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
#[cfg_attr(not(feature = "gate"), allow(dead_code, reason = "only the other binary reads them"))]
enum Command {
    /// Test candidates, and push what nothing speaks against
    Run(RunArgs),
    /// Find the commit that made a job fail, between a flight's baseline and it
    ///
    ///     cargo xtask gate bisect xen-unstable boot-dom0                              what broke the last candidate
    ///     cargo xtask gate bisect xen-unstable boot-dom0 --flight 7 --from 3          between two flights
    ///     cargo xtask gate bisect xen-unstable boot-dom0 --good xen=RELEASE-4.19.0    since a release
    ///     cargo xtask gate bisect xen-unstable boot-dom0 --fixed --from 7             what mended it
    ///
    /// Trees that nobody names stay as the flights had them. Both ends are tried first.
    #[command(verbatim_doc_comment)]
    Bisect(BisectArgs),
    /// Show all branches: what is tested, what came of the last candidate, what operators said
    Status {
        /// Branches [default: all]
        branches: Vec<String>,
    },
    /// Show branches that pushed nothing for so long
    Stale {
        /// For example `7d`
        #[arg(default_value = "7d", value_name = "DURATION")]
        than: humantime::Duration,
    },
    /// Show the last runs of a job
    History {
        /// Branch
        branch: String,
        /// Job
        job: String,
        /// How many steps
        #[arg(long, default_value_t = 30, value_name = "N")]
        limit: u32,
    },
    /// Show a flight: the verdict on each step that did not pass
    Show {
        /// Number of the flight
        flight: u64,
    },
    /// Print the report of a candidate: the mail, or its JSON
    ///
    ///     cargo xtask gate report sultana | mail -s 'what came of it' list@example.org
    ///     cargo xtask gate report sultana --flight 7 --json
    #[command(verbatim_doc_comment)]
    Report {
        /// Branch
        branch: String,
        /// The flight [default: the last candidate's]
        #[arg(long, value_name = "N")]
        flight: Option<u64>,
    },
    /// Push the last candidate, whatever the verdict is: that revision and no other
    Force {
        /// Branch
        branch: String,
        /// Take back all that is forced on this branch and was not pushed yet
        #[arg(long)]
        end: bool,
        #[command(flatten)]
        who: Who,
    },
    /// Push exactly this revision once, whatever the verdict is
    ForceRev {
        /// Branch
        branch: String,
        /// Revision, in full
        revision: String,
        /// Take it back
        #[arg(long)]
        end: bool,
        #[command(flatten)]
        who: Who,
    },
    /// Test, and push nothing
    Block(Standing),
    /// Begin no flight
    Stop(Standing),
    /// Let a failure pass until a day; somebody answers for it
    Allow {
        /// Pattern of the job: `@@` any text, `@` any text without `-` and `/`
        job: String,
        /// Pattern of the step
        testid: String,
        /// Branch [default: all]
        #[arg(long)]
        branch: Option<String>,
        /// For how long, for example `30d`
        #[arg(long = "for", value_name = "DURATION")]
        lasts: humantime::Duration,
        /// Take away what earlier lines allow
        #[arg(long)]
        not: bool,
        #[command(flatten)]
        who: Who,
    },
    /// Test the last candidate, or a flight, once more: what did not pass; all of it where a build did not
    ///
    ///     cargo xtask gate retry unstable --why 'the mirror was down'
    ///
    /// The next run of the gate does it, before anything else, and judges the candidate anew.
    #[command(verbatim_doc_comment)]
    Retry {
        /// Branch
        branch: String,
        /// The flight [default: the last candidate's]
        #[arg(long, value_name = "N")]
        flight: Option<u64>,
        #[command(flatten)]
        who: Who,
    },
    /// Give up flights that cannot come to their end: they push nothing, and the next run looks for a candidate
    ///
    ///     cargo xtask gate abandon sultana --why 'that tree is not gated any more'
    #[command(verbatim_doc_comment)]
    Abandon {
        /// Branch
        branch: String,
        /// The flight [default: all that are open]
        #[arg(long, value_name = "N")]
        flight: Option<u64>,
        #[command(flatten)]
        who: Who,
    },
    /// Forget what nothing refers to: rows, logs, checkouts of gates that are gone
    ///
    ///     cargo xtask gate gc --dry-run
    ///     cargo xtask gate gc --keep 5
    ///
    /// Kept is what is open, the newest candidates of each branch with their baselines, what is tested now, whose
    /// passes were used again, and what a bisection names. What was pushed, what has ever passed and what operators
    /// did is never forgotten.
    #[command(verbatim_doc_comment)]
    Gc(GcArgs),
    /// Print the whole history as JSON lines
    ///
    ///     cargo xtask gate export | jq 'select(.flight).flight | [.flight, .branch, .outcome]'
    ///
    /// The first line has the version of the form; ci/README.md describes it.
    #[command(verbatim_doc_comment)]
    Export {
        /// Branch [default: all]
        branch: Option<String>,
    },
    /// Show everything that operators did
    Audit,
    /// Write everything that happened as pages for a browser; only what changed is written again
    Site {
        /// A directory of its own
        dir: PathBuf,
        /// Branches [default: all]
        #[arg(long = "gate", value_name = "BRANCH")]
        branches: Vec<String>,
    },
    /// Play a scripted history through the gate's own code
    ///
    ///     cargo xtask gate simulate ci/simulate/a-week.toml
    ///     cargo xtask gate simulate --quiet --batch 8 ci/simulate/policies.toml     what would that policy have done?
    ///
    /// What is expected of runs holds for the script's own policy only.
    #[command(verbatim_doc_comment)]
    Simulate(SimulateArgs),
}

/// How candidates are chosen and judged.
#[derive(Debug, clap::Args)]
#[cfg_attr(not(feature = "gate"), allow(dead_code, reason = "only the other binary reads them"))]
struct RunArgs {
    /// Gate: a file of ci/gates/
    branch: String,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Do not hunt the culprit of a regression, whatever the gate's file says
    #[arg(long)]
    no_bisect: bool,
    /// Then bring the pages there up to date [default: what the gate's file says]
    #[arg(long, value_name = "DIR")]
    site: Option<PathBuf>,
}

/// What stands over the `[queue]` of a gate's file, or the policy of a script.
#[derive(Debug, clap::Args)]
#[cfg_attr(not(feature = "gate"), allow(dead_code, reason = "only the other binary reads them"))]
struct PolicyArgs {
    /// Test every commit along first parents, one after the other, not the tip alone
    #[arg(long)]
    each_commit: bool,
    /// Test up to N candidates on top of one another: one more after each push, half after a regression
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    window: Option<u32>,
    /// Test up to N candidates as one; after a regression half of them, until one is to blame
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "window")]
    batch: Option<u32>,
}

/// What is forgotten.
#[derive(Debug, clap::Args)]
#[cfg_attr(not(feature = "gate"), allow(dead_code, reason = "only the other binary reads them"))]
struct GcArgs {
    /// How many of the newest candidates of each branch to keep
    #[arg(long, default_value_t = 20, value_name = "N")]
    keep: usize,
    /// Say what would go
    #[arg(long)]
    dry_run: bool,
    /// Who says so
    #[arg(long, env = "USER", default_value = "nobody")]
    who: String,
    /// Why
    #[arg(long, default_value = "for space")]
    why: String,
}

/// What is played.
#[derive(Debug, clap::Args)]
#[cfg_attr(not(feature = "gate"), allow(dead_code, reason = "only the other binary reads them"))]
struct SimulateArgs {
    /// The script
    script: PathBuf,
    /// Print only what came of it all
    #[arg(long, short)]
    quiet: bool,
    /// Flights that run beside one another [default: the script's]
    #[arg(long, value_name = "N")]
    machines: Option<u64>,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Write what happened as pages there
    #[arg(long, value_name = "DIR")]
    site: Option<PathBuf>,
}

/// What is hunted.
#[derive(Debug, clap::Args)]
#[cfg_attr(not(feature = "gate"), allow(dead_code, reason = "only the other binary reads them"))]
struct BisectArgs {
    /// Branch
    branch: String,
    /// Job that failed
    job: String,
    /// Its step [default: the whole job]
    testid: Option<String>,
    /// The flight in which it failed [default: the last candidate's]
    #[arg(long, value_name = "N")]
    flight: Option<u64>,
    /// The flight in which it did not [default: that flight's baseline]
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// A tree where the job does well: a tag, a branch or a commit [default: as --from had it, with --fixed as --flight had it]
    #[arg(long, value_name = "TREE=REVISION")]
    good: Vec<Named>,
    /// A tree where it does not [default: as --flight had it, with --fixed as --from had it]
    #[arg(long, value_name = "TREE=REVISION")]
    bad: Vec<Named>,
    /// Where a merge did it, go on among what it brought
    #[arg(long)]
    all: bool,
    /// When was it fixed: it failed at first, and passes at the end
    #[arg(long)]
    fixed: bool,
}

/// A revision of a tree, in somebody's words.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "gate"), allow(dead_code, reason = "only the other binary reads them"))]
struct Named {
    tree: String,
    revision: String,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Named, String> {
        let named = text.split_once('=').filter(|(tree, revision)| !tree.is_empty() && !revision.is_empty());
        let (tree, revision) = named.ok_or("TREE=REVISION is wanted, as in xen=RELEASE-4.20.0")?;
        Ok(Named { tree: tree.to_owned(), revision: revision.to_owned() })
    }
}

/// An order that stands until it is taken back.
#[derive(Debug, clap::Args)]
#[cfg_attr(not(feature = "gate"), allow(dead_code, reason = "only the other binary reads them"))]
struct Standing {
    /// Branch [default: all]
    branch: Option<String>,
    /// Take it back
    #[arg(long)]
    end: bool,
    #[command(flatten)]
    who: Who,
}

/// For the audit.
#[derive(Clone, Debug, clap::Args)]
#[cfg_attr(not(feature = "gate"), allow(dead_code, reason = "only the other binary reads them"))]
struct Who {
    /// Who says so
    #[arg(long, env = "USER")]
    who: String,
    /// Why
    #[arg(long)]
    why: String,
}

#[cfg(not(feature = "gate"))]
pub fn run(session: &Session, _: &Args) -> Result<()> {
    super::extras::run_with_gate(session)
}

#[cfg(feature = "gate")]
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let state = args.state.clone().unwrap_or_else(|| session.layout.gate_state());
    // Relative to where the user stands, whatever the command.
    let state = std::path::absolute(&state).context(|| "cannot use --state".to_owned())?;
    match &args.command {
        Command::Run(args) => run::run(session, &state, args),
        Command::Bisect(args) => bisect::run(session, &state, args),
        Command::Status { branches } => look::status(session, &state, branches),
        Command::Stale { than } => look::stale(session, &state, **than),
        Command::History { branch, job, limit } => look::history(session, &state, branch, job, *limit),
        Command::Show { flight } => look::show(session, &state, *flight),
        Command::Report { branch, flight } => run::report(session, &state, branch, *flight),
        Command::Export { branch } => look::export(&state, branch.as_deref()),
        Command::Gc(args) => gc::run(session, &state, args),
        Command::Audit => look::audit(session, &state),
        Command::Site { dir, branches } => site::run(session, &state, dir, branches),
        Command::Simulate(args) => run::simulate(session, args),
        command => orders::run(session, &state, command),
    }
}
