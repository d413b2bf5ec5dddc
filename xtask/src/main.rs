//! `cargo xtask`: parses, runs, says what went wrong.

use clap::Parser;

fn main() {
    let code = xtask::cmd::run(xtask::cmd::Cli::parse());
    std::process::exit(code);
}
