//! `verify-tarball`: an archive is what the lock says, to the last byte.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use super::Session;
use super::releasing::{Bar, What, contents};
use crate::error::{Error, Result};
use crate::release::{Format, account};
use crate::run::{Mode, Report};

/// Prove that an archive is what the lock says, to the last byte
///
///     cargo xtask verify-tarball xen-4.17.5.tar.xz
///     cargo xtask verify-tarball FILE --components xen,xen-tools   as `tarball` was told
///
/// Each member must be a file of a locked source, a declared generated file, a crate of a Cargo.lock, or
/// ours as it is committed here. Whatever is changed, missing or there beside them is named. Run it in
/// the checkout that the archive was made from, or in a clone of it.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The archive
    file: PathBuf,
    #[command(flatten)]
    what: What,
    /// Threads that pack, for the last comparison [default: number of cores]
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
}

/// Findings that are shown; `--json` has all.
const SHOWN: usize = 40;

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let cannot = || format!("cannot read `{}`", args.file.display());
    let mut first = [0; 6];
    File::open(&args.file)
        .and_then(|mut file| file.read_exact(&mut first))
        .map_err(|error| Error::input(cannot()).because(error).help("cargo xtask tarball   # makes one"))?;
    if Format::of(&first).is_some_and(|format| !format.is_here()) {
        return super::tarball::run_elsewhere(session);
    }
    let report = Report::new(if session.json { Mode::Json } else { Mode::Auto }, None);
    let contents = contents(session, &args.what, "verify a tarball", &report)?;
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    report.note(format!("comparing {} members", contents.members.len()));
    let bar = Bar::new(session, "comparing", contents.bytes());
    let findings = account(&args.file, &contents, jobs, &session.cancel, &|done| bar.at(done))?;
    drop(bar);
    if session.json {
        super::print_json(
            &serde_json::json!({ "file": args.file, "members": contents.members.len(), "findings": findings }),
        )?;
    }
    if findings.is_empty() {
        if !session.json {
            println!("{}: all {} members are what the lock says", args.file.display(), contents.members.len());
        }
        return Ok(());
    }
    let line = |finding: &crate::release::Finding| {
        let path = if finding.path.is_empty() { "the archive" } else { &finding.path };
        format!("  {path} {}", finding.what)
    };
    let mut lines: Vec<String> = findings.iter().take(SHOWN).map(line).collect();
    if findings.len() > SHOWN {
        lines.push(format!("  and {} more (--json has all)", findings.len() - SHOWN));
    }
    let message = format!("`{}` is not what the lock says\n{}", args.file.display(), lines.join("\n"));
    let error = Error::step(message);
    Err(error.help("cargo xtask tarball   # makes the archive that this checkout stands for"))
}
