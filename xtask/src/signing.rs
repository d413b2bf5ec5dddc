//! Signatures by commands of whoever releases: gpg, minisign, a token's tool. The commands are a shell's, with `$FILE` and `$SIGNATURE`
//! set. What one made is verified by the other before it is taken, and a command that takes anything verifies nothing.

use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};
use crate::process::{Cancel, Ended, Program, shell_line};

/// How to sign.
#[derive(Clone, Debug, clap::Args)]
pub struct SigningArgs {
    /// Shell command that signs `$FILE` into `$SIGNATURE`
    #[arg(long, env = "XTASK_SIGN", value_name = "COMMAND", requires = "sign_verify")]
    sign: Option<String>,
    /// Shell command that fails unless `$SIGNATURE` is one of `$FILE`
    #[arg(long, env = "XTASK_SIGN_VERIFY", value_name = "COMMAND")]
    sign_verify: Option<String>,
}

impl SigningArgs {
    /// Both commands, if it is wanted.
    pub fn wanted(&self) -> Option<Signing> {
        Some(Signing { sign: self.sign.clone()?, verify: self.sign_verify.clone()? })
    }
}

/// Both commands.
#[derive(Clone, Debug)]
pub struct Signing {
    /// Writes `$SIGNATURE`.
    pub sign: String,
    /// Fails when `$SIGNATURE` is not one of `$FILE`.
    pub verify: String,
}

impl Signing {
    /// The verified signature of a file; `what` it is, for errors.
    pub fn signature(&self, file: &Path, what: &str, cancel: &Cancel) -> Result<Vec<u8>> {
        let signing = || format!("cannot sign {what}");
        let aside = tempfile::tempdir().context(signing)?;
        let (signature, other) = (aside.path().join("signature"), aside.path().join("other"));
        let run = |script: &str, file: &Path| -> Result<Ended> {
            Program::new(["sh", "-ec", script]).env("FILE", file).env("SIGNATURE", &signature).run(cancel)
        };
        run(&self.sign, file)?
            .success(|| format!("{}: `{}` failed", signing(), self.sign))
            .map_err(|error| error.help(self.tried()))?;
        let Some(made) = crate::atomic::read(&signature)?.filter(|made| !made.is_empty()) else {
            return Err(Error::machine(format!("{}: `{}` wrote no $SIGNATURE", signing(), self.sign))
                .help("XTASK_SIGN='gpg --detach-sign --output \"$SIGNATURE\" \"$FILE\"'"));
        };
        run(&self.verify, file)?
            .success(|| format!("the signature of {what} is not one: `{}` failed", self.verify))
            .map_err(|error| error.help(self.tried()))?;
        std::fs::write(&other, "what nobody signed\n").context(signing)?;
        if run(&self.verify, &other)?.status.success() {
            return Err(Error::input(format!(
                "cannot verify {what}: `{}` also takes what was not signed",
                self.verify
            ))
            .help("XTASK_SIGN_VERIFY='gpg --verify \"$SIGNATURE\" \"$FILE\"'"));
        }
        Ok(made)
    }

    /// A line that tries both commands on a file of its own.
    fn tried(&self) -> String {
        let run = |script: &str| format!("FILE=try SIGNATURE=try.sig {}", shell_line(["sh", "-ec", script]));
        format!("date > try && {} && {}   # tries both commands", run(&self.sign), run(&self.verify))
    }

    /// Puts the verified signature of a file beside it, as `FILE.SUFFIX`; gives its path.
    pub fn beside(&self, file: &Path, suffix: &str, cancel: &Cancel) -> Result<PathBuf> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(suffix);
        let made = self.signature(file, &format!("`{}`", file.display()), cancel)?;
        let signature = file.with_file_name(name);
        crate::atomic::write(&signature, &made)?;
        Ok(signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_that_nothing_verifies_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("it");
        std::fs::write(&file, "it").unwrap();
        let check = |sign: &str, verify: &str| {
            let signing = Signing { sign: sign.to_owned(), verify: verify.to_owned() };
            signing.beside(&file, "sig", &Cancel::default()).map_err(|error| error.report())
        };
        let (sign, verify) = ("sha256sum < \"$FILE\" > \"$SIGNATURE\"", "sha256sum < \"$FILE\" | cmp - \"$SIGNATURE\"");
        let failed = check("exit 3", verify).unwrap_err();
        let (_, help) =
            failed.split_once("\nhelp: date > try && FILE=try SIGNATURE=try.sig sh -ec 'exit 3' && ").unwrap();
        assert!(failed.contains("`exit 3` failed") && help.starts_with("FILE=try SIGNATURE=try.sig sh -ec 'sha256"));
        assert!(check("true", verify).unwrap_err().contains("wrote no $SIGNATURE"));
        let failed = check("echo x > \"$SIGNATURE\"", verify).unwrap_err();
        assert!(failed.contains("is not one") && failed.contains("\nhelp: date > try"), "{failed}");
        assert!(check(sign, "true").unwrap_err().contains("also takes what was not signed"));
        let count = || std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(count(), 1);
        assert!(check(sign, verify).unwrap().ends_with("it.sig"));
        assert_eq!(count(), 2);
    }
}
