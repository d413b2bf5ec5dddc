//! The commands: one file a verb, its arguments with its `run`. Parses and prints; the work is done elsewhere.

mod boot;
mod build;
mod choices;
mod ci;
mod clean;
pub mod compat;
mod complete;
mod configure;
mod configure_host;
mod deps;
mod dev;
mod diff;
mod distclean;
mod doctor;
mod explain;
mod extras;
mod fetch;
mod force_update;
mod foreach;
mod freeze;
mod gate;
mod gc;
mod graph;
mod grep;
mod import_config_mk;
mod install;
mod licences;
mod list;
mod log;
mod man;
mod moves;
mod overriding;
mod package;
mod pin;
mod provenance;
mod release_check;
mod releasing;
mod repo;
mod repro_check;
mod sbom;
mod schema;
mod settling;
mod shell;
mod standing;
mod status;
mod tarball;
mod test;
mod unfreeze;
mod uninstall;
mod update;
mod verify_tarball;
mod vouching;
mod why;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::definition::{Definitions, Lock, Name};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::origin::Fetching;
use crate::plan::Wanted;
use crate::process::Cancel;
use crate::turn::{self, Hold, Turn};

/// Build, release and gate Xen's external components
///
/// One command from a clone to an installed tree:
///
///     cargo xtask build --yes        fetch, build and install into dist/
///     cargo xtask status             what is pinned, checked out, changed, built
///     cargo xtask why xen-tools      what would make it rebuild now, by name
///
/// Exit status: 0 done; 1 a step failed; 2 a definition or argument is wrong; 3 this machine cannot (tool, disk, network);
/// 77 a boot test that cannot run here; 130 stopped by Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100, verbatim_doc_comment)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What is worked on when nothing is said.
const DEFAULT_MANIFEST: &str = "debian-12";

#[derive(Debug, clap::Args)]
pub struct Global {
    /// Manifest to work on: the name of a file in manifests/
    #[arg(long, short, global = true, env = "XTASK_MANIFEST", default_value = DEFAULT_MANIFEST, value_name = "NAME")]
    manifest: String,
    /// Root of the checkout, if not the current directory or one above it
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    checkout: Option<PathBuf>,
    /// Store shared by all checkouts [default: sultana/ in the user's cache directory]
    #[arg(long, global = true, env = "XTASK_STORE", value_name = "DIR", help_heading = "Global options")]
    store: Option<PathBuf>,
    /// Never open a socket; `GIT=false` in the environment says the same
    #[arg(long, global = true, help_heading = "Global options")]
    offline: bool,
    /// Print JSON for machines
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    /// `--with-system-NAME` and `--without-NAME`
    #[command(flatten)]
    choices: choices::Choices,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Args),
    Install(install::Args),
    Uninstall(uninstall::Args),
    Package(package::Args),
    Repo(repo::Args),
    ConfigureHost(configure_host::Args),
    Fetch(fetch::Args),
    ForceUpdate(force_update::Args),
    Update(update::Args),
    Pin(pin::Args),
    Diff(diff::Args),
    Dev(dev::Args),
    Freeze(freeze::Args),
    Unfreeze(unfreeze::Args),
    Tarball(tarball::Args),
    VerifyTarball(verify_tarball::Args),
    ReproCheck(repro_check::Args),
    Licences(licences::Args),
    List(list::Args),
    Override(overriding::Args),
    Restore(overriding::RestoreArgs),
    Configure(configure::Args),
    Status(status::Args),
    Graph(graph::Args),
    Deps(deps::Args),
    Why(why::Args),
    Explain(explain::Args),
    Log(log::Args),
    Clean(clean::Args),
    Distclean(distclean::Args),
    Gc(gc::Args),
    Sbom(sbom::Args),
    Provenance(provenance::Args),
    ReleaseCheck(release_check::Args),
    Gate(gate::Args),
    Ci(ci::Args),
    Schema(schema::Args),
    Shell(shell::Args),
    Boot(boot::Args),
    Test(test::Args),
    Doctor(doctor::Args),
    Make(compat::MakeArgs),
    Raise(compat::RaiseArgs),
    ImportConfigMk(import_config_mk::Args),
    Foreach(foreach::Args),
    Grep(grep::Args),
    Completions(complete::Args),
    Man(man::Args),
    #[command(hide = true)]
    Complete(complete::Words),
}

