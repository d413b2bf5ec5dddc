//! `shell`: the sandbox and the environment of a step, for a person or a script.

use std::collections::BTreeMap;
use std::path::Path;

use super::Session;
use crate::action::Inputs;
use crate::definition::Name;
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::plan::Wanted;
use crate::process::shell_line;
use crate::recipe::Step;
use crate::run::{Building, Job, Mode, Report, job_budget, kept};
use crate::state::State;
use crate::store::{Found, Output};
use crate::world::World;

/// Open a shell in the sandbox of a step, with exactly its environment
///
///     cargo xtask shell xen-tools                          of the step that ran last, where it failed if it did
///     cargo xtask shell xen-tools --step configure         of this one
///     cargo xtask shell xen-tools -- make -C tools/xl      run this there instead
///
/// It is the tree of a failed build, of one with `build --keep`, or of an overridden component. Where
/// there is none, one is made as it stands before the first step. The next build starts from empty:
/// who knows what was done here.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Component
    component: String,
    /// Name or number of a step [default: the one that ran last]
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// Of a build without the sandbox
    #[arg(long)]
    no_sandbox: bool,
    /// Program to run instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let name = Session::names(std::slice::from_ref(&args.component))?.remove(0);
    let machine = Machine::of(&session.layout, args.no_sandbox)?;
    let wanted = Wanted { names: vec![name.clone()], all: false };
    let world = World::new(session.layout.clone(), session.settled()?, &wanted, machine)?;
    if !world.plan.order.contains(&name) {
        return Err(Error::input(format!("`{name}` is not built here")).help("cargo xtask status"));
    }
    let _turn = session.turn(&|line| eprintln!("{line}"))?;
    let inputs = inputs(session, &world, &name)?;
    let step = chosen(session, &name, &inputs, args.step.as_deref())?;
    let dir = session.layout.build(&name);
    if dir.join("src").is_dir() {
        kept::forget(&dir)?;
    } else {
        eprintln!("note: no tree of `{name}` is kept; this one is as it stands before its first step");
        prepare(session, &world, &name, &inputs)?;
    }
    enter(session, &world, &name, &inputs, &step, &args.command)
}

/// With the outputs of the needs as they were built last.
fn inputs(session: &Session, world: &World, name: &Name) -> Result<Inputs> {
    let state = State::read(&session.layout);
    let last = |need: &Name| {
        let root = state.built.get(need)?.output;
        match world.store.tree(root) {
            Ok(Found::Here(tree)) => Some(Output { root, tree }),
            _ => None,
        }
    };
    world.inputs(name, &last)
}

/// The step that was asked for; else the one whose log is the last.
fn chosen(session: &Session, name: &Name, inputs: &Inputs, asked: Option<&str>) -> Result<Step> {
    let steps = &inputs.steps;
    let found = match asked {
        Some(asked) => steps
            .iter()
            .enumerate()
            .find(|(index, step)| step.name == asked || asked.parse() == Ok(index + 1))
            .map(|(_, step)| step),
        None => {
            let logs = session.layout.logs(name);
            let ran = |(index, step): &(usize, &Step)| logs.join(crate::run::log_name(*index, step)).exists();
            steps.iter().enumerate().filter(ran).map(|(_, step)| step).next_back().or(steps.last())
        }
    };
    found.cloned().ok_or_else(|| {
        let known: Vec<String> =
            steps.iter().enumerate().map(|(index, step)| format!("{} {}", index + 1, step.name)).collect();
        Error::input(format!("`{name}` has no step `{}`; it has {}", asked.unwrap_or_default(), known.join(", ")))
            .help(format!("cargo xtask shell {name}   # of the step that ran last"))
    })
}

fn prepare(session: &Session, world: &World, name: &Name, inputs: &Inputs) -> Result<()> {
    let (source, extra) = world.source_dirs(name)?;
    let budget = job_budget(1)?;
    let building = Building {
        store: &world.store,
        report: &Report::new(Mode::Auto, None),
        cancel: &session.cancel,
        jobserver: &budget,
        jobs: 1,
        timeout: None,
    };
    building.prepare(&Job {
        name,
        component: world.component(name),
        inputs,
        action: &inputs.action()?,
        source: &source.dir,
        extra: &extra,
        epoch: source.epoch,
        pin: None,
        sandbox: &world.sandbox(name)?,
        directories: &world.definitions.chosen.directories,
        root: &session.layout.root,
        logs: &session.layout.logs(name),
        keep: true,
    })
}

fn enter(
    session: &Session,
    world: &World,
    name: &Name,
    inputs: &Inputs,
    step: &Step,
    command: &[String],
) -> Result<()> {
    let jobs = world.machine.cores().to_string();
    let ran: Vec<String> = step.argv.iter().map(|item| item.replace("$JOBS", &jobs)).collect();
    let is_shell = command.is_empty();
    let argv = if is_shell { shell() } else { command.to_vec() };
    let mut variables: BTreeMap<String, String> = inputs.variables.clone();
    if is_shell {
        eprintln!("in step `{}` of `{name}`, which runs in {}: {}", step.name, step.dir, shell_line(&ran));
        // What a person types on; nothing of a build looks at it.
        variables.extend(std::env::var("TERM").map(|term| ("TERM".to_owned(), term)));
        variables.insert("PS1".to_owned(), format!("{name} {}:\\w# ", step.name));
    }
    let step = Step { argv: argv.clone(), ..step.clone() };
    let ended = world.sandbox(name)?.program(&step, &variables).without_timeout().in_front().run(&session.cancel)?;
    // How a shell ends is what its last command was.
    if is_shell || ended.status.success() {
        return Ok(());
    }
    Err(Error::step(format!("`{}` in step `{}` of `{name}`: {}", shell_line(&argv), step.name, ended.status)))
}

/// bash where the system has it, without what its files would change.
fn shell() -> Vec<String> {
    let argv: &[&str] = if Path::new("/bin/bash").exists() { &["/bin/bash", "--norc"] } else { &["/bin/sh"] };
    argv.iter().map(|item| (*item).to_owned()).collect()
}
