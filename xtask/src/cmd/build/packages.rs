//! What a build lacks on this machine: packages, and bubblewrap.

use std::io::{BufRead, IsTerminal, Write};

use super::{Args, Session};
use crate::error::{Context, Error, Result};
use crate::machine::Machine;
use crate::run::Report;
use crate::world::World;

/// Build dependencies that are missing: installed with `--yes` or when a person at a terminal agrees.
pub(super) fn provide(session: &Session, world: &mut World, args: &Args, report: &Report) -> Result<()> {
    let components: Vec<_> = world.plan.order.iter().map(|name| world.component(name)).collect();
    let missing =
        world.machine.missing_packages(components.iter().map(|component| &component.packages), args.no_sandbox)?;
    if missing.is_empty() {
        return Ok(());
    }
    let command = world.machine.install_command(&missing);
    if session.offline {
        return Err(Error::machine(format!("missing build dependencies: {}", missing.join(" ")))
            .because("offline nothing is installed, not even with --yes")
            .help(command));
    }
    let agreed =
        args.yes || (std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && ask(&missing, &command)?);
    if !agreed {
        return Err(Error::machine(format!("missing build dependencies: {}", missing.join(" ")))
            .help("cargo xtask build --yes   # installs them")
            .help(command));
    }
    report.note(format!("installing build dependencies: {}", missing.join(" ")));
    world.machine.install(&missing, &session.cancel, &|line| report.note(line))?;
    // What the machine is has changed, and with it every key.
    world.machine = Machine::of(&session.layout, args.no_sandbox)?;
    Ok(())
}

/// Without bubblewrap a build sees the whole machine.
pub(super) fn say_unsealed(world: &World, asked: bool, report: &Report) {
    if world.machine.bubblewrap().is_some() {
        return;
    }
    let refused =
        || world.machine.bubblewrap_refused().map_or_else(String::new, |refused| format!(": {}", refused.why));
    let why =
        if asked { "as asked for".to_owned() } else { format!("since bubblewrap does not work here{}", refused()) };
    report.note(format!(
        "no sandbox, {why}: results stay on this machine and can be neither shared nor released (cargo xtask doctor)"
    ));
}

fn ask(missing: &[String], command: &str) -> Result<bool> {
    let mut terminal = std::io::stderr();
    let asking = || "cannot ask on the terminal".to_owned();
    writeln!(terminal, "These build dependencies are missing: {}\nThey are installed by: {command}", missing.join(" "))
        .context(asking)?;
    write!(terminal, "Install them now? [y/N] ").context(asking)?;
    terminal.flush().context(asking)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context(asking)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