impl Command {
    /// It writes what everybody gets, so what one person set means nothing to it; but for the programs that it starts.
    fn refuses(&self, arguments: &[(String, String)]) -> Result<()> {
        let other = arguments.iter().find(|(name, _)| name != "GIT" && name != "WGET");
        match (self, other) {
            (Command::Update(_), Some((name, _))) => {
                Err(Error::input(format!("`{name}` is for builds: pins are those of the manifest"))
                    .help("cargo xtask update"))
            }
            _ => Ok(()),
        }
    }

    /// Where `NAME=VALUE` may stand between names.
    fn positionals(&mut self) -> Option<&mut Vec<String>> {
        match self {
            Command::Build(args) => Some(&mut args.selection.components),
            Command::Graph(args) => Some(&mut args.selection.components),
            Command::Ci(args) => Some(args.components()),
            Command::Deps(args) => Some(&mut args.selection.components),
            Command::Sbom(args) => Some(&mut args.selection.components),
            Command::ReleaseCheck(args) => Some(&mut args.selection.components),
            Command::Provenance(args) => Some(&mut args.selection.components),
            Command::ReproCheck(args) => Some(&mut args.selection.components),
            Command::Licences(args) => Some(&mut args.selection.components),
            Command::Doctor(args) => Some(&mut args.selection.components),
            Command::Fetch(args) => Some(&mut args.sources),
            Command::Update(args) => Some(&mut args.sources),
            Command::Status(args) => Some(&mut args.names),
            Command::List(args) => Some(&mut args.settings),
            Command::Configure(args) => Some(&mut args.settings),
            _ => None,
        }
    }
}

/// Which components a command is about.
#[derive(Debug, clap::Args)]
struct Selection {
    /// Components [default: those of the manifest], and settings as NAME=VALUE
    components: Vec<String>,
    /// The manifest's optional components too
    #[arg(long)]
    all: bool,
}

impl Global {
    /// As it is typed, for a command line of ours that another one stands for. What the environment says it says to that, too.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let is_said = |name, value: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|said| said == value);
        if self.manifest != DEFAULT_MANIFEST && !is_said("XTASK_MANIFEST", self.manifest.as_ref()) {
            words.extend(["--manifest".to_owned(), self.manifest.clone()]);
        }
        let store = self.store.clone().filter(|store| !is_said("XTASK_STORE", store.as_os_str()));
        for (name, dir) in [("--checkout", &self.checkout), ("--store", &store)] {
            words.extend(dir.iter().flat_map(|dir| [name.to_owned(), dir.display().to_string()]));
        }
        words.extend(self.choices.0.iter().map(|(name, value)| match name.starts_with("without-") {
            true => format!("--{name}"),
            false => format!("--{name}={value}"),
        }));
        words.extend(self.offline.then(|| "--offline".to_owned()));
        words.extend(self.json.then(|| "--json".to_owned()));
        words
    }
}

impl Selection {
    fn wanted(&self, session: &Session) -> Result<Wanted> {
        let names = match session.argument("COMPONENTS").filter(|_| self.components.is_empty()) {
            Some(names) => Session::names(&names.split_whitespace().map(str::to_owned).collect::<Vec<_>>())?,
            None => Session::names(&self.components)?,
        };
        for name in &names {
            let (with, without) = (format!("with-system-{name}"), format!("without-{name}"));
            if session.argument(&with).is_some_and(|value| value != "no") || session.argument(&without).is_some() {
                let wrong = Error::input(format!("`{name}` is to be built and is not to be ours at once"));
                return Err(wrong.help(format!("cargo xtask build {name}")));
            }
        }
        Ok(Wanted { names, all: self.all })
    }
}

/// What every command gets.
#[derive(Clone, Debug)]
pub struct Session {
    /// Paths.
    pub layout: Layout,
    /// Name of the manifest.
    pub manifest: Name,
    /// Never opens a socket.
    pub offline: bool,
    /// Prints JSON.
    pub json: bool,
    /// Set by Ctrl-C.
    pub cancel: Cancel,
    /// Settings of the command line.
    pub arguments: Vec<(String, String)>,
}

