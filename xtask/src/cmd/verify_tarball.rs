//! `verify-tarball`: an archive is what the lock says, to the last byte, and builds what this checkout builds.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::Session;
use super::releasing::{Bar, What, built, contents};
use crate::definition::Driver;
use crate::difference::Difference;
use crate::error::{Error, Result};
use crate::merge::Merged;
use crate::release::{Contents, Finding, Format, Proof, Way, account};
use crate::run::{Mode, Report};
use crate::turn::{self, Hold};
use crate::world::World;

/// Prove that an archive is what the lock says, and that it builds what this checkout builds
///
///     cargo xtask verify-tarball xen-4.17.5.tar.xz
///     cargo xtask verify-tarball FILE --no-build                   what is in it, and no more
///     cargo xtask verify-tarball FILE --only building              built by hand, not with cargo xtask
///     cargo xtask verify-tarball FILE --components xen,xen-tools   as `tarball` was told
///
/// Each member must be a file of a locked source, a declared generated file, a crate of a Cargo.lock, or
/// ours as it is committed here. Whatever is changed, missing or there beside them is named. Run it in
/// the checkout that the archive was made from, or in a clone of it.
///
/// Then it is unpacked in a sandbox without network, git, wget, curl, autoconf, automake and libtool, and
/// built there twice, by another user in another place: with the commands of its own sultana/BUILDING,
/// and with cargo xtask and an empty store. Each result is compared with what `cargo xtask build` made
/// here, member by member; what differs is named, with the first byte and the section it is in.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The archive
    file: PathBuf,
    #[command(flatten)]
    what: What,
    /// Build nothing
    #[arg(long)]
    no_build: bool,
    /// Build in this way only
    #[arg(long, value_enum, value_name = "WAY", conflicts_with = "no_build")]
    only: Option<Way>,
    /// Threads that pack, for the last comparison [default: number of cores]
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
}

/// Findings that are shown; `--json` has all.
const SHOWN: usize = 40;

pub fn run(session: &Session, args: &Args) -> Result<()> {
    if !Format::open(&args.file)?.0.is_here() {
        return super::extras::run_with_extras(session);
    }
    let logs = session.layout.work().join("log");
    let report = Report::new(if session.json { Mode::Json } else { Mode::Auto }, Some(logs));
    let (world, contents) = contents(session, &args.what, "verify a tarball", &report)?;
    let ways = match (args.no_build, args.only) {
        (true, _) => Vec::new(),
        (false, Some(way)) => vec![way],
        (false, None) => vec![Way::Building, Way::Xtask],
    };
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    report.note(format!("comparing {} members", contents.members.len()));
    let bar = Bar::new(session, "comparing", contents.bytes());
    let findings = account(&args.file, &contents, jobs, &session.cancel, &|done| bar.at(done))?;
    drop(bar);
    let mut said = Map::from_iter([
        ("file".to_owned(), json!(args.file)),
        ("members".to_owned(), json!(contents.members.len())),
        ("findings".to_owned(), json!(findings)),
    ]);
    let result = match findings.is_empty() {
        true => {
            tell(
                session,
                &format!("{}: all {} members are what the lock says", args.file.display(), contents.members.len()),
            );
            prove(session, args, &ways, (&world, &contents), &report, &mut said)
        }
        false => Err(not_what_the_lock_says(args, &findings)),
    };
    if session.json {
        super::print_json(&Value::Object(said))?;
    }
    result
}

fn tell(session: &Session, line: &str) {
    if !session.json {
        println!("{line}");
    }
}

/// What this checkout has built; an error when that is not known, or when nothing can be built from an archive here.
fn buildable(world: &World) -> Result<Merged> {
    if world.machine.bubblewrap().is_none() {
        return Err(Error::machine("cannot build from the archive: there is no sandbox")
            .because("outside of one nobody knows what else a build used")
            .help("cargo xtask doctor")
            .help("--no-build compares what is in it"));
    }
    world.need_packages()?;
    built(world)
}

/// Builds in each way; an error that names all that differs.
fn prove(
    session: &Session,
    args: &Args,
    ways: &[Way],
    (world, contents): (&World, &Contents),
    report: &Report,
    said: &mut Map<String, Value>,
) -> Result<()> {
    if ways.is_empty() {
        return Ok(());
    }
    let wanted = &buildable(world)?;
    let needs_rust = |name| matches!(world.component(name).build, Driver::Cargo(_));
    let needs_rust = ways.contains(&Way::Xtask) || world.plan.order.iter().any(needs_rust);
    let rust = needs_rust.then(|| world.machine.rust_toolchain()).transpose()?;
    let dir = session.layout.work().join("verify");
    let say = |line: &str| report.note(line);
    let waiting = "another verify-tarball builds in this checkout; waiting for its end";
    let _turn = turn::take(&session.layout.work().join("verify.lock"), Hold::Alone, &session.cancel, &say, waiting)?;
    let proof = Proof {
        archive: &args.file,
        top: &contents.top,
        bytes: contents.bytes(),
        wanted: &wanted.tree,
        store: &world.store,
        bwrap: world.machine.bubblewrap().unwrap_or_default(),
        rust,
        dir,
        logs: session.layout.work().join("log"),
        report,
        cancel: &session.cancel,
    };
    let mut failed = None;
    for way in ways {
        let differences = proof.differences(*way)?;
        said.insert(way.name().to_owned(), json!({ "files": wanted.tree.leaves(), "differences": differences }));
        if differences.is_empty() {
            tell(
                session,
                &format!("{}: all {} files are those of this checkout's build", way.name(), wanted.tree.leaves()),
            );
        } else {
            let (message, at) = (not_the_same(args, *way, wanted, &differences), proof.at(*way));
            let error = Error::step(message).help(format!("what was built is in {}", at.display()));
            failed = Some(match failed {
                Some(first) => error.details(Error::report(&first)),
                None => error,
            });
        }
    }
    failed.map_or(Ok(()), Err)
}

fn not_the_same(args: &Args, way: Way, wanted: &Merged, differences: &[Difference]) -> String {
    let line = |it: &Difference| {
        let owner = wanted.owners.get(&it.path).map(|name| format!(" ({name})")).unwrap_or_default();
        format!("  {it}{owner}")
    };
    let lines = some(differences, line);
    format!("`{}`, built {}, is not what this checkout builds\n{lines}", args.file.display(), way.name())
}

fn not_what_the_lock_says(args: &Args, findings: &[Finding]) -> Error {
    let line = |finding: &Finding| format!("  {finding}");
    let message = format!("`{}` is not what the lock says\n{}", args.file.display(), some(findings, line));
    Error::step(message).help("cargo xtask tarball   # makes the archive that this checkout stands for")
}

/// The first lines, and how many more there are.
fn some<T>(all: &[T], line: impl Fn(&T) -> String) -> String {
    let mut lines: Vec<String> = all.iter().take(SHOWN).map(line).collect();
    if all.len() > SHOWN {
        lines.push(format!("  and {} more (--json has all)", all.len() - SHOWN));
    }
    lines.join("\n")
}
