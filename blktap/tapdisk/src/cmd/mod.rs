//! The command line.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "tapdisk", version, about = "Serve VHD images as disks", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
}

/// Runs the program with the arguments of its process.
pub fn run() -> ExitCode {
    let Cli { command: Command::Serve(args) } = Cli::parse();
    serve::run(&args)
}
