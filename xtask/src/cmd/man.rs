//! `man`: manual pages of all commands, from their help.

use std::path::PathBuf;

use super::Session;
use crate::error::Result;

/// Write the manual pages of all commands
///
///     cargo xtask man man1 && man -l man1/cargo-xtask-build.1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Directory; it is made
    #[cfg_attr(not(feature = "extras"), allow(dead_code, reason = "only the other binary writes there"))]
    dir: PathBuf,
}

#[cfg(feature = "extras")]
pub fn run(_: &Session, args: &Args) -> Result<()> {
    use std::fs;

    use clap::CommandFactory;

    use crate::error::Context;

    let writing = || format!("cannot write the pages into `{}`", args.dir.display());
    fs::create_dir_all(&args.dir).context(writing)?;
    let aside = tempfile::tempdir_in(&args.dir).context(writing)?;
    clap_mangen::generate_to(super::Cli::command().name("cargo-xtask"), aside.path()).context(writing)?;
    for page in fs::read_dir(aside.path()).context(writing)? {
        let page = page.context(writing)?;
        fs::rename(page.path(), args.dir.join(page.file_name())).context(writing)?;
    }
    Ok(())
}

#[cfg(not(feature = "extras"))]
pub fn run(session: &Session, _: &Args) -> Result<()> {
    super::extras::run_with_extras(session)
}
