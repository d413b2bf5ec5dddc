//! Signatures of an archive, by a command of whoever releases: gpg, minisign, a token's tool. The command is a shell's, with `$FILE` and
//! `$SIGNATURE` set; what it wrote is verified by another one before it is taken.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::process::{Cancel, Program};

/// How to sign.
#[derive(Clone, Debug)]
pub struct Signing {
    /// Writes `$SIGNATURE`.
    pub sign: String,
    /// Fails when `$SIGNATURE` is not one of `$FILE`.
    pub verify: String,
    /// What a signature's name ends in: `asc`.
    pub suffix: String,
}

/// Signs the file and verifies that; gives the signature's path.
pub fn sign(signing: &Signing, file: &Path, cancel: &Cancel) -> Result<PathBuf> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(&signing.suffix);
    let signature = file.with_file_name(name);
    let aside = file.with_file_name(format!(".signature.{}", std::process::id()));
    let outcome = made(signing, file, &aside, cancel);
    if outcome.is_err() {
        std::fs::remove_file(&aside).unwrap_or_default();
    }
    outcome?;
    std::fs::rename(&aside, &signature)
        .map_err(|error| Error::machine(format!("cannot write `{}`", signature.display())).because(error))?;
    Ok(signature)
}

fn made(signing: &Signing, file: &Path, signature: &Path, cancel: &Cancel) -> Result<()> {
    let run = |script: &str, what: &str| {
        let program = Program::new(["sh", "-ec", script]).env("FILE", file).env("SIGNATURE", signature);
        let ended = program.run(cancel)?;
        if ended.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&[ended.stderr, ended.stdout].concat()).trim().to_owned();
        let message = format!("cannot {what} `{}`: {} from {script}", file.display(), ended.status);
        Err(if said.is_empty() { Error::machine(message) } else { Error::machine(message).because(said) })
    };
    run(&signing.sign, "sign")?;
    if !signature.is_file() {
        return Err(Error::machine(format!("cannot sign `{}`: {} wrote no $SIGNATURE", file.display(), signing.sign))
            .help("XTASK_SIGN='gpg --armor --detach-sign --output \"$SIGNATURE\" \"$FILE\"'"));
    }
    run(&signing.verify, "verify the signature of")
}