impl Session {
    fn new(global: &Global, arguments: Vec<(String, String)>) -> Result<Self> {
        let layout = Layout::find(global.checkout.clone(), global.store.clone())?;
        let manifest =
            global.manifest.parse().map_err(|why: String| Error::input("cannot use --manifest").because(why))?;
        // Packagers have always said it this way; Xen's own INSTALL does.
        let named = |name: &str| arguments.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
        let poisoned = ["GIT", "WGET"].into_iter().find_map(|name| {
            let value = named(name).or_else(|| std::env::var(name).ok())?;
            (value == "false" || value.ends_with("/false")).then(|| format!("{name}={value}"))
        });
        if let Some(poisoned) = poisoned.as_ref().filter(|_| !global.offline) {
            eprintln!("note: offline, since {poisoned} says so");
        }
        let offline = global.offline || poisoned.is_some();
        if let Some(git) = named("GIT").filter(|_| !offline) {
            crate::origin::use_git(&git)?;
        }
        if let Some(destdir) = named("DESTDIR") {
            return Err(Error::input(format!("cannot build into `{destdir}`: results are put together in dist/"))
                .help(format!("cargo xtask build && cargo xtask install --root {destdir}")));
        }
        Ok(Session { layout, manifest, offline, json: global.json, cancel: Cancel::default(), arguments })
    }

