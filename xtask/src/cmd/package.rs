//! `package`: what was built as packages of a distribution.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Session;
use crate::definition::{Component, Name};
use crate::dist;
use crate::error::{Context, Error, Result};
use crate::machine::{Family, Machine};
use crate::merge::Merged;
use crate::package::plan::{Part, Whole, plan, single};
use crate::package::version::{self, Version};
use crate::package::{Format, Package, archive, deb, documents, dpkg, facts, tidy};
use crate::plan::{Provider, Wanted};
use crate::state::State;
use crate::tree::{Node, Tree};
use crate::world::World;

/// Make packages of what was built, as it stands in dist/, without root
///
///     cargo xtask package deb                      into .xtask/packages/deb
///     cargo xtask package deb --dry-run            which packages, with what in them, and what they depend on
///     cargo xtask package deb --out DIR --revision 2
///     cargo xtask package deb --single             one package instead of many
///     cargo xtask package tar                      the same as archives, to be unpacked at /
///
/// Which file becomes part of which package stands in the components, as [[package]]; names are those of
/// the distribution, whose packages they replace. A version is that of the source with +sultana1 behind
/// it, so it comes after the distribution's packages of the same source; --revision makes the next one,
/// and --epoch makes it come after every version of the distribution's. Libraries belong where the
/// distribution has them: `cargo xtask configure --preset distro-debian`, then build.
///
/// Try them in a root of your own, or install them here:
///
///     sudo apt install ./.xtask/packages/deb/*.deb
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Kind of packages
    #[arg(value_enum)]
    format: Kind,
    /// Directory for them [default: .xtask/packages/KIND]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many times packages were made of this source
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    revision: u32,
    /// Number that counts before the version
    #[arg(long, value_name = "N", default_value_t = 0)]
    epoch: u32,
    /// Who answers for the packages
    #[arg(long, value_name = "NAME <MAIL>", env = "XTASK_MAINTAINER", default_value = documents::MAINTAINER)]
    maintainer: String,
    /// One package with everything
    #[arg(long, conflicts_with = "split")]
    single: bool,
    /// The packages that distributions have; this is what is done anyway
    #[arg(long)]
    split: bool,
    /// Keep what only debuggers read in programs and libraries
    #[arg(long)]
    no_strip: bool,
    /// Print what would be made and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// For Debian and Ubuntu
    Deb,
    /// Plain archives of the same files, to be unpacked at /
    Tar,
}

impl Kind {
    fn format(self) -> Format {
        match self {
            Kind::Deb => Format::Deb,
            Kind::Tar => Format::Tar,
        }
    }

    /// As it is typed.
    fn word(self) -> &'static str {
        match self {
            Kind::Deb => "deb",
            Kind::Tar => "tar",
        }
    }

    /// Whose names of packages it has.
    fn family(self) -> Family {
        match self {
            Kind::Deb | Kind::Tar => Family::Debian,
        }
    }
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let say = |line: &str| eprintln!("{line}");
    if args.maintainer.contains(['\n', '\r']) || !args.maintainer.ends_with('>') || !args.maintainer.contains(" <") {
        return Err(Error::input(format!("cannot use `{}` as maintainer", args.maintainer))
            .help("--maintainer 'Jo Doe <jo@example.org>'"));
    }
    let _turn = session.turn(&say)?;
    let definitions = session.settled()?;
    let merged = dist::whole(&session.layout)?;
    let dir = session.layout.dist();
    let facts = facts::read(&merged.tree, &dir, &session.cancel)?;
    let machine = Machine::of(&session.layout, false)?;
    let world = World::new(session.layout.clone(), definitions, &Wanted::default(), machine)?;
    let whole = Whole {
        format: args.format.format(),
        machine: world.machine.arch(),
        directories: &world.definitions.chosen.directories,
        parts: parts(session, &world, &merged, args)?,
        facts: &facts,
    };
    let mut packages = plan(&whole)?;
    if args.single {
        packages = single(packages).into_iter().collect();
    }
    let format = args.format.format();
    let directories = whole.directories;
    for package in &mut packages {
        if !args.no_strip {
            tidy::strip(package, &facts, &dir, &session.cancel)?;
        }
        tidy::settle(package, &facts, &directories.prefix, &dir)?;
        documents::add(package, &directories.prefix, format, &args.maintainer);
    }
    if format == Format::Deb {
        note_library_directory(&directories.libdir, whole.machine);
    }
    let arch = format.arch(whole.machine);
    let common = deb::Common { arch: &arch, maintainer: &args.maintainer, sysconfdir: &directories.sysconfdir };
    let mut made = Vec::new();
    match format {
        Format::Deb => {
            let system = dpkg::System::read(Path::new("/var/lib/dpkg"))?;
            for package in &packages {
                let depends = system.dependencies(&package.name, &package.foreign)?;
                made.push((package, deb::file_name(package, &arch), depends));
            }
        }
        Format::Rpm | Format::Tar => {
            let named = |package| (package, archive::file_name(package, whole.machine), BTreeSet::new());
            made.extend(packages.iter().map(named));
        }
    }
    let default = || session.layout.work().join("packages").join(args.format.word());
    let out = args.out.clone().unwrap_or_else(default);
    if !args.dry_run {
        std::fs::create_dir_all(&out).context(|| format!("cannot make `{}`", out.display()))?;
        crate::machine::need(&out, made.iter().map(|(package, ..)| package.bytes()).sum(), "packaging")?;
        write(session, format, &out, &made, &common, &dir)?;
    }
    tell(session, args, &out, &made, &common)
}

