//! `allocate`, `free`, `spawn`: numbers of disks, and a process without any.

use std::io::IsTerminal;

use legacy_cli::terminal::Terminal;

use super::{Call, Command, Failure};
use crate::minors;
use crate::spawn::spawn;

pub(super) const ALLOCATE: Command = Command {
    name: "allocate",
    options: "h",
    usage: "usage: allocate\n",
    help: "\
Take a number for a disk

usage: tap-ctl allocate

Prints the path of the marker that holds the number: /run/blktap-control/tapdisk/tapdisk-MINOR.

Example:
  tap-ctl allocate
",
    run: |call, terminal| {
        let minor = minors::allocate(&call.client.run_dir)?;
        marker(call, minor, terminal);
        Ok(())
    },
};

/// Prints the path of a marker.
pub(super) fn marker(call: &Call<'_>, minor: u16, terminal: &mut Terminal) {
    terminal.print_path(&call.client.run_dir.marker(minor));
    terminal.print("\n");
}

pub(super) const FREE: Command = Command {
    name: "free",
    options: "m:h",
    usage: "usage: free <-m minor>\n",
    help: "\
Give the number of a disk back

usage: tap-ctl free -m MINOR

Fails with status 2 when nobody has taken it, with 11 while a tapdisk serves it.

Example:
  tap-ctl free -m 0
",
    run: |call, _| {
        let minor = call.number('m')?.ok_or(Failure::Usage)?;
        Ok(minors::free(&call.client.run_dir, minor)?)
    },
};

pub(super) const SPAWN: Command = Command {
    name: "spawn",
    options: "h",
    usage: "usage: spawn\n",
    help: "\
Start a tapdisk

usage: tap-ctl spawn

Prints its process: the bare number where standard output is no terminal. It exits with its last disk (`detach`).

Example:
  pid=$(tap-ctl spawn)
",
    run: |call, terminal| {
        let pid = spawn(&call.client)?;
        match std::io::stdout().is_terminal() {
            true => terminal.print(format_args!("tapdisk spawned with pid {pid}\n")),
            false => terminal.print(format_args!("{pid}\n")),
        }
        Ok(())
    },
};
