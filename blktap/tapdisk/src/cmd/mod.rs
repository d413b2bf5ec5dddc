//! The command line.

mod daemon;
mod serve;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Serve images as disks
///
/// Without a command this is the daemon that `tap-ctl spawn` starts: it prints the name of its control socket, goes to the
/// background, and does what `tap-ctl` asks. It ends when its last disk is detached.
#[derive(Debug, Parser)]
#[command(name = "tapdisk", version)]
#[command(after_help = "\
Examples:
  tapdisk serve disk.vhd        # one image, in the foreground: no Xen, no tap-ctl
  tap-ctl create -a vhd:/srv/disk.vhd")]
struct Cli {
    /// The daemon stays in the foreground
    #[arg(short = 'D')]
    stays: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
}

/// The command line, for its man pages.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program with the arguments of its process.
pub fn run() -> ExitCode {
    match Cli::parse() {
        Cli { command: Some(Command::Serve(args)), .. } => serve::run(&args),
        Cli { stays: true, .. } => daemon::run(),
        Cli { stays: false, .. } => daemon::spawn(),
    }
}
