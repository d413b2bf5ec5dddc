//! What a build lacks on this machine: packages, and bubblewrap.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc;
use std::time::Duration;

use super::{Args, Session};
use crate::error::{Context, Result};
use crate::machine::{Machine, lacking};
use crate::process::Cancel;
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
        return Err(lacking(&missing).because("offline nothing is installed, not even with --yes").help(command));
    }
    let agreed = args.yes
        || (std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && ask(session, &missing, &command)?);
    if !agreed {
        return Err(lacking(&missing).help("cargo xtask build --yes   # installs them").help(command));
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

fn ask(session: &Session, missing: &[String], command: &str) -> Result<bool> {
    let mut terminal = std::io::stderr();
    let asking = || "cannot ask on the terminal".to_owned();
    writeln!(terminal, "These build dependencies are missing: {}\nThey are installed by: {command}", missing.join(" "))
        .context(asking)?;
    write!(terminal, "Install them now? [y/N] ").context(asking)?;
    terminal.flush().context(asking)?;
    let answer = answer(&session.cancel, || {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    })?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// What `read` gives, unless the user stops us before. It reads in a thread of its own, which our end ends: a read goes on after a
/// signal.
fn answer(cancel: &Cancel, read: impl FnOnce() -> io::Result<String> + Send + 'static) -> Result<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(read()).unwrap_or_default());
    loop {
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(answer) => return answer.context(|| "cannot read the answer".to_owned()),
            Err(mpsc::RecvTimeoutError::Timeout) => cancel.check()?,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_can_be_stopped() {
        let cancel = Cancel::default();
        assert_eq!(answer(&cancel, || Ok("y\n".to_owned())).unwrap(), "y\n");
        let (sender, never) = mpsc::channel::<String>();
        let stopper = cancel.clone();
        let result = answer(&cancel, move || {
            stopper.stop();
            Ok(never.recv().unwrap_or_default())
        });
        assert_eq!(result.unwrap_err().kind(), crate::error::Kind::Interrupted);
        drop(sender);
    }
}