    /// The value of a setting of the command line.
    fn argument(&self, name: &str) -> Option<&str> {
        self.arguments.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// Manifest, components and lock, checked.
    pub fn definitions(&self) -> Result<Definitions> {
        Ok(Definitions::load(&self.layout, &self.manifest)?)
    }

    /// Where the manifest's lock is.
    pub fn lock_file(&self) -> PathBuf {
        self.layout.root.join("manifests").join(format!("{}.lock", self.manifest))
    }

    /// The lock, complete, or an error that says what it lacks.
    pub fn whole_lock(&self, definitions: &Definitions) -> Result<Lock> {
        let manifest = &self.manifest;
        let Some(lock) = &definitions.lock else {
            return Err(Error::input(format!("manifest `{manifest}` has no lock: it is a plan, nothing is pinned"))
                .help(format!("cargo xtask update --manifest {manifest}   # where its origins can be reached")));
        };
        definitions.check_lock(&self.layout)?;
        Ok(lock.clone())
    }

    /// `Err` when one of them is no source of the manifest.
    fn known_sources(&self, definitions: &Definitions, names: &[Name]) -> Result<()> {
        let sources = &definitions.manifest.sources;
        let Some(unknown) = names.iter().find(|name| !sources.contains_key(*name)) else { return Ok(()) };
        let known = sources.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
        Err(Error::input(format!("manifest `{}` has no source `{unknown}`; it has {known}", self.manifest)))
    }

    /// `Err` when the lock is frozen; `what` is what would have been done.
    fn not_frozen(&self, lock: &Lock, what: &str) -> Result<()> {
        if !lock.frozen {
            return Ok(());
        }
        let manifest = &self.manifest;
        Err(Error::input(format!("cannot {what}: the lock of `{manifest}` is frozen"))
            .help(format!("cargo xtask unfreeze --manifest {manifest}")))
    }

    /// What a fetch needs to know; `say` gets retries, fallbacks and their reasons.
    fn fetching<'a>(&'a self, discard: bool, say: &'a (dyn Fn(&str) + Sync)) -> Fetching<'a> {
        let Session { layout, manifest, offline, cancel, .. } = self;
        Fetching { layout, manifest, offline: *offline, discard, cancel, say }
    }

    /// This checkout for ourselves; waits for another run's end, and says so.
    pub fn turn(&self, say: &dyn Fn(&str)) -> Result<Turn> {
        let waiting = "another cargo xtask works in this checkout; waiting for its end";
        turn::take(&self.layout.work().join("lock"), Hold::Alone, &self.cancel, say, waiting)
    }

    /// Names given on a command line.
    pub fn names(names: &[String]) -> Result<Vec<Name>> {
        let parse =
            |name: &String| name.parse().map_err(|why: String| Error::input("cannot use this name").because(why));
        names.iter().map(parse).collect()
    }
}

/// Runs the command line and gives the exit status.
pub fn run(mut cli: Cli) -> i32 {
    // Results must not depend on the user's umask.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    crate::process::adopt_orphans();
    match &cli.command {
        Command::Make(args) => return compat::make(&cli.global, args),
        Command::Raise(args) => return compat::raise(&cli.global, args),
        _ => {}
    }
    let mut arguments = std::mem::take(&mut cli.global.choices.0);
    let taken = cli.command.positionals().map_or(Ok(Vec::new()), choices::take);
    let session = taken.and_then(|taken| {
        arguments.extend(taken);
        cli.command.refuses(&arguments)?;
        Session::new(&cli.global, arguments)
    });
    let result = session.and_then(|session| {
        session.cancel.on_signals()?;
        match cli.command {
            Command::Build(args) => build::run(&session, &args),
            Command::Install(args) => install::run(&session, &args),
            Command::Uninstall(args) => uninstall::run(&session, &args),
            Command::Package(args) => package::run(&session, &args),
            Command::Repo(args) => repo::run(&session, &args),
            Command::ConfigureHost(args) => configure_host::run(&session, &args),
            Command::Fetch(args) => fetch::run(&session, &args),
            Command::ForceUpdate(args) => force_update::run(&session, &args),
            Command::Update(args) => update::run(&session, &args),
            Command::Pin(args) => pin::run(&session, &args),
            Command::Dev(args) => dev::run(&session, &args),
            Command::Diff(args) => diff::run(&session, &args),
            Command::Freeze(args) => freeze::run(&session, &args),
            Command::Unfreeze(args) => unfreeze::run(&session, &args),
            Command::Tarball(args) => tarball::run(&session, &args),
            Command::VerifyTarball(args) => verify_tarball::run(&session, &args),
            Command::ReproCheck(args) => repro_check::run(&session, &args),
            Command::Licences(args) => licences::run(&session, &args),
            Command::List(args) => list::run(&session, &args),
            Command::Override(args) => overriding::run(&session, &args),
            Command::Restore(args) => overriding::restore(&session, &args),
            Command::Configure(args) => configure::run(&session, &args),
            Command::Status(args) => status::run(&session, &args),
            Command::Deps(args) => deps::run(&session, &args),
            Command::Graph(args) => graph::run(&session, &args),
            Command::Explain(args) => explain::run(&session, &args),
            Command::Why(args) => why::run(&session, &args),
            Command::Log(args) => log::run(&session, &args),
            Command::Clean(args) => clean::run(&session, &args),
            Command::Distclean(args) => distclean::run(&session, &args),
            Command::Gc(args) => gc::run(&session, &args),
            Command::ReleaseCheck(args) => release_check::run(&session, &args),
            Command::Provenance(args) => provenance::run(&session, &args),
            Command::Sbom(args) => sbom::run(&session, &args),
            Command::Gate(args) => gate::run(&session, &args),
            Command::Ci(args) => ci::run(&session, &args),
            Command::Schema(args) => schema::run(&session, &args),
            Command::Shell(args) => shell::run(&session, &args),
            Command::Boot(args) => boot::run(&session, &args),
            Command::Test(args) => test::run(&session, &args),
            Command::Doctor(args) => doctor::run(&session, &args),
            Command::ImportConfigMk(args) => import_config_mk::run(&session, &args),
            Command::Make(_) | Command::Raise(_) => unreachable!("they have become another command"),
            Command::Foreach(args) => foreach::run(&session, &args),
            Command::Grep(args) => grep::run(&session, &args),
            Command::Completions(args) => complete::run(&args),
            Command::Man(args) => man::run(&session, &args),
            Command::Complete(words) => complete::words(&session, words),
        }
    });
    let result = result.and_then(|()| crate::print::check_stdout());
    match result {
        Ok(()) => 0,
        Err(error) if error.is_said() => error.kind().exit_code(),
        Err(error) => {
            if cli.global.json {
                let object = serde_json::json!({ "error": error.to_string(), "cause": crate::error::causes(&error), "help": error.helps() });
                println!("{object}");
            }
            eprintln!("{}", error.report());
            error.kind().exit_code()
        }
    }
}

/// Prints a value as JSON.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Error::machine("cannot encode JSON").because(error))?;
    println!("{text}");
    Ok(())
}
