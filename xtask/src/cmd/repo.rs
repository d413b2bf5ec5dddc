//! `repo`: packages where apt and dnf install them from.

use std::path::PathBuf;

use super::Session;
use crate::error::{Context, Error, Result};
use crate::process::shell_line;
use crate::repository::{self, Locate, Signature, packages};
use crate::signing::{Signing, SigningArgs};
use crate::turn::{self, Hold};

/// Make a repository of packages, or add packages to one, that apt or dnf install from
///
///     cargo xtask package deb && cargo xtask repo deb /srv/xen       the packages just made
///     cargo xtask repo deb /srv/xen --from DIR                       others
///     cargo xtask repo deb /srv/xen --index-only                     after you removed some
///     cargo xtask package rpm && cargo xtask repo rpm /srv/xen-rpm
///
/// Versions that are there stay, so one can go back. Whoever installs meanwhile sees the old state or the
/// new one; only between an index and the signature beside it (Release and Release.gpg, repomd.xml and its
/// .asc) may one be new and the other old, which is refused and right a moment later: InRelease has both in
/// one. In a fresh directory the same packages give the same bytes, signatures aside. On a machine that is
/// to install from it:
///
///     echo 'deb [trusted=yes] file:/srv/xen sultana main' > /etc/apt/sources.list.d/xen.list
///     apt update && apt install -t sultana xen-utils-4.17 blktap
///     dnf install --repofrompath=xen,/srv/xen-rpm --nogpgcheck xen-runtime-4.17
///
/// To sign it, in the environment or as arguments, apt's InRelease by the second pair; then `signed-by=`
/// instead of `trusted=yes`, and `repo_gpgcheck=1`:
///
///     XTASK_SIGN='gpg --armor --detach-sign --output "$SIGNATURE" "$FILE"'
///     XTASK_SIGN_VERIFY='gpg --verify "$SIGNATURE" "$FILE"'
///     XTASK_CLEAR_SIGN='gpg --clear-sign --output "$SIGNATURE" "$FILE"'
///     XTASK_CLEAR_SIGN_VERIFY='gpg --decrypt "$SIGNATURE" | cmp - "$FILE"'
///
/// A signature that no command makes anew stays, with the index that it is of, unless --unsigned is said.
/// In repodata/ what others put there stays too: keys, and what modifyrepo_c added.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Kind of packages
    #[arg(value_enum)]
    kind: Kind,
    /// The repository; it is made if it is not there
    dir: PathBuf,
    /// Directory with packages that are added [default: .xtask/packages/KIND]
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Add nothing, index what is there
    #[arg(long, conflicts_with = "from")]
    index_only: bool,
    /// What apt calls the distribution
    #[arg(long, value_name = "NAME", default_value = "sultana")]
    suite: String,
    #[command(flatten)]
    signing: SigningArgs,
    /// Shell command that writes `$FILE` with its signature around it into `$SIGNATURE`
    #[arg(long, env = "XTASK_CLEAR_SIGN", value_name = "COMMAND", requires = "clear_sign_verify")]
    clear_sign: Option<String>,
    /// Shell command that fails unless `$SIGNATURE` is `$FILE` with its signature
    #[arg(long, env = "XTASK_CLEAR_SIGN_VERIFY", value_name = "COMMAND")]
    clear_sign_verify: Option<String>,
    /// Sign nothing, and take signatures away that are there
    #[arg(long)]
    unsigned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// For apt
    Deb,
    /// For dnf and zypper
    Rpm,
}

impl Kind {
    /// As it is typed, and as files end.
    fn word(self) -> &'static str {
        match self {
            Kind::Deb => "deb",
            Kind::Rpm => "rpm",
        }
    }
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if args.suite.is_empty() || args.suite.starts_with('.') || !args.suite.chars().all(is_plain) {
        return Err(Error::input(format!("cannot use `{}` as the name of a distribution", args.suite))
            .help("--suite sultana   # letters, digits, `-`, `.`, `_`"));
    }
    if args.kind == Kind::Rpm && !cfg!(feature = "extras") {
        return super::extras::run_with_extras(session);
    }
    let dir = std::path::absolute(&args.dir).context(|| format!("cannot use `{}`", args.dir.display()))?;
    let new = match args.index_only {
        true => Vec::new(),
        false => new_packages(session, args)?,
    };
    std::fs::create_dir_all(&dir).context(|| format!("cannot make `{}`", dir.display()))?;
    let waiting = format!("waiting for another run in `{}`", dir.display());
    let _turn = turn::take(&dir, Hold::Alone, &session.cancel, &|line| eprintln!("{line}"), &waiting)?;
    let signing = args.signing.wanted().filter(|_| !args.unsigned);
    let mut again = vec!["cargo", "xtask", "repo", args.kind.word()].into_iter().map(str::to_owned).collect::<Vec<_>>();
    again.push(dir.display().to_string());
    again.extend(args.from.iter().flat_map(|from| ["--from".to_owned(), from.display().to_string()]));
    again.extend((args.kind == Kind::Deb).then(|| ["--suite".to_owned(), args.suite.clone()]).into_iter().flatten());
    again.extend(args.index_only.then(|| "--index-only".to_owned()));
    let again = shell_line(again);
    let check = |signatures: &[Signature<'_>]| match args.unsigned {
        true => Ok(()),
        false => signatures.iter().try_for_each(|signature| signature.refuse_loss(&again)),
    };
    let add = |locate: &Locate<'_>| repository::add(&dir, new, locate, &session.cancel);
    let (added, count) = match args.kind {
        Kind::Deb => {
            let clear = args.clear_sign.clone().zip(args.clear_sign_verify.clone()).filter(|_| !args.unsigned);
            let clear_signing = clear.map(|(sign, verify)| Signing { sign, verify });
            let wishes = repository::deb::Wishes { suite: &args.suite, signing, clear_signing };
            check(&wishes.signatures(&dir))?;
            (add(&repository::deb::location)?, repository::deb::index(&dir, &wishes, &session.cancel)?)
        }
        #[cfg(feature = "extras")]
        Kind::Rpm => {
            check(&[repository::rpm::signature(&dir, signing.as_ref())])?;
            (add(&repository::rpm::location)?, repository::rpm::index(&dir, signing.as_ref(), &session.cancel)?)
        }
        #[cfg(not(feature = "extras"))]
        Kind::Rpm => return Err(Error::machine("this binary reads no rpms")),
    };
    if session.json {
        return super::print_json(&serde_json::json!({ "dir": dir, "packages": count, "added": added }));
    }
    println!("{}: {count} packages, {} of them new", dir.display(), added.len());
    Ok(())
}

fn new_packages(session: &Session, args: &Args) -> Result<Vec<PathBuf>> {
    let word = args.kind.word();
    let from = args.from.clone().unwrap_or_else(|| session.layout.packages(word));
    let found = if from.is_dir() { packages(&from, word)? } else { Vec::new() };
    if found.is_empty() {
        return Err(Error::input(format!("there are no packages to add in `{}`", from.display()))
            .help(format!("cargo xtask package {word}   # makes them")));
    }
    Ok(found)
}
