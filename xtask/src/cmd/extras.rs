//! Commands whose libraries would delay everybody's first build: they call cargo once more, with the feature `extras`.

use crate::error::{Error, Result};

/// Runs this very command line in a binary that has the feature.
pub fn run_with_extras(root: &std::path::Path) -> Result<()> {
    let mut argv: Vec<std::ffi::OsString> =
        ["cargo", "run", "--quiet", "--profile", "xtask", "--package", "xtask", "--features", "extras", "--"]
            .map(Into::into)
            .into();
    argv.extend(std::env::args_os().skip(1));
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(std::path::PathBuf::from);
    let workspace = manifest.as_deref().and_then(std::path::Path::parent).unwrap_or(root);
    eprintln!("note: the first time, cargo compiles the libraries that only this command needs; it takes some minutes");
    let ended = crate::process::Program::new(argv).dir(workspace).run(&crate::process::Cancel::default())?;
    let failed = !ended.status.success();
    let stdout = String::from_utf8_lossy(&ended.stdout).into_owned();
    println!("{}", stdout.trim_end());
    if failed {
        let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
        return Err(Error::machine("cannot run this command with the feature `extras`").because(said));
    }
    Ok(())
}