/// Packages with the names of their files and what they need of the system.
type Made<'a> = (&'a Package, String, BTreeSet<String>);

/// All of them, as many at once as there are cores.
fn write(
    session: &Session,
    format: Format,
    out: &Path,
    made: &[Made<'_>],
    common: &deb::Common<'_>,
    dist: &Path,
) -> Result<()> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let worker = || -> Result<()> {
        while let Some((package, name, depends)) = made.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let read = |path: &str| {
                session.cancel.check()?;
                content(package, dist, path)
            };
            let bytes = match format {
                Format::Deb => deb::bytes(package, common, depends, &read)?,
                Format::Rpm | Format::Tar => archive::bytes(package, &read)?,
            };
            archive::write(out, name, &bytes)?;
        }
        Ok(())
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (1..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().fold(worker(), |result, worker| {
            result.and(worker.join().unwrap_or_else(|_| Err(Error::machine("a thread that packed died"))))
        })
    })
}

/// The content of a file, checked.
fn content(package: &Package, dist: &Path, path: &str) -> Result<Vec<u8>> {
    if let Some(bytes) = package.made.get(path) {
        return Ok(bytes.clone());
    }
    let file = dist.join(path);
    let reading = || format!("cannot read `{}`", file.display());
    let bytes = std::fs::read(&file).context(reading)?;
    match package.files.get(path) {
        Some(Node::File { digest, .. }) if *digest == crate::digest::Digest::of(&bytes) => Ok(bytes),
        _ => Err(Error::machine(reading()).because("it changed while it was packed").help("cargo xtask build")),
    }
}

/// What each component brought to `dist/`, with the version that its packages get.
fn parts<'a>(session: &Session, world: &'a World, merged: &Merged, args: &Args) -> Result<BTreeMap<Name, Part<'a>>> {
    let mut trees: BTreeMap<&Name, Tree> = BTreeMap::new();
    for (path, owner) in &merged.owners {
        trees.entry(owner).or_default().0.insert(path.clone(), merged.tree.0[path].clone());
    }
    let state = State::read(&session.layout);
    let family = args.format.family();
    let mut parts = BTreeMap::new();
    for (name, tree) in trees {
        let built = state.built.get(name);
        let of = built.and_then(|built| built.manifest.as_ref());
        let definition = match world.definitions.components.get(name) {
            Some(definition) if of == Some(&session.manifest) => definition,
            _ => {
                let of = of.map_or_else(|| "another manifest".to_owned(), |of| format!("manifest `{of}`"));
                return Err(Error::input(format!(
                    "cannot make packages of `{}`: `{name}` in dist/ is of {of}",
                    session.manifest
                ))
                .help(format!("cargo xtask build -m {}", session.manifest)));
            }
        };
        if built.is_some_and(|built| built.incremental) {
            return Err(Error::input(format!(
                "cannot make packages of `{name}`: it was built on what an earlier build left"
            ))
            .help(format!("cargo xtask build {name} --clean")));
        }
        let source = world.needed_source(&definition.source)?;
        let local = !source.at_pin || world.overrides.0.contains_key(&definition.source);
        if local {
            eprintln!(
                "note: `{}` is not what the lock names, so versions of `{name}` end with +local",
                definition.source
            );
        }
        let said = version::of_source(world.origin(&definition.source)?, world.pin(&definition.source), &source.dir);
        let part = Part {
            version: Version::new(&said, args.epoch, args.revision, local),
            epoch: source.epoch,
            needed: family.names(&definition.runtime_packages).to_vec(),
            named: named(world, family, definition),
            definition,
            tree,
        };
        parts.insert(name.clone(), part);
    }
    Ok(parts)
}

/// Packages of the components that one names by their path: ours, or what brings the system's copy.
fn named(world: &World, family: Family, component: &Component) -> Vec<String> {
    let mut named = Vec::new();
    for other in &component.runtime_needs {
        let Some(definition) = world.definitions.components.get(other) else { continue };
        match world.plan.providers.get(other) {
            Some(Provider::System(_)) => named.extend(family.names(&definition.system_packages).iter().cloned()),
            Some(Provider::Internal) => {
                let plain = definition.package.iter().filter(|package| !package.deb.contains('{'));
                named.extend(plain.map(|package| package.deb.clone()));
            }
            _ => {}
        }
    }
    named
}

/// Debian's libraries of several architectures stand beside one another.
fn note_library_directory(libdir: &str, machine: &str) {
    let wanted = format!("/usr/lib/{machine}-linux-gnu");
    if libdir != wanted {
        eprintln!(
            "note: libraries are in {libdir}, where the linker finds them, too; Debian's own are in {wanted} \
             (cargo xtask configure --libdir {wanted}, then build)"
        );
    }
}

fn tell(session: &Session, args: &Args, out: &Path, made: &[Made<'_>], common: &deb::Common<'_>) -> Result<()> {
    if session.json {
        let packages: Vec<_> = made
            .iter()
            .map(|(package, file, depends)| {
                serde_json::json!({
                    "name": package.name, "version": package.version.deb(), "component": package.component,
                    "file": out.join(file), "files": package.files.keys().collect::<Vec<_>>(),
                    "control": deb::control(package, common, depends),
                })
            })
            .collect();
        return super::print_json(&serde_json::json!({ "dry-run": args.dry_run, "packages": packages }));
    }
    for (package, file, depends) in made {
        if args.dry_run {
            println!("{}", deb::control(package, common, depends).trim_end());
            package.files.keys().for_each(|path| println!("  /{path}"));
            println!("");
        } else {
            println!("{}", out.join(file).display());
        }
    }
    Ok(())
}
